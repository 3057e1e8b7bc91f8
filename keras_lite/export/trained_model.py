"""Opening a trained model together with its information file."""

import dataclasses
import os
from pathlib import Path

import keras
import numpy as np

from keras_lite.checkpoints import load_model
from keras_lite.data import ModelInfo, Preprocessing, read_model_info
from keras_lite.errors import InputError
from keras_lite.graph import flatten, with_input_shape, without_resizing
from keras_lite.graph.input_scaling import input_scaling
from keras_lite.training import model_file

# Scaled pixels span about 1 (from 0 to 1) to 5 (normalized): nothing that was trained lies far outside of this.
_LEAST_SPAN, _LARGEST_SPAN = 0.2, 30.0


def open_trained_model(model: str | os.PathLike, verbose: int = 0) -> tuple[Path, keras.Model, ModelInfo]:
    """Return a trained model: its file, the model, its classes and preprocessing.

    Args:
        model: A run folder, a Keras model or PyTorch weights, with its information file beside it.
        verbose: 1 prints what the model does to its input itself.

    Raises:
        InputError: If it is no trained model with an information file that fits.
    """
    path = keras_file(model)
    info = read_model_info(path)
    network, info = with_own_resizing(load_model(path, verbose=verbose), info, verbose)
    check_scaling(network, info.preprocessing, path)
    return path, fit_input(network, info, path), info


def keras_file(path: str | os.PathLike) -> Path:
    """Return the Keras model file that a path stands for: the path itself, or the final model of a run folder.

    Raises:
        InputError: If there is none.
    """
    file = model_file(path)
    if file.suffix == ".tflite":
        raise InputError(f"Expected a run folder, a Keras model or PyTorch weights, received {path}.")
    return file


def fit_input(model: keras.Model, info: ModelInfo, path: Path) -> keras.Model:
    """Return a model for the size in its information file: itself, or rebuilt if it leaves the size open.

    Raises:
        InputError: If it takes something else.
    """
    wanted = (*info.preprocessing.image_size, info.preprocessing.channels)
    shapes = [tuple(tensor.shape[1:]) for tensor in getattr(model, "inputs", None) or []]
    if shapes == [wanted]:
        return model
    if len(shapes) == 1 and None in shapes[0] and len(shapes[0]) == 3 and shapes[0][2] in (None, wanted[2]):
        return with_input_shape(model, wanted)
    received = " and ".join(str(shape) for shape in shapes) or "none that is known"
    instead = (
        ""
        if len(shapes) == 1 and len(shapes[0]) == 3
        else ("; the commands read photos, so call it in Python; keras_lite.export.to_tflite writes its file")
    )
    raise InputError(
        f"Expected one input of shape {wanted} (height, width, channels) in {path}, received {received}{instead}."
    )


def check_row(model: keras.Model, command: str) -> None:
    """Check that a model outputs one row of numbers, which a command measures.

    Args:
        model: A functional or Sequential model.
        command: What measures it, for the message.

    Raises:
        InputError: If not.
    """
    shapes = [tuple(tensor.shape) for tensor in model.outputs]
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise InputError(
            f"Expected a model that outputs one row of numbers for {command}, received outputs of shape "
            f"{' and '.join(map(str, shapes))}; keras-lite export, or keras_lite.export.to_tflite, writes and verifies "
            "its file at each precision."
        )


def with_own_resizing(model: keras.Model, info: ModelInfo, verbose: int = 0) -> tuple[keras.Model, ModelInfo]:
    """Return a model without the `Resizing` at its input, and its information with the same done to photos.

    Args:
        model: A functional or Sequential model.
        info: Its information.
        verbose: 1 prints a line if there is one.

    Raises:
        InputError: If it resizes in a way that photos can't be scaled by before it.
    """
    model, resized = without_resizing(model)
    if resized is None:
        return model, info
    size = resized.image_size
    if verbose:
        print(
            f"the model resizes its input itself: photos are scaled to {size[0]} x {size[1]} as it does "
            f"({resized.interpolation})",
            flush=True,
        )
    preprocessing = dataclasses.replace(
        info.preprocessing,
        image_size=size,
        resize=size,
        keep_aspect=resized.keep_aspect,
        interpolation=resized.interpolation,
    )
    return model, dataclasses.replace(info, preprocessing=preprocessing)


def unscaled(model: keras.Model, preprocessing: Preprocessing, verbose: int = 0) -> Preprocessing:
    """Return the preprocessing of a model that scales its input itself, as Keras' tutorials have it.

    Args:
        model: A functional or Sequential model.
        preprocessing: With the normalization that is taken for want of a better one.
        verbose: 1 prints a line if it is not that one.

    Returns:
        `preprocessing` for a model that does not scale its input. Else the same with pixels from 0 to 255, or from 0 to
        1 where its `Normalization` has seen such.
    """
    scaling = _scaling_inside(model)
    if scaling is None:
        return preprocessing
    channels = len(preprocessing.mean)
    for top, std in ((255, 1 / 255), (1, 1.0)):
        channels = preprocessing.channels
        pixels = dataclasses.replace(preprocessing, mean=(0.0,) * channels, std=(std,) * channels)
        if _LEAST_SPAN <= _span(scaling, pixels) <= _LARGEST_SPAN:
            if verbose:
                print(f"the model scales its input itself: it gets pixels from 0 to {top}", flush=True)
            return pixels
    return preprocessing


def check_scaling(model: keras.Model, preprocessing: Preprocessing, path: Path) -> None:
    """Check that a model which scales its input itself does not get pixels that are normalized already.

    Raises:
        InputError: If it does: what comes of pixels from 0 to 255 lies so close together, or so far apart, that no
            network was trained on it.
    """
    scaling = _scaling_inside(model)
    if scaling is None:
        return
    span = _span(scaling, preprocessing)
    if not _LEAST_SPAN <= span <= _LARGEST_SPAN:
        raise InputError(
            f"Expected preprocessing that suits the scaling inside {path} (a Rescaling or Normalization layer at its "
            f"input), received mean {preprocessing.mean} and std {preprocessing.std}, with which all pixels come to "
            f"lie within {span:.2g}; pixels from 0 to 255 are mean 0 and std {1 / 255:.8f} for each channel."
        )


def _scaling_inside(model: keras.Model) -> tuple[np.ndarray, np.ndarray] | None:
    layers = keras.layers
    inside = list(model._flatten_layers())
    operations = [each for part in inside for each in getattr(part, "operations", [])]
    scales = any(isinstance(each, layers.Rescaling | layers.Normalization) for each in inside)
    if not scales and all(isinstance(each, layers.Layer) for each in operations):
        return None  # without the time that flattening takes
    return input_scaling(flatten(model))


def _span(scaling: tuple[np.ndarray, np.ndarray], preprocessing: Preprocessing) -> float:
    """Return the width of the range of pixels from 0 to 255 after both scalings."""
    lows, highs = preprocessing.limits()
    return float((np.abs(scaling[0]) * (highs - lows)).max())
