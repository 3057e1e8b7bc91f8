"""Operators that sum, turn, mirror and spread numbers in whole numbers, against LiteRT with XNNPACK."""

import pytest
from int8_graphs import check, every, graph_of, int8, kernel_and_bias
from run_graph import constant

from keras_lite.errors import InputError
from keras_lite.litert import IntegerModel

pytestmark = pytest.mark.tensorflow_only
SHAPE = (1, 6, 4, 8)


@pytest.mark.parametrize(
    ("size", "stride", "padding", "target"),
    [
        ((3, 3), 2, "SAME", (12, 10)),
        ((3, 3), 2, "SAME", (11, 9)),
        ((3, 3), 2, "VALID", (13, 11)),
        ((4, 4), 2, "SAME", (12, 10)),
        ((2, 2), 2, "VALID", (12, 10)),
        ((5, 4), 3, "SAME", (18, 15)),
        ((5, 5), 1, "SAME", (6, 5)),
    ],
)
def test_transposed_convolutions(size, stride, padding, target):
    for activation, zero in (("NONE", -128), ("RELU", 3), ("RELU6", 100)):
        kernel, bias = kernel_and_bias((7, *size, 4), 0)
        x, y = int8("x", (1, 6, 5, 4), 0.5, zero), int8("y", (1, *target, 7), 0.7, -20)
        options = {"padding": padding, "stride_h": stride, "stride_w": stride}
        options["fused_activation_function"] = activation
        check("TRANSPOSE_CONV", [constant([1, *target, 7]), kernel, x, bias], y, options)


def test_kernels_smaller_than_the_stride_are_named():
    kernel, bias = kernel_and_bias((3, 1, 1, 4), 0)
    inputs = [constant([1, 12, 10, 3]), kernel, int8("x", (1, 6, 5, 4), 0.5), bias]
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2}
    graph = graph_of("TRANSPOSE_CONV", inputs, [int8("y", (1, 12, 10, 3))], options)
    with pytest.raises(InputError, match="kernel as large as the stride in y, received 1 x 1 and 2 x 2; add zeros"):
        IntegerModel(graph)


@pytest.mark.parametrize(("axes", "shape"), [([1, 2], (1, 8)), ([3], (1, 6, 4)), ([1], (1, 4, 8))])
def test_sums(axes, shape):
    for scale, zero in ((0.4, 11), (0.05, -128), (0.9, 100)):
        source = int8("x", SHAPE, 0.05, -7)
        check("SUM", [source, constant(axes)], int8("y", shape, scale, zero), {"keep_dims": False}, count=20)


@pytest.mark.parametrize(
    ("kind", "constants", "shape", "options"),
    [
        ("DEPTH_TO_SPACE", [], (1, 12, 8, 2), {"block_size": 2}),
        ("SPACE_TO_DEPTH", [], (1, 3, 2, 32), {"block_size": 2}),
        ("REVERSE_V2", [constant([3])], SHAPE, {}),
        ("REVERSE_V2", [constant([1, 2])], SHAPE, {}),
        ("GATHER", [constant([7, 0, 7])], (1, 6, 4, 3), {"axis": 3}),
        ("MIRROR_PAD", [constant([[0, 0], [2, 1], [3, 0], [0, 0]])], (1, 9, 7, 8), {"mode": "REFLECT"}),
        ("MIRROR_PAD", [constant([[0, 0], [2, 1], [4, 0], [0, 0]])], (1, 9, 8, 8), {"mode": "SYMMETRIC"}),
    ],
)
def test_numbers_that_are_moved(kind, constants, shape, options):
    check(kind, [int8("x", SHAPE), *constants], int8("y", shape), options)


@pytest.mark.parametrize(("scale", "zero"), [(0.01, -128), (0.05, 3), (0.0123, -100)])
def test_logarithms(scale, zero):
    check("LOG", [int8("x", (1, 256), scale, zero)], int8("y", (1, 256), 0.02, -20), values=[every()])
