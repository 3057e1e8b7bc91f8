"""Operators in floats inside of int8 graphs: within a step of LiteRT, on values that are all in range."""

import numpy as np
import pytest
from int8_graphs import in_litert, int8, integers
from run_graph import constant, normal

from keras_lite.litert import IntegerModel, Operator, QuantizedGraph, Tensor

SHAPE = (1, 4, 3, 6)


def graph_of(kind, others, shape, options, dtype="float32"):
    """Return a graph of one operator in floats between DEQUANTIZE and QUANTIZE."""
    x, floats = int8("x", SHAPE, 0.02, 3), Tensor("x/float", SHAPE)
    inner, y = Tensor("inner", shape, dtype=dtype), int8("y", shape, 0.05, -20)
    inputs = [floats if each is None else each for each in others]
    operators = [Operator("DEQUANTIZE", [x], [floats]), Operator(kind, inputs, [inner], options)]
    if dtype != "float32":
        inner, before = Tensor("cast", shape), inner
        types = {"in_data_type": dtype.upper(), "out_data_type": "FLOAT32"}
        operators.append(Operator("CAST", [before], [inner], types))
    return QuantizedGraph("floats", [x], [y], [*operators, Operator("QUANTIZE", [inner], [y])])


PLAIN = {"fused_activation_function": "NONE"}
SLOPES = np.abs(normal(6))
MATRIX = {"adj_x": False, "asymmetric_quantize_inputs": False}
REDUCED = {"keep_dims": True}


@pytest.mark.parametrize(
    ("kind", "others", "shape", "options"),
    [
        ("ABS", [None], SHAPE, {}),
        ("ADD", [None, constant(normal(6))], SHAPE, {"fused_activation_function": "RELU6"}),
        ("BATCH_MATMUL", [None, None], (1, 4, 3, 3), {**MATRIX, "adj_y": True}),
        ("BATCH_MATMUL", [None, constant(normal(1, 4, 6, 5))], (1, 4, 3, 5), {**MATRIX, "adj_y": False}),
        ("CEIL", [None], SHAPE, {}),
        ("COS", [None], SHAPE, {}),
        ("DIV", [None, constant(1.0 + SLOPES)], SHAPE, PLAIN),
        ("ELU", [None], SHAPE, {}),
        ("EXP", [None], SHAPE, {}),
        ("FLOOR", [None], SHAPE, {}),
        ("GELU", [None], SHAPE, {"approximate": False}),
        ("GELU", [None], SHAPE, {"approximate": True}),
        ("HARD_SWISH", [None], SHAPE, {}),
        ("L2_NORMALIZATION", [None], SHAPE, PLAIN),
        ("LEAKY_RELU", [None], SHAPE, {"alpha": 0.3}),
        ("LOG_SOFTMAX", [None], SHAPE, {}),
        ("LOGISTIC", [None], SHAPE, {}),
        ("MAXIMUM", [None, constant(np.float32(0.25))], SHAPE, {}),
        ("MEAN", [None, constant([3], dtype="int32")], (*SHAPE[:3], 1), REDUCED),
        ("MEAN", [None, constant([1, 2], dtype="int32")], (1, 6), {"keep_dims": False}),
        ("MINIMUM", [None, constant(normal(6))], SHAPE, {}),
        ("MUL", [None, None], SHAPE, PLAIN),
        ("NEG", [None], SHAPE, {}),
        ("PRELU", [None, constant(SLOPES)], SHAPE, {}),
        ("REDUCE_MAX", [None, constant([-1], dtype="int32")], (*SHAPE[:3], 1), REDUCED),
        ("RELU", [None], SHAPE, {}),
        ("RELU6", [None], SHAPE, {}),
        ("RELU_0_TO_1", [None], SHAPE, {}),
        ("RESHAPE", [None, constant([1, 72], dtype="int32")], (1, 72), {}),
        ("SIN", [None], SHAPE, {}),
        ("SOFTMAX", [None], SHAPE, {"beta": 1.0}),
        ("SQUARE", [None], SHAPE, {}),
        ("SQUARED_DIFFERENCE", [None, constant(normal(6))], SHAPE, {}),
        ("SUB", [None, constant(normal(4, 1, 6))], SHAPE, {"fused_activation_function": "RELU"}),
        ("SUM", [None, constant([1], dtype="int32")], (1, 1, 3, 6), REDUCED),
        ("TANH", [None], SHAPE, {}),
        ("TRANSPOSE", [None, constant([0, 3, 1, 2], dtype="int32")], (1, 6, 4, 3), {}),
    ],
)  # fmt: skip
def test_within_a_step(kind, others, shape, options):
    graph = graph_of(kind, others, shape, options)
    assert [operator.kind for operator in graph.float_operators] == [kind]
    values = integers(16, *SHAPE[1:])
    [expected], [found] = in_litert(graph, [values]), IntegerModel(graph).outputs_of(values, graph.outputs)
    apart = np.abs(expected.astype(int) - found)
    assert apart.max() <= 1 and (apart == 0).mean() > 0.999
    assert len(np.unique(found)) > 3


@pytest.mark.parametrize("kind", ["GREATER", "LESS"])
def test_comparisons(kind):
    graph = graph_of(kind, [None, constant(np.float32(0.31))], SHAPE, {}, "bool")
    values = integers(4, *SHAPE[1:])
    [expected], [found] = in_litert(graph, [values]), IntegerModel(graph).outputs_of(values, graph.outputs)
    np.testing.assert_array_equal(found, expected)


def test_roots_and_logarithms_of_what_is_above_zero():
    for kind in ("LOG", "RSQRT", "SQRT"):
        x, floats, above = int8("x", SHAPE, 0.02, 3), Tensor("x/float", SHAPE), Tensor("above", SHAPE)
        inner, y = Tensor("inner", SHAPE), int8("y", SHAPE, 0.05, -20)
        graph = QuantizedGraph("root", [x], [y], [
            Operator("DEQUANTIZE", [x], [floats]),
            Operator("MAXIMUM", [floats, constant(np.float32(0.1))], [above]),
            Operator(kind, [above], [inner]),
            Operator("QUANTIZE", [inner], [y]),
        ])  # fmt: skip
        values = integers(8, *SHAPE[1:])
        [expected], [found] = in_litert(graph, [values]), IntegerModel(graph).outputs_of(values, graph.outputs)
        assert np.abs(expected.astype(int) - found).max() <= 1


def test_what_is_known_goes_on_whatever_made_it():
    graph = graph_of("SQUARE", [None], SHAPE, {})
    values = integers(2, *SHAPE[1:])
    inner = graph.operators[1].output
    [made] = IntegerModel(graph).outputs_of(values, graph.outputs, {inner: np.ones(SHAPE[1:], "float32")[None][[0, 0]]})
    assert (made == 0).all()  # 1 / 0.05 - 20
