"""Int8 graphs in whole numbers: many operators, what goes in and comes out, and what is refused."""

import numpy as np
import pytest
from int8_graphs import graph_of, held, in_litert, int8, integers, kernel_and_bias
from run_graph import constant

from keras_lite.errors import InputError
from keras_lite.litert import IntegerModel, Operator, QuantizationParameters, QuantizedGraph
from keras_lite.runtime.litert_worker import to_model_type

pytestmark = pytest.mark.tensorflow_only


def network():
    """Return a graph with a branch, windows that stand in the place of the batch, and two outputs."""
    source, wide = int8("photos", (1, 8, 6, 3), 0.02, -10), int8("wide", (1, 8, 6, 8), 0.5, -128)
    windows, turned = int8("windows", (4, 4, 3, 8), 0.5, -128), int8("turned", (4, 8, 4, 3), 0.5, -128)
    back, total = int8("back", (1, 8, 6, 8), 0.5, -128), int8("total", (1, 8, 6, 8), 0.7, -90)
    pooled, logits = int8("pool", (1, 8), 0.4, -3), int8("logits", (1, 5), 0.9, 4)
    kernel, bias = kernel_and_bias((8, 3, 3, 3), 0, source=0.02)
    options = {"fused_activation_function": "RELU", "padding": "SAME", "stride_h": 1, "stride_w": 1}
    operators = [
        Operator("CONV_2D", [source, kernel, bias], [wide], options),
        Operator("RESHAPE", [wide, constant([4, 4, 3, 8])], [windows]),
        Operator("TRANSPOSE", [windows, constant([0, 3, 1, 2])], [turned]),
        Operator("RESHAPE", [turned, constant([1, 8, 6, 8])], [back]),
        Operator("ADD", [back, wide], [total]),
        Operator("MEAN", [total, constant([1, 2])], [pooled], {"keep_dims": False}),
        Operator("FULLY_CONNECTED", [pooled, *kernel_and_bias((5, 8), 0, source=0.4)], [logits]),
    ]  # fmt: skip
    return QuantizedGraph("network", [source], [logits, total], operators)


def test_a_network():
    graph, images = network(), integers(50, 8, 6, 3)
    expected = in_litert(graph, [images])
    model = IntegerModel(graph)
    floats = model.predict(images)
    turned = next(each for operator in graph.operators for each in operator.outputs if each.name == "turned")
    logits, middle, again = model.outputs_of(images, [graph.outputs[0], turned, graph.inputs[0]])
    np.testing.assert_array_equal(logits, expected[0])
    np.testing.assert_array_equal(again, images)
    assert (middle.shape, middle.dtype) == ((200, 8, 4, 3), "int8")
    for mine, theirs, scale, zero in zip(floats, expected, (0.9, 0.7), (4, -90), strict=True):
        assert mine.dtype == "float32"
        np.testing.assert_array_equal(mine, (theirs.astype("float32") - zero) * np.float32(scale))
    # The same images as floats.
    np.testing.assert_array_equal(model.predict((images + 10.0) * np.float32(0.02))[0], floats[0])


def test_what_is_refused():
    graph = network()
    with pytest.raises(InputError, match="targets arm64, x86, received 'arm'"):
        IntegerModel(graph, target="arm")
    model = IntegerModel(graph)
    with pytest.raises(InputError, match=r"photos of shape \(count, 8, 6, 3\), received \(2, 6, 8, 3\)"):
        model.predict(np.zeros((2, 6, 8, 3), "float32"))
    with pytest.raises(InputError, match=r"received \(0, 8, 6, 3\)"):
        model.predict(np.zeros((0, 8, 6, 3), "float32"))
    with pytest.raises(InputError, match=r"photos of shape .*, received \(2, 2, 8, 6, 3\)"):
        model.predict([np.zeros((2, 8, 6, 3), "float32")] * 2)
    with pytest.raises(InputError, match="tensors that network computes"):
        model.outputs_of(integers(1, 8, 6, 3), [int8("other", (1, 4))])
    x, y = int8("x", (1, 4)), int8("y", (1, 4))
    with pytest.raises(InputError, match=r"Expected y to be one of ADD, .*, received CUMSUM"):
        IntegerModel(graph_of("CUMSUM", [x, constant(1)], [y]))
    with pytest.raises(InputError, match=r"y with one of the activations NONE, RELU, .*, received TANH"):
        IntegerModel(graph_of("ADD", [x, x], [y], {"fused_activation_function": "TANH"}))
    small = int8("u", (1, 4), dtype="uint8")
    with pytest.raises(InputError, match="Expected int8 for ADD, received uint8 for u"):
        IntegerModel(graph_of("ADD", [small, small], [y]))
    with pytest.raises(InputError, match="less than 128 steps of y for a step of what goes into it, received 200"):
        IntegerModel(graph_of("HARD_SWISH", [int8("x", (1, 4), 10.0)], [y]))
    kernel = held(integers(4, 4), 200.0)
    with pytest.raises(InputError, match=r"less than 256 output steps .* in y, received 1000"):
        IntegerModel(graph_of("FULLY_CONNECTED", [int8("x", (1, 4), 0.25), kernel], [y]))
    bias = constant(np.zeros(4, "int32"), "bias")
    with pytest.raises(InputError, match="as many scales for bias as for held"):
        IntegerModel(graph_of("FULLY_CONNECTED", [x, held(integers(4, 4), 0.1), bias], [y]))


def test_scheme_of_inputs():
    """Floats become integers as they do for LiteRT's input."""
    scheme = QuantizationParameters(0.5, 1)
    assert scheme.quantize(np.array([0.25, 0.75, -0.25, 1e9, -np.inf])).tolist() == [1, 3, 1, 127, -128]
    assert scheme.quantize(np.array([-0.4, 200.0]), "uint8").tolist() == [0, 255]
    values = np.random.default_rng(0).normal(0, 20, 5000).astype("float32")
    for scale, zero, dtype in ((0.1, 3, "int8"), (1 / 3, 120, "uint8")):
        expected = to_model_type(values, {"dtype": dtype, "quantization": (float(np.float32(scale)), zero)})
        np.testing.assert_array_equal(QuantizationParameters(scale, zero).quantize(values, dtype), expected)
    assert scheme.dequantize(np.array([1, -128], "int8")).tolist() == [0.0, -64.5]
