"""The range of a quantized model's input: what pixels can be, not what some photos happened to hold."""

from typing import Any

import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.quantization.aware.tf_mot.calibration import INPUT_UNKNOWN, measure
from keras_lite.quantization.input_range import input_range, stretched_copies


def set_input_range(quantized: Any, images: np.ndarray, preprocessing: Preprocessing | None, verbose: int = 0) -> None:
    """Set the range of a quantized model's input.

    Args:
        quantized: What `quantize_aware` returned.
        images: Preprocessed images.
        preprocessing: What made them of pixels. `None`: the range is the images' own.
        verbose: 1 prints a line where the range is the images' own.

    Raises:
        InputError: If the images hold what `preprocessing` can't give.
    """
    lowest, highest = input_range(images, preprocessing, verbose)
    if preprocessing is None:
        setattr(quantized, INPUT_UNKNOWN, True)
    _assign(quantized, lowest, highest)


def know_input_range(quantized: Any, images: np.ndarray, preprocessing: Preprocessing, verbose: int = 0) -> None:
    """Set the range of the input to what pixels can be, where it was only that of some images.

    Args:
        quantized: What `post_training` or `calibrate` gave ranges.
        images: Preprocessed images, for `widen_ranges`.
        preprocessing: What made them of pixels.
        verbose: As for `widen_ranges`.

    Raises:
        InputError: If the images hold what `preprocessing` can't give.
    """
    if getattr(quantized, INPUT_UNKNOWN, False):
        set_input_range(quantized, images, preprocessing, verbose)
        widen_ranges(quantized, images, preprocessing, verbose)
        setattr(quantized, INPUT_UNKNOWN, False)


def widen_ranges(quantized: Any, images: np.ndarray, preprocessing: Preprocessing, verbose: int = 0) -> None:
    """Widen activation ranges that come from images which hold only a part of what pixels can be.

    What was seen of dim photos alone would cut off all that a bright one gives. So copies of the images, as dark and as
    bright as can be and stretched over all levels, are measured too. Images that hold nearly all levels change nothing.

    Args:
        quantized: A quantized model with ranges, whose input's is that of `preprocessing`.
        images: Preprocessed images that set the ranges.
        preprocessing: What made them of pixels.
        verbose: 1 prints a line where they are widened, and shows progress.
    """
    copies = stretched_copies(images, preprocessing, verbose)
    if copies is None:
        return
    for tensor in measure(quantized, copies, verbose=verbose):
        least, greatest = tensor.variables["min_var"], tensor.variables["max_var"]
        least.assign(min(float(least.numpy()), float(tensor.lowest.min())))
        greatest.assign(max(float(greatest.numpy()), float(tensor.highest.max())))


def _assign(quantized: Any, lowest: float, highest: float) -> None:
    [layer] = [layer for layer in quantized.layers if type(layer).__name__ == "QuantizeLayer"]
    layer.quantizer_vars["min_var"].assign(lowest)
    layer.quantizer_vars["max_var"].assign(highest)
