"""Scaling a photo, or a part of it, by one of several kinds of interpolation."""

import math
from typing import Any, Literal

import numpy as np
from PIL import Image

from keras_lite.errors import InputError

Interpolation = Literal["bilinear", "bicubic", "box", "nearest", "bilinear_no_antialias"]

# What Pillow calls those that take all pixels into account: Pillow's filters grow with what they scale down.
_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
}
_BICUBIC_RADIUS = 2  # in pixels, of the result where that is smaller
INTERPOLATIONS = (*_FILTERS, "nearest", "bilinear_no_antialias")
# For people to read.
IN_WORDS = {
    "bilinear": "antialiased bilinear",
    "bicubic": "antialiased bicubic",
    "box": "each pixel the mean of those it covers",
    "nearest": "each pixel the nearest one",
    "bilinear_no_antialias": "bilinear without antialiasing: each pixel from the four nearest ones",
}

Box = tuple[float, float, float, float]


def scaled(photo: Image.Image, size: tuple[int, int], interpolation: str, box: Box | None = None) -> np.ndarray:
    """Return a photo in another size.

    Args:
        photo: The photo.
        size: Height and width of the result.
        interpolation: One of `INTERPOLATIONS`.
        box: Left, top, right and bottom of the part to scale, which need not lie between pixels. `None`: all of it.

    Returns:
        uint8 array of shape `(*size, channels)`.

    Example:

    >>> wide = Image.fromarray(np.array([[[0] * 3, [50] * 3, [100] * 3, [250] * 3]], "uint8"))
    >>> scaled(wide, (1, 2), "box")[0, :, 0].tolist()
    [25, 175]
    """
    height, width = size
    left, top, right, bottom = box or (0, 0, photo.width, photo.height)
    if interpolation == "bicubic":
        # Along the rows first, always: Pillow from 13 on chooses, and overshoots are cut off after each of both steps.
        reach = _BICUBIC_RADIUS * max(1.0, (bottom - top) / height) + 1
        first, last = max(0, math.floor(top - reach)), min(photo.height, math.ceil(bottom + reach))
        photo = photo.resize((width, last - first), _FILTERS[interpolation], box=(left, first, right, last))
        left, top, right, bottom = 0, top - first, width, bottom - first
    if interpolation in _FILTERS:
        return np.asarray(photo.resize((width, height), _FILTERS[interpolation], box=(left, top, right, bottom)))
    rows, columns = _centers(top, bottom, height), _centers(left, right, width)
    pixels = np.asarray(photo)
    if interpolation == "nearest":
        nearest = [np.minimum(at.astype(int), end - 1) for at, end in ((rows, photo.height), (columns, photo.width))]
        return pixels[np.ix_(*nearest)]
    above, below, down = _neighbors(rows, photo.height)
    before, behind, across = _neighbors(columns, photo.width)
    down, across = down[:, None, None], across[:, None]
    upper, lower = (
        pixels[rows][:, before] * (1 - across) + pixels[rows][:, behind] * across for rows in (above, below)
    )
    return np.floor(upper * (1 - down) + lower * down + 0.5).astype("uint8")


def check_interpolation(interpolation: Any) -> str:
    """Return the kind of interpolation.

    Raises:
        InputError: If there is no such kind.
    """
    if interpolation not in INTERPOLATIONS:
        raise InputError(
            f"Expected interpolation to be one of {', '.join(INTERPOLATIONS)}, received {interpolation!r}."
        )
    return interpolation


def _centers(start: float, end: float, count: int) -> np.ndarray:
    """Return where the middles of `count` new pixels lie on the photo, from whose border it is counted."""
    return start + (np.arange(count) + 0.5) * ((end - start) / count)


def _neighbors(centers: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels whose middles lie before and behind, and the share of the one behind."""
    places = np.clip(centers - 0.5, 0, size - 1)
    before = places.astype(int)
    return before, np.minimum(before + 1, size - 1), places - before
