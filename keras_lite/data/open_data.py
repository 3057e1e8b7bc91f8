"""One door to all data sets."""

import os
from pathlib import Path

from keras_lite.data.cifar import find_cifar, open_cifar
from keras_lite.data.image_folder import is_image_folder, open_image_folder
from keras_lite.data.preprocessing import check_image_size
from keras_lite.data.shapes import make_shapes
from keras_lite.data.sources import Source
from keras_lite.errors import InputError

SHAPES = "shapes"
_SHAPES_SPLITS = {"train": (6000, 1), "valid": (500, 2), "test": (2000, 3)}  # number of images, seed


def open_data(data_dir: str | os.PathLike, image_size: tuple[int, int], skip_broken: bool = False) -> dict[str, Source]:
    """Open a data set, whichever kind it is.

    Args:
        data_dir: A folder of photos (see `open_image_folder`), the folder of CIFAR-10's or CIFAR-100's python files
            (see `open_cifar`), or `"shapes"` for the built-in set (see `make_shapes`).
        image_size: Height and width of the images in pixels. CIFAR's are 32x32 and stay so; the built-in set's are
            square.
        skip_broken: Whether to leave out and list broken images instead of stopping at them.

    Returns:
        A source for each split; keys out of "train", "valid", "test".

    Raises:
        InputError: If there is no data set of these kinds, or it is broken, or does not come in the wanted size.

    Example:

    ```python
    sources = open_data("shapes", image_size=(64, 64))
    ```
    """
    image_size = check_image_size(image_size)
    if os.fspath(data_dir) == SHAPES:
        if image_size[0] != image_size[1]:
            raise InputError(f"Expected a square image_size for the built-in shapes, received {image_size}.")
        return {split: make_shapes(count, seed, image_size[0]) for split, (count, seed) in _SHAPES_SPLITS.items()}
    root = Path(data_dir)
    if find_cifar(root):
        if image_size != (32, 32):
            raise InputError(f"Expected image_size (32, 32) for the CIFAR images in {root}, received {image_size}.")
        return dict(open_cifar(root))
    if not is_image_folder(root) and (root / "data_batch_1").is_file():
        raise InputError(f"Expected CIFAR-10's list of class names {root / 'batches.meta'}, which does not exist.")
    return open_image_folder(root, image_size, skip_broken)
