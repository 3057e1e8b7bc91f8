"""Scales, zero points and rounding of int8 tensors."""

import numpy as np
import pytest

from keras_lite.errors import InputError
from keras_lite.litert import QuantizationParameters, quantize_bias, quantize_kernel

pytestmark = pytest.mark.tensorflow_only


def test_parameters():
    assert QuantizationParameters.between(0.0, 255.0) == QuantizationParameters(1.0, -128)
    assert QuantizationParameters.between(-128.0, 127.0).zero_point == 0
    # Zero lies at 63.75 of 255 steps, and is moved onto the 64th.
    assert QuantizationParameters.between(-1.0, 3.0).zero_point == -64
    assert QuantizationParameters([1, 2], [0, 0], 3) != QuantizationParameters([1, 2], [0, 0], 0)
    with pytest.raises(InputError, match="received 2 scales and 1 zero points"):
        QuantizationParameters(np.ones(2), np.zeros(1))
    with pytest.raises(InputError, match=r"above zero, received 0\.0"):
        QuantizationParameters(0.0, 0)


def test_kernels_are_rounded_with_halves_away_from_zero():
    # A channel of zeros has a scale that XNNPACK takes.
    values = np.array([[127, 0.5, -0.5, 1.5, -2.5, 3.49], [0] * 6, [1e-44, 0, 0, 0, 0, 0]], "float32")
    integers, parameters = quantize_kernel(values, 0)
    assert integers.tolist() == [[127, 1, -1, 2, -3, 3], [0] * 6, [0] * 6]
    assert parameters.scales.tolist() == [1.0, 1.0, 1.0]


def test_biases():
    source, kernel = QuantizationParameters(0.5, 3), QuantizationParameters([0.25, 2.0], [0, 0])
    integers, parameters = quantize_bias(np.array([0.1875, -2.5], "float32"), source, kernel)
    assert integers.tolist() == [2, -3]
    assert (integers.dtype, parameters.scales.tolist()) == ("int32", [0.125, 1.0])
    with pytest.raises(InputError, match="within 32 bits, received 8e"):
        quantize_bias(np.array([1e9, 1.0], "float32"), source, kernel)
