"""Resizing of images of integers, as XNNPACK and LiteRT's kernels compute it."""

import numpy as np

from keras_lite.litert.integer.rounding import Compute, Rounding, check_same_scheme
from keras_lite.litert.operators import Operator

# Bits that XNNPACK has for a share of a neighbor.
_BITS = 11


def resize_nearest_neighbor(operator: Operator) -> Compute:
    """Compute RESIZE_NEAREST_NEIGHBOR."""
    check_same_scheme(operator, operator.inputs[0])
    corners, centers = (operator.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    rows, columns = (
        nearest_places(size, target, corners, centers)
        for size, target in zip(operator.inputs[0].shape[1:3], operator.output.shape[1:3], strict=True)
    )
    return lambda images, *_: images[:, :, rows[:, None], columns]


def nearest_places(size: int, target: int, corners: bool, centers: bool) -> np.ndarray:
    """Return which row of so many each row of a target is taken from."""
    share = _share(size, target, corners)
    places = (np.arange(target, dtype="float32") + np.float32(0.5 if centers else 0.0)) * share
    rounded = np.floor(places + np.float32(0.5)) if corners else np.floor(places)
    return np.clip(rounded, 0, size - 1).astype("intp")


def resize_bilinear(operator: Operator) -> Compute:
    """Compute RESIZE_BILINEAR."""
    check_same_scheme(operator, operator.inputs[0])
    rounding = Rounding(operator)
    corners, centers = (operator.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    rows, columns = (
        places_between(size, target, corners, centers)
        for size, target in zip(operator.inputs[0].shape[1:3], operator.output.shape[1:3], strict=True)
    )

    def compute(images: np.ndarray, *_: np.ndarray) -> np.ndarray:
        wide = images.astype("int32")
        (left, right, across), (above, below, down) = columns, rows
        across, down = across[:, None], down[:, None, None]
        mixed = (wide[:, :, :, left] << _BITS) + across * (wide[:, :, :, right] - wide[:, :, :, left])
        # Up to 8 bits and twice 11: within 32.
        mixed = (mixed[:, :, above] << _BITS) + down * (mixed[:, :, below] - mixed[:, :, above])
        return ((mixed + (1 << (2 * _BITS - 1))) >> (2 * _BITS)).astype(rounding.dtype)

    return compute


def places_between(size: int, target: int, corners: bool, centers: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return between which rows each row of a target lies, and the second one's share in so many parts."""
    share = _share(size, target, corners)
    places = np.arange(target, dtype="float32") * share
    if centers and not corners:
        offset = np.float32(0.5) * share - np.float32(0.5)
        places = np.clip(places + offset, 0.0, np.float32(size - 1))
    first = places.astype("intp")
    parts = np.rint((places - first.astype("float32")) * np.float32(1 << _BITS)).astype("int32")
    return first, np.minimum(first + 1, size - 1), parts


def _share(size: int, target: int, corners: bool) -> np.float32:
    if corners and target > 1:
        return np.float32(size - 1) / np.float32(target - 1)
    return np.float32(size) / np.float32(target)
