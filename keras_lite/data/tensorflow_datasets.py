"""Photos in TFRecords that tensorflow-datasets has written.

The package says which files there are and what the classes are called. The photos are found in the files once, and
from then on read like any other file: in random order, with no TensorFlow in between.
"""

import dataclasses
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.images import decode_photo
from keras_lite.data.photos import CACHE_BYTES, load_photos
from keras_lite.data.sources import Source
from keras_lite.data.split_folders import SPLITS, split_of
from keras_lite.errors import InputError, import_extra

_EXTRA = "tfds"


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where the file of a photo lies within another file."""

    path: Path
    offset: int
    length: int


def open_tensorflow_datasets(
    name: str,
    image_size: tuple[int, int] | ImageGeometry,
    *,
    skip_broken: bool = False,
    folder: str | os.PathLike | None = None,
    cache_bytes: int = CACHE_BYTES,
    verbose: int = 0,
) -> dict[str, Source]:
    """Return the sources of an image classification set that tensorflow-datasets prepared as TFRecords.

    Args:
        name: Its name there, for example `"stanford_dogs"`; with `"/CONFIG"` and `":VERSION"` where needed.
        image_size: Height and width that every photo is brought to, or an `ImageGeometry`.
        skip_broken: Whether to leave out broken photos, with a warning that lists them.
        folder: The `data_dir` of tensorflow-datasets. `None`: its default, `~/tensorflow_datasets`.
        cache_bytes: As in `open_image_folder`.
        verbose: 1 shows progress.

    Returns:
        A source for each split that is there; keys out of "train", "valid", "test".

    Raises:
        InputError: If there is no such set, it is not prepared, has no images with labels, or a file is damaged.
        MissingExtraError: If TensorFlow or tensorflow-datasets is not installed.

    Example:

    ```python
    sources = open_tensorflow_datasets("stanford_dogs", (224, 224), folder="tfds")
    ```
    """
    datasets = import_extra("tensorflow_datasets", _EXTRA)
    tensorflow = import_extra("tensorflow", _EXTRA)
    try:
        info = datasets.builder(name, data_dir=None if folder is None else os.fspath(folder)).info
    except Exception as error:  # an unknown name, a wrong version, a folder that can't be read: an exception each
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"Expected the data set {name} of tensorflow-datasets, which can't be opened: {reason}"
        ) from error
    if not info.splits:
        raise InputError(
            f"Expected the data set {name} prepared in {folder or 'the folder of tensorflow-datasets'}, found none; "
            f"prepare it with: tfds build {name}"
        )
    features = dict(info.features.items())
    class_names = list(getattr(features.get("label"), "names", None) or [])
    if "image" not in features or not class_names:
        raise InputError(f"Expected image and label in the data set {name}, received {', '.join(features)}.")
    photos = {}
    for split in SPLITS:
        for found in [found for found in info.splits if split_of(found) == split]:
            files = [Path(file) for file in info.splits[found].filepaths]
            photos[split] = [row for file in files for row in _read_records(file, len(class_names), tensorflow)]
    if not photos:
        raise InputError(f"Expected train, validation or test in the data set {name}, found {', '.join(info.splits)}.")
    return load_photos(
        photos,
        class_names,
        ImageGeometry.of(image_size),
        skip_broken=skip_broken,
        cache_bytes=cache_bytes,
        read=_read_photo,
        verbose=verbose,
    )


def _read_records(path: Path, classes: int, tensorflow: Any) -> Iterator[tuple[_Place, int]]:
    """Yield the place and the label of each photo in a file."""
    if ".tfrecord" not in path.name:
        raise InputError(f"Expected files in the format TFRecord, received {path}.")
    with path.open("rb") as file:
        # A record: its length in 8 bytes, a check sum in 4, the content, another check sum in 4.
        while header := file.read(12):
            length = int.from_bytes(header[:8], "little")
            start = file.tell()
            content = file.read(length) if start + length <= path.stat().st_size else b""
            if len(header) < 12 or len(content) < length or len(file.read(4)) < 4:
                raise InputError(f"Expected whole records in {path}, which is cut off or damaged at byte {start}.")
            try:
                features = tensorflow.train.Example.FromString(content).features.feature
                [image], [label] = features["image"].bytes_list.value, features["label"].int64_list.value
            except Exception as error:  # what protobuf raises, or another number of values than one
                raise InputError(f"Expected an image and its label in {path} at byte {start}.") from error
            if not 0 <= label < classes:
                raise InputError(
                    f"Expected labels from 0 to {classes - 1} in {path}, received {label} at byte {start}."
                )
            yield _Place(path, start + content.index(image), len(image)), label


def _read_photo(place: _Place) -> Image.Image:
    with place.path.open("rb") as file:
        file.seek(place.offset)
        content = file.read(place.length)
    return decode_photo(io.BytesIO(content), f"{place.path} at byte {place.offset}")
