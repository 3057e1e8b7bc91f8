"""What the check of int8 files of both ways demands."""

import numpy as np
import pytest

from checks.int8_pairs import Pair, _differing
from keras_lite.runtime.inspection import FileKernel

pytestmark = pytest.mark.tensorflow_only


def kernel(number, bias=(1, 2)):
    values = np.full((2, 3), number, "int8")
    return FileKernel(values, np.array([0.5, 0.25], "float32"), np.array(bias, "int32"))


def test_the_order_of_kernels_and_biases_of_zeros_are_no_difference():
    first, second = kernel(3), kernel(4, bias=(0, 0))
    without = second._replace(bias=np.zeros(0, "int32"))
    assert _differing([first, second], [without, first]).tolist() == [0, 0, 0]


def test_what_differs_is_counted():
    other = kernel(3)._replace(steps=np.array([0.5, 0.75], "float32"))
    other.values[0, 0] = 4
    assert _differing([kernel(3)], [other]).tolist() == [1, 1, 0]
    assert _differing([kernel(3)], []).tolist() == [6, 2, 2]


def test_only_what_the_converter_can_do_is_demanded():
    assert Pair("net", outputs=8).shortcomings() == []
    assert Pair("net", outputs=8, outputs_differing=2).shortcomings() == ["2 outputs of 8 differ"]
    assert Pair("net", fault="a bias beyond 32 bits").shortcomings() == ["a bias beyond 32 bits"]
    assert Pair("net", fault="a bias beyond 32 bits", converter_fault="died").shortcomings() == []
