"""Images that quantize a model."""

from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.graph import as_functional, input_names, with_input_shape
from keras_lite.litert.samples import Given, Samples, arrays_of, together


def check_images(model: Any, images: Given) -> np.ndarray | Samples:
    """Return images, or what else a model takes, as float32.

    Args:
        model: A Keras or tf_keras model, or a graph.
        images: An array; arrays in the order of the inputs, or by their names, where the model has several.

    Raises:
        InputError: If there are none, their shape is not that of the model's input, or they hold inf or nan.
    """
    names = input_names(model) if isinstance(model, keras.Model) else [tensor.name for tensor in model.inputs]
    arrays = arrays_of(images, names)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    which = names if len(names) > 1 else [""]
    return together([_checked(*each) for each in zip(arrays, shapes, which, strict=True)])


def for_images(model: keras.Model, images: np.ndarray | Samples) -> keras.Model:
    """Return a model that leaves the size of its inputs open for the size of some images; one of fixed size as it is.

    Args:
        model: A functional or Sequential model.
        images: What `check_images` returned for it.
    """
    if all(None not in tensor.shape[1:] for tensor in as_functional(model).inputs):
        return model
    return with_input_shape(model, [array.shape[1:] for array in arrays_of(images, input_names(model))])


def _checked(images: np.ndarray, expected: tuple[int | None, ...], name: str) -> np.ndarray:
    fits = images.ndim == len(expected) + 1 and all(
        wanted in (None, size) for wanted, size in zip(expected, images.shape[1:], strict=True)
    )
    if not fits or not len(images) or images.dtype.kind != "f":
        raise InputError(
            f"Expected preprocessed float images of shape (count, {', '.join(map(str, expected))})"
            f"{name and f' for {name}'}, received {images.dtype} of shape {images.shape}."
        )
    if not np.isfinite(images).all():
        raise InputError("Expected images of finite numbers, received inf or nan.")
    return images.astype("float32", copy=False)
