"""The range of a quantized model's input: what pixels can be, not what some photos happened to hold."""

from typing import Any

import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.errors import InputError

_UNKNOWN = "keras_lite_input_range_unknown"
# Images may lie this much outside, as a share of the range: the rounding of their own arithmetic.
_ROUNDING = 1e-4


def set_input_range(quantized: Any, images: np.ndarray, preprocessing: Preprocessing | None) -> None:
    """Set the range of a quantized model's input.

    Args:
        quantized: What `quantize_aware` returned.
        images: Preprocessed images.
        preprocessing: What made them of pixels. `None`: the range is the images' own, and a line says so.

    Raises:
        InputError: If the images hold what `preprocessing` can't give.
    """
    lowest, highest = float(images.min()), float(images.max())
    if preprocessing is None:
        print(
            f"input range: {min(lowest, 0.0):.4g} to {max(highest, 0.0):.4g}, that of the {len(images)} images, and "
            "what lies outside is cut off; give preprocessing= (or info=) for that of all pixels",
            flush=True,
        )
        leave_input_range(quantized)
    else:
        low, high = preprocessing.limits()
        slack = _ROUNDING * (high - low)
        if lowest < low - slack or highest > high + slack:
            raise InputError(
                f"Expected images from {low:.4g} to {high:.4g}, which is what pixels from 0 to 255 become by the "
                f"preprocessing, received values from {lowest:.4g} to {highest:.4g}; give the preprocessing that "
                "made the images."
            )
        lowest, highest = low, high
    _assign(quantized, lowest, highest)


def leave_input_range(quantized: Any) -> None:
    """Note that the range of the input is that of some images: `know_input_range` is to set it."""
    setattr(quantized, _UNKNOWN, True)


def know_input_range(quantized: Any, preprocessing: Preprocessing) -> None:
    """Set the range of the input to what pixels can be, where it was only that of some images."""
    if getattr(quantized, _UNKNOWN, False):
        _assign(quantized, *preprocessing.limits())
        setattr(quantized, _UNKNOWN, False)


def _assign(quantized: Any, lowest: float, highest: float) -> None:
    [layer] = [layer for layer in quantized.layers if type(layer).__name__ == "QuantizeLayer"]
    # Zero is in every range: padding needs it without error.
    layer.quantizer_vars["min_var"].assign(min(lowest, 0.0))
    layer.quantizer_vars["max_var"].assign(max(highest, 0.0))
