"""Folders of photos in the layout that Kaggle's data sets have: SPLIT/CLASS/photo.jpg."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np

from keras_lite.data.images import IMAGE_EXTENSIONS, read_image
from keras_lite.data.preprocessing import check_image_size
from keras_lite.data.sources import ArraySource, Source
from keras_lite.errors import InputError

SPLIT_FOLDERS = {"train": ("train",), "valid": ("valid", "validation", "val"), "test": ("test",)}
_LAYOUT = "train/CLASS/photo.jpg, valid/CLASS/photo.jpg and test/CLASS/photo.jpg"


class FolderSource(Source):
    """Labelled image files, decoded in parallel threads each time they are asked for.

    Args:
        paths: The files.
        labels: Integers, each an index into `class_names`.
        class_names: Name of each class.
        image_size: Height and width that every image is brought to.
    """

    def __init__(
        self, paths: list[Path], labels: np.ndarray, class_names: list[str], image_size: tuple[int, int]
    ) -> None:
        super().__init__(labels, class_names, image_size, paths)
        self._threads: ThreadPoolExecutor | None = None

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Decode the images with these indices."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_cores())
        paths = [self.paths[index] for index in indices]
        images = np.empty((len(paths), *self.image_size, 3), "uint8")
        for image, pixels in zip(images, self._threads.map(self._read, paths), strict=True):
            image[...] = pixels
        return images

    def _read(self, path: Path) -> np.ndarray:
        return read_image(path, self.image_size)


def is_image_folder(data_dir: str | os.PathLike) -> bool:
    """Say whether a folder has a subfolder named like a split."""
    return bool(_find_splits(Path(data_dir)))


def open_image_folder(
    data_dir: str | os.PathLike,
    image_size: tuple[int, int],
    skip_broken: bool = False,
    cache_bytes: int = 4 * 2**30,
) -> dict[str, Source]:
    """Open a folder of photos: `train/CLASS/photo.jpg` and the like.

    The validation split may be called valid, validation or val. Files with the extensions of JPEG, PNG, WebP, BMP,
    GIF and TIFF count, in capital letters too; hidden files and folders do not. Classes are sorted by name, once for
    all splits. Every image is decoded once before anything is returned, so that a broken file shows now and not after
    hours of training.

    Args:
        data_dir: The folder.
        image_size: Height and width that every image is brought to (see `read_image`).
        skip_broken: Whether to leave out, and list on the standard error output, what would otherwise be an error:
            broken images, classes without an image, and classes that the training images do not have.
        cache_bytes: The decoded images are kept in memory if all splits together take no more than this; otherwise
            they are decoded again whenever they are needed.

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
    image_size = check_image_size(image_size)
    root = Path(data_dir)
    if not root.is_dir():
        raise InputError(f"Expected a data folder at {root}, found {'a file' if root.exists() else 'nothing'}.")
    folders = _find_splits(root)
    if not folders:
        raise InputError(f"Expected {_LAYOUT} in {root}, found {_contents(root)}.{_nested_hint(root)}")
    listed = {split: _list_classes(folder, skip_broken) for split, folder in folders.items()}
    class_names = _agree_on_classes(folders, listed, skip_broken)
    files = {
        split: [(path, label) for label, name in enumerate(class_names) for path in classes.get(name, [])]
        for split, classes in listed.items()
    }
    count = sum(len(rows) for rows in files.values())
    cached = count * image_size[0] * image_size[1] * 3 <= cache_bytes
    return _check_and_load(folders, files, class_names, image_size, skip_broken, cached)


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


def _list_classes(folder: Path, skip_broken: bool) -> dict[str, list[Path]]:
    """Return the image files of each class of one split, classes and files sorted by name."""
    classes = {}
    for entry in _visible(folder):
        if entry.is_dir():
            paths = [path for path in _visible(entry) if _is_image(path)]
            if paths:
                classes[entry.name] = paths
            elif skip_broken:
                print(f"left out: {entry} (no image)", file=sys.stderr)
            else:
                raise InputError(f"Expected images in {entry}, found {_contents(entry)}.")
    if not classes:
        raise InputError(f"Expected CLASS/photo.jpg in {folder}, found {_contents(folder)}.")
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
                f"Expected the same classes in all splits, received {_some(more)} in {where}, not in {other}."
            )
        for name in unknown:
            print(f"left out: {folders[split] / name} (not in {folders[first]})", file=sys.stderr)
        for name in missing:
            print(f"missing: {folders[split] / name}", file=sys.stderr)
        if len(unknown) == len(classes):
            raise InputError(f"Expected the classes of {folders[first]} in {folders[split]}, found none of them.")
    return class_names


def _check_and_load(
    folders: dict[str, Path],
    files: dict[str, list[tuple[Path, int]]],
    class_names: list[str],
    image_size: tuple[int, int],
    skip_broken: bool,
    cached: bool,
) -> dict[str, Source]:
    """Decode every image once; return the sources of the good ones."""
    rows = [(split, path, label) for split, pairs in files.items() for path, label in pairs]
    images = np.empty((len(rows), *image_size, 3), "uint8") if cached else None
    broken: dict[int, InputError] = {}

    def read(number: int) -> None:
        try:
            pixels = read_image(rows[number][1], image_size)
        except InputError as error:
            broken[number] = error
        else:
            if images is not None:
                images[number] = pixels

    print(f"Reading {len(rows)} images", file=sys.stderr)
    for _ in _with_progress(_map_in_threads(read, len(rows)), len(rows)):
        pass
    _report_broken([broken[number] for number in sorted(broken)], skip_broken)

    sources = {}
    for split, folder in folders.items():
        good = [n for n, row in enumerate(rows) if row[0] == split and n not in broken]
        labels = np.array([rows[n][2] for n in good], "int64")
        paths = [rows[n][1] for n in good]
        # A class of which nothing is left would be a class that no image trains or tests.
        gone = {row[2] for row in rows if row[0] == split} - set(labels.tolist())
        if gone:
            names = [str(folder / class_names[label]) for label in sorted(gone)]
            raise InputError(f"Expected a readable image in {_some(names)}, found broken ones only.")
        if images is None:
            sources[split] = FolderSource(paths, labels, class_names, image_size)
        elif broken:
            sources[split] = ArraySource(images[good], labels, class_names, paths)
        else:  # the rows of a split lie together: no copy
            sources[split] = ArraySource(images[good[0] : good[-1] + 1], labels, class_names, paths)
    return sources


def _report_broken(errors: list[InputError], skip_broken: bool) -> None:
    if errors and not skip_broken:
        more = f" ({len(errors) - 1} more are broken)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0]}{more}")
    for error in errors:
        print(f"left out: {error}", file=sys.stderr)


def _map_in_threads(function: Callable[[int], None], count: int) -> Iterator[None]:
    """Call the function with 0 to count - 1; decoding lets go of Python's lock, so threads are enough."""
    with ThreadPoolExecutor(_cores()) as threads:
        yield from threads.map(function, range(count))


def _with_progress(items: Iterable[None], count: int) -> Iterator[None]:
    # A file or a pipe gets one line in ten seconds at most, a terminal a moving bar.
    interval = 0.1 if sys.stdout.isatty() else 10
    bar = keras.utils.Progbar(count, interval=interval, unit_name="image")
    for number, item in enumerate(items, 1):
        bar.update(number)
        yield item


def _cores() -> int:
    return os.cpu_count() or 1


def _visible(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda p: p.name)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_EXTENSIONS and path.is_file()


def _contents(folder: Path) -> str:
    """Say what is in a folder, in a few words."""
    entries = _visible(folder)
    if not entries:
        return "nothing"
    return _some([f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries])


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _nested_hint(root: Path) -> str:
    for entry in _visible(root):
        if entry.is_dir() and _find_splits(entry):
            return f" Give {entry}, which has such folders."
    return ""
