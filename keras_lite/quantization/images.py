"""Images that quantize a model."""

from typing import Any

import numpy as np

from keras_lite.errors import InputError


def check_images(model: Any, images: np.ndarray) -> np.ndarray:
    """Return images as float32.

    Raises:
        InputError: If there are none, their shape is not that of the model's input, or they hold inf or nan.
    """
    images = np.asarray(images)
    expected = tuple(model.inputs[0].shape[1:])
    fits = images.ndim == len(expected) + 1 and all(
        wanted in (None, size) for wanted, size in zip(expected, images.shape[1:], strict=True)
    )
    if not fits or not len(images) or images.dtype.kind != "f":
        raise InputError(
            f"Expected preprocessed float images of shape (count, {', '.join(map(str, expected))}), "
            f"received {images.dtype} of shape {images.shape}."
        )
    if not np.isfinite(images).all():
        raise InputError("Expected images of finite numbers, received inf or nan.")
    return images.astype("float32", copy=False)
