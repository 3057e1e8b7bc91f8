"""Graphs that LiteRT or XNNPACK can't run are refused before there is a file. None of them is run here."""

import dataclasses

import numpy as np
import pytest
from run_graph import constant

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Operator, QuantizationParameters, QuantizedGraph, Tensor, checks, write
from keras_lite.runtime import litert_worker

pytestmark = pytest.mark.tensorflow_only

PLAIN = {"padding": "VALID", "stride_w": 1, "stride_h": 1}


def int8(name, shape=(1, 2, 2, 3), scale=0.5, zero_point=0):
    return Tensor(name, shape, dtype="int8", quantization=QuantizationParameters(scale, zero_point))


def graph(kind, inputs, output, options=None):
    sources = list(dict.fromkeys(tensor for tensor in inputs if not tensor.is_constant))
    return QuantizedGraph("small", sources, [output], [Operator(kind, inputs, [output], options or {})])


def convolution(source=0.5, kernel=0.25, target=0.5, bias=0, values=1, zero_point=0, **more):
    """Return a pixelwise convolution of 3 channels to 2, the second of which has the given kernel scale and bias."""
    scales = np.array([0.25, kernel], "float32")
    whole = np.array([[1, 1, 1], [values] * 3], "int8").reshape(2, 1, 1, 3)
    parameters = more.get("parameters", QuantizationParameters(scales, [0, 0]))
    addends = np.array([0, bias], more.get("dtype", "int32"))
    steps = more.get("steps", QuantizationParameters(np.float32(source) * scales, [0, 0]))
    weights = [
        Tensor("conv/kernel", whole.shape, whole, quantization=parameters),
        Tensor("conv/bias", (2,), addends, quantization=steps),
    ]
    inputs = [int8("photos", scale=source, zero_point=zero_point), *weights]
    return graph("CONV_2D", inputs, int8("conv", (1, 2, 2, 2), target), PLAIN)


# 1e-5, as all 255 steps from zero.
NUMBER = Tensor("number", (1,), np.array([127], "int8"), quantization=QuantizationParameters(1e-5 / 255, -128))


def total(first=0.5, second=0.5, target=0.5, kind="ADD"):
    return graph(kind, [int8("body", scale=first), int8("branch", scale=second)], int8("total", scale=target))


def without(made, name):
    """Return a graph in which a tensor lost its quantization."""
    for operator in made.operators:
        for tensor in operator.inputs:
            if tensor.name == name:
                tensor.quantization = None
    return made


def joined(scale=0.5, zero_point=0):
    inputs = [int8("left"), int8("right", scale=scale, zero_point=zero_point)]
    return graph("CONCATENATION", inputs, int8("joined", (1, 2, 2, 6)), {"axis": 3})


REFUSED = {
    "missing": (
        without(convolution(), "conv/kernel"),
        "each integer tensor in conv (CONV_2D), received none for conv/ker",
    ),
    "no bias scale": (without(convolution(), "conv/bias"), "in conv (CONV_2D), received none for conv/bias"),
    "near zero": (
        graph("RELU", [int8("x", scale=0.9e-6)], int8("relu", scale=0.9e-6)),
        "scales of at least 1e-06 in relu (RELU), received 9e-07 for x",
    ),
    "output": (convolution(target=1e-7), "in conv (CONV_2D), received 1e-07 for conv"),
    "subnormal": (convolution(kernel=1e-40), "at least 1.18e-38 in conv (CONV_2D), received 1e-40 for conv/kernel"),
    "ratio": (convolution(kernel=256.0), "output scale below 256 in conv (CONV_2D), received 256; widen the range"),
    "axis": (
        convolution(parameters=QuantizationParameters([1, 1], [0, 0], 3)),
        "for the kernel, or 2 along axis 0 in conv (CONV_2D), received 2 along axis 3",
    ),
    "count": (
        convolution(parameters=QuantizationParameters([1, 1, 1], [0] * 3)),
        "received 3 along axis 0",
    ),
    "bias": (
        convolution(bias=2**31, dtype="int64"),
        "a bias of int32 in conv (CONV_2D), received int64 up to 2.15e+09",
    ),
    "bias steps": (
        convolution(steps=QuantizationParameters([0.125, 0.13], [0, 0])),
        "in steps of input scale * kernel scale in conv (CONV_2D), received other scales",
    ),
    # 3 * 127 * 128 = 48,768 are missing to 2^31.
    "wide sums": (
        convolution(bias=2**31 - 48_768, values=127),
        "bias below 2^31 in conv (CONV_2D), received up to 2.15e+09",
    ),
    "wide steps": (
        convolution(bias=2**24, kernel=128.0),
        "below 2^31 steps of the output in conv (CONV_2D), received up to 2.15e+09",
    ),
    "sum above": (
        total(second=128.0),
        "below 256 times the output's in total (ADD), received 256 times for branch; widen",
    ),
    "difference above": (total(first=200.0, kind="SUB"), "in total (SUB), received 400 times for body"),
    "concatenation": (
        joined(scale=0.25),
        "point of joined in all it copies in joined (CONCATENATION), received others for r",
    ),
    "zero point": (joined(zero_point=1), "received others for right; put a QUANTIZE between"),
    "pooling": (
        graph(
            "MAX_POOL_2D",
            [int8("x")],
            int8("pool", (1, 1, 1, 3), 0.25),
            {"filter_width": 2, "filter_height": 2, **PLAIN},
        ),
        "in pool (MAX_POOL_2D), received others for x",
    ),
    "sigmoid": (
        graph("LOGISTIC", [int8("x")], int8("gate", scale=1 / 128, zero_point=-128)),
        "Expected QuantizationParameters(scale=0.00390625, zero_point=-128) in gate (LOGISTIC), received Quantization",
    ),
    "softmax": (
        graph("SOFTMAX", [int8("x")], int8("scores", scale=1 / 256, zero_point=0), {"beta": 1.0}),
        "in scores (SOFTMAX), received QuantizationParameters(scale=0.00390625, zero_point=0)",
    ),
    "several": (
        graph("RELU", [int8("x", scale=[0.5, 0.5, 0.5], zero_point=[0, 0, 0])], int8("relu")),
        "one scale where there is no kernel in relu (RELU), received 3 for x",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    refused, expected = REFUSED[name]
    with pytest.raises(InputError) as raised:
        write(refused)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("Expected ")


@pytest.mark.parametrize(
    "made",
    [
        convolution(),
        convolution(kernel=255.9),
        convolution(kernel=1e-30),
        # One below: 2^31 - 48,768 - 1 and 48,768 of products.
        convolution(bias=2**31 - 48_769, values=127, target=1e3),
        convolution(bias=2**23 - 385, kernel=255.9),
        total(second=127.9),
        total(first=1e-5),
        joined(),
        graph("MUL", [int8("x", scale=100.0), NUMBER], int8("product", scale=4e-4)),
        graph("RESHAPE", [int8("x"), constant([1, 12])], int8("flat", (1, 12))),
        graph("DEQUANTIZE", [int8("x")], Tensor("floats", (1, 2, 2, 3))),
    ],
    ids=range(11),
)
def test_what_is_within_the_limits(made):
    assert write(made)[4:8] == b"TFL3"


def test_padding_and_zero_points_count():
    # From a zero point of -128 numbers reach 255 steps far, not 128.
    made = convolution(bias=2**31 - 3 * 127 * 255, values=127, zero_point=-128, target=1e3)
    with pytest.raises(InputError, match=r"products and bias below 2\^31"):
        write(made)
    write(convolution(bias=2**31 - 3 * 127 * 255 - 1, values=127, zero_point=-128, target=1e3))


def test_the_runtime_knows_the_same_limits():
    assert litert_worker.SMALLEST_SCALE == checks.SMALLEST_SCALE
    assert litert_worker.LARGEST_SCALE_RATIO == checks.LARGEST_SCALE_RATIO


def test_a_precision_of_what_is_quantized():
    with pytest.raises(InputError, match="FloatGraph to write in float16"):
        write(joined(), "float16")


def test_floats_are_not_checked():
    made = joined(scale=0.25)
    inputs = [dataclasses.replace(each, dtype="float32", quantization=None) for each in made.inputs]
    output = Tensor("joined", (1, 2, 2, 6))
    write(FloatGraph("floats", inputs, [output], [Operator("CONCATENATION", inputs, [output], {"axis": 3})]))
