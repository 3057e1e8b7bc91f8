"""Folders of photos without splits: CLASS/photo.jpg."""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.image_folder import list_classes, tell_left_out
from keras_lite.data.images import open_photo
from keras_lite.data.near_duplicates import difference_hash, near_duplicates
from keras_lite.data.photo_tree import PhotoTree
from keras_lite.data.photos import CACHE_BYTES, load_photos
from keras_lite.data.sources import Source, Subset
from keras_lite.data.split_folders import find_splits, split_beside_train, split_of
from keras_lite.errors import InputError, some

SHARE = 0.15  # of a class, to validate with; and as much again to test


def is_class_folders(tree: PhotoTree) -> bool:
    """Return whether a folder has photos in its subfolders, and none of these is a split with classes of its own.

    A class may be called train: what counts is where the photos are.
    """
    if split_beside_train(tree.path) or find_splits(tree, with_classes=True):
        return False
    return any(folder.photos for folder in tree.folders if not split_of(folder.name))


def open_class_folders(
    data_dir: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    *,
    skip_broken: bool = False,
    seed: int = 0,
    cache_bytes: int = CACHE_BYTES,
    verbose: int = 0,
) -> dict[str, Source]:
    """Return the sources of a folder `CLASS/photo.jpg`, divided: 70% to train, 15% to validate, 15% to test.

    Each class is divided for itself, in an order that follows from the seed and the photos' names: the same folder
    gives the same splits to every tool, and photos that are added later move few of the others. Near-duplicates (see
    `near_duplicates`) are kept in one split, whichever classes they are in, since a copy of a training photo tests
    nothing. Which files are photos says `open_image_folder`.

    Args:
        data_dir: The folder.
        image_size: Height and width that every image is brought to, or an `ImageGeometry`.
        skip_broken: Whether to leave out broken images and classes without an image, with a warning.
        seed: What the splits are drawn from.
        cache_bytes: As for `open_image_folder`.
        verbose: 1 shows progress, how many photos each split has and how many are near-duplicates.

    Returns:
        The sources "train", "valid" and "test".

    Raises:
        InputError: If there are fewer than two classes, a class is empty or has fewer than three photos that differ,
            the photos lie a level deeper, or an image is broken. The message names the place.

    Example:

    ```python
    data = open_class_folders("flowers", image_size=(96, 96))
    ```
    """
    tree = PhotoTree.read(data_dir)
    root = tree.path
    classes = list_classes(tree, skip_broken)
    names = sorted(classes)
    if len(names) < 2:
        raise InputError(f"Expected two or more classes in {root}, found only {names[0]!r}.")
    tell_left_out(tree, [tree], verbose)
    hashes: dict[Path, int] = {}

    def read(path: Path) -> Image.Image:
        photo = open_photo(path)
        if path not in hashes:  # photos that are not kept in memory are read again
            hashes[path] = difference_hash(photo)
        return photo

    files = [(path, label) for label, name in enumerate(names) for path in classes[name]]
    geometry = ImageGeometry.of(image_size)
    photos = load_photos(
        {"train": files},
        names,
        geometry,
        skip_broken=skip_broken,
        cache_bytes=cache_bytes,
        read=read,
        verbose=verbose,
    )["train"]
    copies = near_duplicates([hashes[path] for path in photos.paths])
    if copies and verbose:
        first, second = (photos.paths[index].relative_to(root) for index in copies[0][:2])
        print(
            f"Near-duplicates: {sum(map(len, copies))} photos in {len(copies)} groups, each kept in one split "
            f"(such as {first} and {second})",
            file=sys.stderr,
        )
    alone = set(range(len(photos))).difference(*copies)
    groups = [*copies, *([index] for index in sorted(alone))]
    order = [hashlib.sha256(f"{seed}/{path.relative_to(root).as_posix()}".encode()).digest() for path in photos.paths]
    groups.sort(key=lambda group: min(order[index] for index in group))
    labels = [photos.labels[group] for group in groups]
    _check_groups(labels, photos.labels, [root / name for name in names])
    its_split = _divide(labels, len(names))
    divided = {}
    for split in ("train", "valid", "test"):
        indices = [index for group, its in zip(groups, its_split, strict=True) if its == split for index in group]
        missing = set(range(len(names))) - set(photos.labels[indices].tolist())
        if missing:
            raise InputError(
                f"Expected enough photos in {root / names[min(missing)]} that are no near-duplicates of one another or "
                f"of other classes' photos, found none for the {split} split."
            )
        divided[split] = Subset(photos, np.array(sorted(indices), "int64"))
    if verbose:
        print(f"Splits: {', '.join(f'{len(source)} {split}' for split, source in divided.items())}", file=sys.stderr)
    return divided


def _check_groups(groups: list[np.ndarray], labels: np.ndarray, folders: list[Path]) -> None:
    """Raise InputError for classes with too few photos that differ; `groups` are the labels of near-duplicates."""
    counts = np.bincount(labels, minlength=len(folders))
    differ = np.bincount([label for group in groups for label in np.unique(group)], minlength=len(folders))
    poor = np.flatnonzero(differ < 3)
    if len(poor):
        found = some([f"{differ[label]} among the {counts[label]} in {folders[label]}" for label in poor])
        raise InputError(
            f"Expected three or more photos of each class that are no near-duplicates of one another (to train, "
            f"validate and test), found {found}: add other photos, or divide them yourself into train, valid and test."
        )


def _divide(groups: list[np.ndarray], classes: int) -> list[str]:
    """Return the split of each group, given the labels in it: test and validation are filled up, the rest trains."""
    counts = np.array([np.bincount(labels, minlength=classes) for labels in groups])
    wanted = np.maximum(1, np.round(SHARE * counts.sum(0)))
    split_of = ["train"] * len(groups)
    for split in ("test", "valid"):
        filled = np.zeros(classes)
        for index, count in enumerate(counts):
            if split_of[index] == "train" and (filled + count <= wanted)[count > 0].all():
                split_of[index] = split
                filled += count
        # A class whose groups are all too large gives its smallest, if it has others to train on.
        for label in np.flatnonzero(filled == 0):
            own = [index for index, count in enumerate(counts) if count[label] and split_of[index] == "train"]
            if len(own) > 1:
                split_of[min(own, key=lambda index: counts[index].sum())] = split
    return split_of
