"""Photos of any size as a source: decoded in threads, checked once, kept in memory where that is possible."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from keras_lite.data.geometry import Crop, ImageGeometry, RandomCrop
from keras_lite.data.images import open_photo
from keras_lite.data.sources import Source
from keras_lite.errors import InputError, some, warn

CACHE_BYTES = 4 * 2**30
_AT_ONCE = 10_000


class PhotoSource(Source):
    """Labeled photos, each decoded when it is read, or kept in memory.

    Args:
        photos: What `read` takes: the files, if it is `open_photo`.
        labels: Integers, each an index into `class_names`.
        class_names: Name of each class.
        geometry: How photos come to the image size.
        read: Returns the RGB photo.
        kept: uint8 array `(count, *geometry.kept_size, 3)`, if the photos are kept in memory.
    """

    def __init__(
        self,
        photos: Sequence[Any],
        labels: np.ndarray,
        class_names: list[str],
        *,
        geometry: ImageGeometry,
        read: Callable[[Any], Image.Image] = open_photo,
        kept: np.ndarray | None = None,
    ) -> None:
        paths = list(photos) if all(isinstance(photo, Path) for photo in photos) else None
        super().__init__(labels, class_names, geometry.image_size, paths=paths, geometry=geometry)
        self._photos = photos
        self._read = read
        self._kept = kept
        self._threads: ThreadPoolExecutor | None = None

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return the middle of the photos with these indices."""
        indices = np.asarray(indices, "int64")
        if self._kept is not None:
            return np.ascontiguousarray(self.geometry.center_of_kept(self._kept[indices]))
        return self._in_threads(lambda index: self.geometry.center(self._photo(index)), indices)

    def crops(self, indices: np.ndarray, crop: Crop, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return a random part of each of the photos with these indices."""
        rngs = rng.spawn(len(indices))
        # What is kept without regard to the aspect is the whole photo, already scaled; otherwise it is the middle.
        if self._kept is None or not isinstance(crop, RandomCrop) or geometry.keep_aspect:
            return self._in_threads(lambda index, own: crop(self._photo(index), geometry, own), indices, rngs)
        height, width = geometry.image_size
        images = np.empty((len(indices), height, width, 3), "uint8")
        for image, index, own_rng in zip(images, indices, rngs, strict=True):
            top, left = crop.draw_corner(geometry.kept_size, geometry.image_size, own_rng)
            image[...] = self._kept[index, top : top + height, left : left + width]
        return images

    def _photo(self, index: int) -> Image.Image:
        return self._read(self._photos[index])

    def _in_threads(self, function: Callable[..., np.ndarray], *arguments: Sequence[Any]) -> np.ndarray:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_cores())
        images = np.empty((len(arguments[0]), *self.image_size, 3), "uint8")
        for image, pixels in zip(images, self._threads.map(function, *arguments), strict=True):
            image[...] = pixels
        return images


def load_photos(
    photos: dict[str, list[tuple[Any, int]]],
    class_names: list[str],
    geometry: ImageGeometry,
    *,
    skip_broken: bool,
    cache_bytes: int = CACHE_BYTES,
    read: Callable[[Any], Image.Image] = open_photo,
    verbose: int = 0,
) -> dict[str, Source]:
    """Return a source for each split, after decoding every photo once, so that broken ones are found now.

    Args:
        photos: For each split its photos with their labels.
        class_names: Name of each class.
        geometry: How photos come to the image size.
        skip_broken: Whether to leave out broken photos, with a warning that lists them.
        cache_bytes: The photos are kept in memory if all splits together take no more than this.
        read: Returns the RGB photo of an entry of `photos`.
        verbose: 1 shows progress.

    Returns:
        The source of each split.

    Raises:
        InputError: If a photo is broken, or all photos of a class are; the message names it.
    """
    rows = [(split, photo, label) for split, pairs in photos.items() for photo, label in pairs]
    fits = len(rows) * geometry.kept_size[0] * geometry.kept_size[1] * 3 <= cache_bytes
    kept = np.empty((len(rows), *geometry.kept_size, 3), "uint8") if fits else None
    broken: dict[int, InputError] = {}

    def check(number: int) -> None:
        try:
            pixels = geometry.keep(read(rows[number][1]))
        except InputError as error:
            broken[number] = error
        else:
            if kept is not None:
                kept[number] = pixels

    if verbose:
        print(f"Reading {len(rows)} images", file=sys.stderr)
    for _ in _with_progress(_map_in_threads(check, len(rows)), len(rows), verbose):
        pass
    _report_broken([broken[number] for number in sorted(broken)], skip_broken)

    sources: dict[str, Source] = {}
    for split in photos:
        good = [n for n, row in enumerate(rows) if row[0] == split and n not in broken]
        labels = np.array([rows[n][2] for n in good], "int64")
        # A class of which nothing is left would be a class that no image trains or tests.
        left = set(labels.tolist())
        gone = {row[2]: row[1] for row in rows if row[0] == split and row[2] not in left}
        if gone:
            places = [str(photo.parent) if isinstance(photo, Path) else class_names[n] for n, photo in gone.items()]
            raise InputError(f"Expected a readable image in {some(sorted(places))}, found broken ones only.")
        if not good:
            raise InputError(f"Expected photos for the {split} split, found none.")
        part = None
        if kept is not None:  # the rows of a split lie together: no copy where none is broken
            part = kept[good] if broken else kept[good[0] : good[-1] + 1]
        sources[split] = PhotoSource(
            [rows[n][1] for n in good], labels, class_names, geometry=geometry, read=read, kept=part
        )
    return sources


def _report_broken(errors: list[InputError], skip_broken: bool) -> None:
    if errors and not skip_broken:
        more = f" ({len(errors) - 1} more are broken)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0]}{more}")
    if errors:
        warn("\n".join(f"left out: {error}" for error in errors))


def _map_in_threads(function: Callable[[int], None], count: int) -> Iterator[None]:
    """Call the function with 0 to count - 1; decoding lets go of Python's lock, so threads are enough."""
    with ThreadPoolExecutor(_cores()) as threads:
        for start in range(0, count, _AT_ONCE):  # each call waiting takes memory
            yield from threads.map(function, range(start, min(start + _AT_ONCE, count)))


def _with_progress(items: Iterable[None], count: int, verbose: int) -> Iterator[None]:
    # A file or a pipe gets one line in ten seconds at most, a terminal a moving bar.
    interval = 0.1 if sys.stdout.isatty() else 10
    bar = keras.utils.Progbar(count, verbose=verbose, interval=interval, unit_name="image")
    for number, item in enumerate(items, 1):
        bar.update(number)
        yield item


def _cores() -> int:
    return os.cpu_count() or 1
