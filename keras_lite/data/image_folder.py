"""Folders of photos in the layout of ImageNet and Kaggle's data sets: SPLIT/CLASS/photo.jpg."""

import os
import sys
from pathlib import Path

from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.images import IMAGE_EXTENSIONS
from keras_lite.data.photos import CACHE_BYTES, load_photos, some
from keras_lite.data.sources import Source
from keras_lite.errors import InputError

SPLIT_FOLDERS = {"train": ("train",), "valid": ("valid", "validation", "val"), "test": ("test",)}
_LAYOUT = "CLASS/photo.jpg, or train/CLASS/photo.jpg, valid/CLASS/photo.jpg and test/CLASS/photo.jpg,"


def is_image_folder(data_dir: str | os.PathLike) -> bool:
    """Say whether a folder has a subfolder named like a split."""
    return bool(_find_splits(Path(data_dir)))


def open_image_folder(
    data_dir: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    skip_broken: bool = False,
    cache_bytes: int = CACHE_BYTES,
) -> dict[str, Source]:
    """Open a folder of photos: `train/CLASS/photo.jpg` and the like.

    The validation split may be called valid, validation or val. Files with the extensions of JPEG, PNG, WebP, BMP,
    GIF and TIFF count, in capital letters too; hidden files and folders do not. Classes are sorted by name, once for
    all splits. Every image is decoded once before anything is returned, so that a broken file shows now and not after
    hours of training.

    Args:
        data_dir: The folder.
        image_size: Height and width that every image is brought to (see `read_image`), or an `ImageGeometry`.
        skip_broken: Whether to leave out, and list on the standard error output, what would otherwise be an error:
            broken images, classes without an image, and classes that the training images do not have.
        cache_bytes: The decoded images are kept in memory if all splits together take no more than this; otherwise
            they are decoded again whenever they are needed. Random parts of them that depend on the original size
            are always cut from the file.

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
    root = Path(data_dir)
    if not root.is_dir():
        raise InputError(f"Expected a data folder at {root}, found {'a file' if root.exists() else 'nothing'}.")
    folders = _find_splits(root)
    if not folders:
        raise InputError(f"Expected {_LAYOUT} in {root}, found {_contents(root)}.{_nested_hint(root)}")
    listed = {split: list_classes(folder, skip_broken) for split, folder in folders.items()}
    class_names = _agree_on_classes(folders, listed, skip_broken)
    files = {
        split: [(path, label) for label, name in enumerate(class_names) for path in classes.get(name, [])]
        for split, classes in listed.items()
    }
    return load_photos(files, class_names, geometry, skip_broken, cache_bytes)


def open_unlabelled(
    folder: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    class_names: list[str],
    skip_broken: bool = False,
) -> Source:
    """Open a folder of photos without classes, at any depth.

    Args:
        folder: The folder.
        image_size: Height and width that every image is brought to, or an `ImageGeometry`.
        class_names: What the photos could show; all get the first class as a label, which means nothing.
        skip_broken: Whether to leave out and list broken photos instead of stopping at them.

    Raises:
        InputError: If there is no photo, or one is broken.

    Example:

    ```python
    source = open_unlabelled("holidays", (224, 224), info.class_names)
    ```
    """
    photos = [(path, 0) for path in find_images(folder)]
    geometry = ImageGeometry.of(image_size)
    return load_photos({"unlabelled": photos}, class_names, geometry, skip_broken)["unlabelled"]


def find_images(folder: str | os.PathLike) -> list[Path]:
    """Return the image files in a folder, at any depth, sorted.

    Raises:
        InputError: If there is no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"Expected a folder of images at {root}, which does not exist.")
    paths = sorted(path for path in root.rglob("*") if is_image(path))
    if not paths:
        raise InputError(f"Expected images ({', '.join(sorted(IMAGE_EXTENSIONS))}) in {root}, found none.")
    return paths


def _find_splits(root: Path) -> dict[str, Path]:
    """Return the folder of each split that is there."""
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        folders = [root / name for name in names if (root / name).is_dir()]
        if len(folders) > 1:
            raise InputError(
                f"Expected one folder for the {split} split in {root}, "
                f"received {' and '.join(folder.name for folder in folders)}."
            )
        if folders:
            found[split] = folders[0]
    return found


def list_classes(folder: Path, skip_broken: bool) -> dict[str, list[Path]]:
    """Return the image files of each class of one split, classes and files sorted by name.

    Raises:
        InputError: If there is no class, or, unless `skip_broken`, one has no image.
    """
    classes = {}
    for entry in visible(folder):
        if entry.is_dir():
            paths = [path for path in visible(entry) if is_image(path)]
            if paths:
                classes[entry.name] = paths
            elif skip_broken:
                print(f"left out: {entry} (no image)", file=sys.stderr)
            else:
                raise InputError(f"Expected images in {entry}, found {_contents(entry)}.")
    if not classes:
        loose = any(is_image(path) for path in visible(folder))
        hint = " Move each image into the folder of its class (ImageNet: of its synset)." if loose else ""
        raise InputError(f"Expected CLASS/photo.jpg in {folder}, found {_contents(folder)}.{hint}")
    return classes


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
            print(f"left out: {folders[split] / name} (not in {folders[first]})", file=sys.stderr)
        for name in missing:
            print(f"missing: {folders[split] / name}", file=sys.stderr)
        if len(unknown) == len(classes):
            raise InputError(f"Expected the classes of {folders[first]} in {folders[split]}, found none of them.")
    return class_names


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted by name, without what is hidden."""
    return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda p: p.name)


def is_image(path: Path) -> bool:
    """Say whether a file has an image's extension."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and path.is_file()


def _contents(folder: Path) -> str:
    """Say what is in a folder, in a few words."""
    entries = visible(folder)
    if not entries:
        return "nothing"
    return some([f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries])


def _nested_hint(root: Path) -> str:
    for entry in visible(root):
        if entry.is_dir() and (_find_splits(entry) or any(map(_has_images, visible(entry)))):
            return f" Give {entry}, which has such folders."
    return ""


def _has_images(path: Path) -> bool:
    return path.is_dir() and any(map(is_image, visible(path)))
