"""The range of a quantized model's input: what pixels can be, not what some photos happened to hold."""

from typing import Any

import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.errors import InputError
from keras_lite.quantization.aware.tf_mot.calibration import INPUT_UNKNOWN, measure

# Images may lie this much outside, as a share of the range: the rounding of their own arithmetic.
_ROUNDING = 1e-4
# Images that hold less than this share of the range, in each channel, are all dim, or bright, or pale.
_WHOLE = 0.9
_COPIED = 64


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
    lowest, highest = float(images.min()), float(images.max())
    if preprocessing is None:
        if verbose:
            print(
                f"input range: {min(lowest, 0.0):.4g} to {max(highest, 0.0):.4g}, that of the {len(images)} images, "
                "and what lies outside is cut off; give preprocessing= (or info=) for that of all pixels",
                flush=True,
            )
        setattr(quantized, INPUT_UNKNOWN, True)
    else:
        low, high = (float(ends) for ends in _ends(preprocessing))
        slack = _ROUNDING * (high - low)
        if lowest < low - slack or highest > high + slack:
            raise InputError(
                f"Expected images from {low:.4g} to {high:.4g}, which is what pixels from 0 to 255 become by the "
                f"preprocessing, received values from {lowest:.4g} to {highest:.4g}; give the preprocessing that "
                "made the images."
            )
        lowest, highest = low, high
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
    lows, highs = preprocessing.limits()
    lowest, highest = images.min((0, 1, 2)), images.max((0, 1, 2))
    share = (highest - lowest) / (highs - lows)
    if (share >= _WHOLE).any():
        return
    if verbose:
        print(
            f"the images hold {share.max():.0%} of the levels that pixels can have: ranges are widened for darker, "
            "brighter and stronger copies of them; photos of all kinds serve better",
            flush=True,
        )
    some = images[:_COPIED]
    stretched = (some - lowest) * ((highs - lows) / np.maximum(highest - lowest, 1e-6)) + lows
    copies = np.concatenate([some + (lows - lowest), some + (highs - highest), stretched])
    for tensor in measure(quantized, np.clip(copies, lows, highs).astype("float32"), verbose=verbose):
        least, greatest = tensor.variables["min_var"], tensor.variables["max_var"]
        least.assign(min(float(least.numpy()), float(tensor.lowest.min())))
        greatest.assign(max(float(greatest.numpy()), float(tensor.highest.max())))


def _ends(preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    lows, highs = preprocessing.limits()
    return lows.min(), highs.max()


def _assign(quantized: Any, lowest: float, highest: float) -> None:
    [layer] = [layer for layer in quantized.layers if type(layer).__name__ == "QuantizeLayer"]
    # Zero is in every range: padding needs it without error.
    layer.quantizer_vars["min_var"].assign(min(lowest, 0.0))
    layer.quantizer_vars["max_var"].assign(max(highest, 0.0))
