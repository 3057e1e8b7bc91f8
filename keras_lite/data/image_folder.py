"""Folders of photos in the layout of ImageNet and Kaggle's data sets: SPLIT/CLASS/photo.jpg."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sized
from pathlib import Path

from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.photo_tree import PhotoTree, find_photos, tell_unread
from keras_lite.data.photos import CACHE_BYTES, load_photos
from keras_lite.data.sources import Source
from keras_lite.data.split_folders import find_splits, may_be_split, split_beside_train, split_of
from keras_lite.errors import InputError, some, warn

_LAYOUT = "CLASS/photo.jpg, or train/CLASS/photo.jpg, valid/CLASS/photo.jpg and test/CLASS/photo.jpg,"
_MOVE_LOOSE = "Move each image into the folder of its class"


def is_image_folder(tree: PhotoTree) -> bool:
    """Return whether a folder has a subfolder named like a split, or is such a folder for validation or the test."""
    return split_beside_train(tree.path) is not None or bool(find_splits(tree))


def open_image_folder(
    data_dir: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    *,
    skip_broken: bool = False,
    cache_bytes: int = CACHE_BYTES,
    verbose: int = 0,
) -> dict[str, Source]:
    """Return the sources of a folder of photos with splits, such as `train/CLASS/photo.jpg`.

    A split's folder is called train or training; valid, validation, val or dev; test or testing: in any case, and with
    words such as "set" or "images" beside it (`Training`, `test_images`). Such a folder for validation or the test may
    be given itself, if that of the training photos lies beside it: then there is its split alone, and nothing to train.

    Photos are JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000 and PPM files, whatever they are called, and, with the
    extra `heif`, HEIF files. Those in folders of a class's folder count as the class's. What else lies in the folder
    is named in a warning, with what to do; hidden files, and what systems leave behind (`Thumbs.db`,
    `__MACOSX`), are passed over. Classes are sorted by name, once for all splits. Every image is decoded once before
    anything is returned, so that a broken file shows now and not after hours of training.

    Args:
        data_dir: The folder.
        image_size: Height and width that every image is brought to (see `read_image`), or an `ImageGeometry`.
        skip_broken: Whether to leave out, with a warning, what would otherwise be an error: broken images, classes
            without an image, and classes that the training images do not have.
        cache_bytes: The decoded images are kept in memory if all splits together take no more than this; otherwise
            they are decoded again whenever they are needed. Random parts of them that depend on the original size
            are always cut from the file.
        verbose: 1 shows progress, and which photos lie in folders of a class's folder.

    Returns:
        A source for each split that is there; keys "train", "valid", "test".

    Raises:
        InputError: If the layout is another, a class is empty, splits have different classes, there are fewer than
            two classes, or an image is broken. The message names the place.

    Example:

    ```python
    sources = open_image_folder("sports", image_size=(244, 244))
    sources["train"].class_names  # ["air hockey", "ampute football", ...]
    ```
    """
    geometry = ImageGeometry.of(image_size)
    tree = PhotoTree.read(data_dir)
    itself = split_beside_train(tree.path)
    folders = {itself: tree} if itself else find_splits(tree)
    if not folders:
        raise InputError(f"Expected {_LAYOUT} in {tree.path}, found {tree.contents()}.{_hint(tree)}")
    listed = {split: list_classes(folder, skip_broken) for split, folder in folders.items()}
    tell_left_out(tree, folders.values(), verbose)
    class_names = _agree_on_classes({split: folder.path for split, folder in folders.items()}, listed, skip_broken)
    files = {
        split: [(path, label) for label, name in enumerate(class_names) for path in classes.get(name, [])]
        for split, classes in listed.items()
    }
    return load_photos(files, class_names, geometry, skip_broken=skip_broken, cache_bytes=cache_bytes, verbose=verbose)


def open_unlabeled(
    folder: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    class_names: list[str],
    *,
    skip_broken: bool = False,
    verbose: int = 0,
) -> Source:
    """Return the source of a folder of photos without classes, at any depth.

    Args:
        folder: The folder.
        image_size: Height and width that every image is brought to, or an `ImageGeometry`.
        class_names: What the photos could show; all get the first class as a label, which means nothing.
        skip_broken: Whether to leave out broken photos, with a warning, instead of stopping at them.
        verbose: 1 shows progress.

    Raises:
        InputError: If there is no photo, or one is broken.

    Example:

    ```python
    source = open_unlabeled("holidays", (224, 224), info.class_names)
    ```
    """
    photos = [(path, 0) for path in find_photos(folder)]
    geometry = ImageGeometry.of(image_size)
    sources = load_photos({"unlabeled": photos}, class_names, geometry, skip_broken=skip_broken, verbose=verbose)
    return sources["unlabeled"]


def list_classes(tree: PhotoTree, skip_broken: bool) -> dict[str, list[Path]]:
    """Return the photos of each class of one split, sorted: those in folders of a class's folder too.

    Raises:
        InputError: If there is no class, or the folders group classes, or, unless `skip_broken`, a class has no photo.
    """
    if grouping := _grouping(tree):
        raise InputError(f"Expected CLASS/photo.jpg in {tree.path}, found {tree.contents()}.{grouping}")
    classes = {}
    for folder in tree.folders:
        if folder.all_photos:
            classes[folder.name] = folder.all_photos
        elif skip_broken:
            warn(f"left out: {folder.path} (no image)")
        else:
            raise InputError(f"Expected images in {folder.path}, found {folder.contents()}.{folder.unread()}")
    if not classes:
        hint = f" {_MOVE_LOOSE} (ImageNet: of its synset)." if tree.photos else tree.unread()
        raise InputError(f"Expected CLASS/photo.jpg in {tree.path}, found {tree.contents()}.{hint}")
    return classes


def tell_left_out(tree: PhotoTree, splits: Iterable[PhotoTree], verbose: int = 0) -> None:
    """Warn of what in a folder is in no class, a line each; `verbose` 1 prints which photos lie deeper."""
    tell_unread(tree)
    classes = [folder for split in splits for folder in split.class_folders]
    used = {path for folder in classes for path in folder.all_photos}
    loose = [path for path in tree.all_photos if path not in used]
    if loose:
        warn(
            f"left out of {tree.path}: {_count(loose)} in no class's folder, such as {loose[0].relative_to(tree.path)}"
        )
    deeper = [(folder, path) for folder in classes for path in folder.all_photos if path.parent != folder.path]
    if deeper and verbose:
        places = dict.fromkeys(str(folder.path.relative_to(tree.path)) for folder, _ in deeper)
        print(
            f"read with their class: {_count(deeper)} in subfolders of {some(list(places))}, "
            f"such as {deeper[0][1].relative_to(tree.path)}",
            file=sys.stderr,
        )


def _count(photos: Sized) -> str:
    return f"{len(photos):,} photo{'s' if len(photos) > 1 else ''}"


def _grouping(tree: PhotoTree) -> str:
    """Return a text that says that the classes seem to be one level deeper; empty if they don't.

    They do where all photos are deeper; where most are, in folders of the same names (2019/cat, 2020/cat); and where
    the deeper folders are splits, which must not be mixed.
    """
    folders = tree.class_folders
    for folder in folders:
        if find_splits(folder, with_classes=True):
            return f" Give {folder.path}, which has such folders."
        for inner in folder.class_folders:
            if split_of(inner.name) in ("valid", "test"):
                outside = tree.path / inner.name / folder.name
                return f" Classes lie in splits, not splits in classes: move {inner.path} to {outside}, and so on."
    photos, direct = (sum(map(len, lists)) for lists in ([f.all_photos for f in folders], [f.photos for f in folders]))
    names = Counter(inner.name.lower() for folder in folders for inner in folder.class_folders)
    if not folders or (direct and (photos <= 2 * direct or max(names.values()) == 1)):
        return ""
    [first, *_] = [path for folder in folders for path in folder.all_photos if path.parent != folder.path]
    outer, inner = first.relative_to(tree.path).parts[:2]
    if any(may_be_split(folder.name) for folder in folders):
        names = some([f"{folder.name}/" for folder in folders])
        return f" If there are splits among {names}, name them train, valid and test."
    return (
        f" The photos are a level deeper, such as {first.relative_to(tree.path)}: if {inner} is a class, join the "
        f"folders of each class in {tree.path / inner}; if {outer} is one, move its photos up into {tree.path / outer}."
    )


def _agree_on_classes(
    folders: dict[str, Path], listed: dict[str, dict[str, list[Path]]], skip_broken: bool
) -> list[str]:
    """Return the class names of all splits: those of the first split that is there."""
    first = next(iter(folders))
    class_names = sorted(listed[first])
    if len(class_names) < 2:
        raise InputError(f"Expected two or more classes in {folders[first]}, found only {class_names[0]!r}.")
    for split, classes in listed.items():
        missing = [name for name in class_names if name not in classes]
        unknown = [name for name in classes if name not in class_names]
        if (missing or unknown) and not skip_broken:
            more, where = (missing, folders[first]) if missing else (unknown, folders[split])
            other = folders[split] if missing else folders[first]
            raise InputError(
                f"Expected the same classes in all splits, received {some(more)} in {where}, not in {other}."
            )
        for name in unknown:
            warn(f"left out: {folders[split] / name} (not in {folders[first]})")
        for name in missing:
            warn(f"missing: {folders[split] / name}")
        if len(unknown) == len(classes):
            raise InputError(f"Expected the classes of {folders[first]} in {folders[split]}, found none of them.")
    return class_names


def _hint(tree: PhotoTree) -> str:
    """Return a text that says what to do with a folder without splits."""
    folders = tree.class_folders
    if not folders:
        return f" {_MOVE_LOOSE}." if tree.photos else tree.unread()
    # One folder alone is what an archive was unpacked into, unless it is called like a split.
    if (inner := _only_folder(tree)) is not tree:
        return f" Give {inner.path}, which has such folders."
    return _grouping(tree)


def _only_folder(tree: PhotoTree) -> PhotoTree:
    """Return the folder that all photos are in, as far as there is one at each level and folders are in it."""
    folders = tree.class_folders
    if len(folders) == 1 and not may_be_split(folders[0].name) and not folders[0].photos and folders[0].class_folders:
        return _only_folder(folders[0])
    return tree
