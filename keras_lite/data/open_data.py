"""Opening any data set: photo folders, CIFAR, TFRecords, built-in shapes."""

import os
from pathlib import Path

from keras_lite.data.cifar import find_cifar, open_cifar
from keras_lite.data.cifar_download import CLASS_NAMES, download_cifar
from keras_lite.data.class_folders import is_class_folders, open_class_folders
from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.image_folder import is_image_folder, open_image_folder
from keras_lite.data.photo_tree import PhotoTree
from keras_lite.data.shapes import make_shapes
from keras_lite.data.sources import Source
from keras_lite.data.stanford_dogs import is_stanford_dogs, open_stanford_dogs
from keras_lite.data.tensorflow_datasets import open_tensorflow_datasets
from keras_lite.errors import InputError

SHAPES = "shapes"
_SHAPES_SPLITS = {"train": (6000, 1), "valid": (500, 2), "test": (2000, 3)}  # number of images, seed
_TFDS = "tfds:"


def open_data(
    data_dir: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    skip_broken: bool = False,
    verbose: int = 0,
) -> dict[str, Source]:
    """Return the sources of a data set: a folder of photos, CIFAR, Stanford Dogs, TFRecords or built-in shapes.

    Args:
        data_dir: A folder or a name. Folders: photos with splits (see `open_image_folder`) or without them (see
            `open_class_folders`), CIFAR-10's or CIFAR-100's python files (see `open_cifar`), Stanford Dogs' archives
            (see `open_stanford_dogs`). Names: `"shapes"` for the built-in set (see `make_shapes`), `"cifar10"` or
            `"cifar100"` for Keras' download (see `download_cifar`), `"tfds:NAME"` or `"tfds:NAME@FOLDER"` for
            TFRecords (see `open_tensorflow_datasets`).
        image_size: Height and width of the images in pixels, or an `ImageGeometry`, which also says how photos come
            to that size. CIFAR's are 32x32 and stay so; the built-in set's are square.
        skip_broken: Whether to leave out broken images, with a warning that lists them, instead of stopping at them.
        verbose: 1 shows progress, and what photos there are.

    Returns:
        Split -> source; the splits are some of "train", "valid" and "test".

    Raises:
        InputError: If there is no such data set, it is broken, or its images can't have the wanted size.
        MissingExtraError: If TFRecords are wanted and tensorflow-datasets is not installed.

    Example:

    ```python
    sources = open_data("flowers", image_size=(64, 64))
    ```
    """
    geometry = ImageGeometry.of(image_size)
    size, name = geometry.image_size, os.fspath(data_dir)
    reading = {"skip_broken": skip_broken, "verbose": verbose}
    if name == SHAPES:
        if size[0] != size[1]:
            raise InputError(f"Expected a square image_size for the built-in shapes, received {size}.")
        return {split: make_shapes(count, seed, size[0]) for split, (count, seed) in _SHAPES_SPLITS.items()}
    if name.startswith(_TFDS):
        data_set, _, folder = name.removeprefix(_TFDS).partition("@")
        return open_tensorflow_datasets(data_set, geometry, folder=folder or None, **reading)
    root = Path(data_dir)
    if name in CLASS_NAMES or find_cifar(root):
        if size != (32, 32):
            raise InputError(f"Expected image_size (32, 32) for the CIFAR images in {root}, received {size}.")
        return dict(download_cifar(name, verbose) if name in CLASS_NAMES else open_cifar(root))
    tree = PhotoTree.read(root)
    if is_class_folders(tree):
        return open_class_folders(root, geometry, **reading)
    if is_image_folder(tree):
        return open_image_folder(root, geometry, **reading)
    if is_stanford_dogs(root):
        return open_stanford_dogs(root, geometry, **reading)
    if (root / "data_batch_1").is_file():
        raise InputError(f"Expected CIFAR-10's list of class names {root / 'batches.meta'}, which does not exist.")
    return open_image_folder(root, geometry, **reading)  # which says what it looked for


def is_named(data_dir: str | os.PathLike) -> bool:
    """Return whether `data_dir` is a name that `open_data` knows, and not a folder."""
    name = os.fspath(data_dir)
    return name == SHAPES or name in CLASS_NAMES or name.startswith(_TFDS)
