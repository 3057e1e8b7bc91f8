"""Int8 files that are written without TensorFlow: XNNPACK takes each kind whole, and NumPy says what comes out."""

import numpy as np
import pytest
from run_graph import constant, normal, open_file, run

from keras_lite.litert import (
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    quantize_bias,
    quantize_kernel,
    write,
)
from keras_lite.runtime.litert_worker import delegation

pytestmark = pytest.mark.tensorflow_only

WHOLE = {"partitions": 1, "not_delegated": []}
IN, WIDE = QuantizationParameters(0.05, 3), QuantizationParameters(0.125, -20)
UNIT, SIGNED = QuantizationParameters(1 / 256, -128), QuantizationParameters(1 / 128, 0)
NUMBERS = [np.random.default_rng(seed).integers(-128, 128, (1, 4, 4, 6), "int8") for seed in range(2)]
X, Y = (((each.astype("float32") - IN.zero_point) * IN.scale) for each in NUMBERS)
PIXELWISE = {"padding": "VALID", "stride_w": 1, "stride_h": 1}
WINDOW = {"filter_height": 2, "filter_width": 2, **PIXELWISE}
WINDOWS = np.stack([X[:, i : i + 3, j : j + 3] for i in (0, 1) for j in (0, 1)])
BLOCKS = X.reshape(1, 2, 2, 2, 2, 6)


def int8(name, shape, quantization=IN):
    return Tensor(name, shape, dtype="int8", quantization=quantization)


def weights(values, axis, source=IN, bias=None):
    """Return kernel and bias as int8 tensors, and the floats that they stand for."""
    integers, parameters = quantize_kernel(values, axis)
    shape = [1] * values.ndim
    shape[axis] = -1
    floats = integers * parameters.scales.reshape(shape)
    tensors = [Tensor("kernel", values.shape, integers, quantization=parameters)]
    if bias is not None:
        whole, steps = quantize_bias(bias, source, parameters)
        tensors.append(Tensor("bias", bias.shape, whole, quantization=steps))
    return tensors, floats


def fixed(values):
    """Return an int8 constant and the floats that it stands for."""
    parameters = QuantizationParameters.between(values.min(), values.max())
    whole = np.clip(np.rint(values / parameters.scale) + parameters.zero_point, -128, 127).astype("int8")
    floats = (whole.astype("float32") - parameters.zero_point) * parameters.scale
    return Tensor("constant", values.shape, whole, quantization=parameters), floats


PIXEL, PIXEL_FLOATS = weights(normal(5, 1, 1, 6), 0, bias=normal(5, seed=1))
DEPTH, DEPTH_FLOATS = weights(normal(1, 2, 2, 6, seed=2), 3, bias=normal(6, seed=3))
DENSE, DENSE_FLOATS = weights(normal(7, 96, seed=4) / 8, 0)
NUMBER, NUMBER_FLOATS = fixed(np.abs(normal(1, 1, 1, 6, seed=5)))
UP, UP_FLOATS = weights(normal(5, 2, 2, 6, seed=6), 0, bias=normal(5, seed=7))
UP_SUMS = np.einsum("nhwc,oijc->nhiwjo", X, UP_FLOATS).reshape(1, 8, 8, 5)
UPSAMPLED = {"padding": "SAME", "stride_w": 2, "stride_h": 2}
DEPTH_SUMS = np.einsum("knhwc,kc->nhwc", WINDOWS, DEPTH_FLOATS.reshape(4, 6))

# Kind, inputs (None: one that is given), options, quantization of the output, what comes out.
CASES = [
    ("CONV_2D", [None, *PIXEL], PIXELWISE, WIDE, X @ PIXEL_FLOATS.reshape(5, 6).T + normal(5, seed=1)),
    (
        "CONV_2D",
        [None, *PIXEL],
        {**PIXELWISE, "fused_activation_function": "RELU6"},
        QuantizationParameters.between(0.0, 6.0),
        np.clip(X @ PIXEL_FLOATS.reshape(5, 6).T + normal(5, seed=1), 0, 6),
    ),
    ("DEPTHWISE_CONV_2D", [None, *DEPTH], {**PIXELWISE, "depth_multiplier": 1}, WIDE, DEPTH_SUMS + normal(6, seed=3)),
    ("FULLY_CONNECTED", [None, *DENSE], {}, WIDE, X.reshape(1, 96) @ DENSE_FLOATS.T),
    ("ADD", [None, None], {}, WIDE, X + Y),
    ("ADD", [None, NUMBER], {"fused_activation_function": "RELU"}, WIDE, np.maximum(X + NUMBER_FLOATS, 0)),
    ("SUB", [None, None], {}, WIDE, X - Y),
    ("MUL", [None, None], {}, QuantizationParameters(0.5, 0), X * Y),
    ("MUL", [None, NUMBER], {}, WIDE, X * NUMBER_FLOATS),
    (
        "MEAN",
        [None, constant([1, 2])],
        {"keep_dims": True},
        QuantizationParameters(0.02, 0),
        X.mean((1, 2), keepdims=True),
    ),
    ("MEAN", [None, constant([1, 2])], {"keep_dims": False}, QuantizationParameters(0.02, 0), X.mean((1, 2))),
    ("MAX_POOL_2D", [None], WINDOW, IN, WINDOWS.max(0)),
    (
        "PAD",
        [None, constant([[0, 0], [1, 2], [0, 1], [0, 0]])],
        {},
        IN,
        np.pad(X, ((0, 0), (1, 2), (0, 1), (0, 0))),
    ),
    ("RESHAPE", [None, constant([1, 96])], {"new_shape": [1, 96]}, IN, X.reshape(1, 96)),
    ("TRANSPOSE", [None, constant([0, 3, 1, 2])], {}, IN, X.transpose(0, 3, 1, 2)),
    ("SLICE", [None, constant([0, 1, 0, 2]), constant([1, 2, 4, 3])], {}, IN, X[:, 1:3, :, 2:5]),
    (
        "STRIDED_SLICE",
        [None, constant([0, 1, 0, 0]), constant([1, 4, 2, 6]), constant([1, 1, 1, 1])],
        {},
        IN,
        X[:, 1:4, :2],
    ),
    ("CONCATENATION", [None, None], {"axis": 3}, IN, np.concatenate([X, Y], 3)),
    # XNNPACK multiplies by a factor in 256 parts; this one is exact.
    ("QUANTIZE", [None], {}, QuantizationParameters(0.1, -20), X),
    ("LOGISTIC", [None], {}, UNIT, 1 / (1 + np.exp(-X))),
    ("TANH", [None], {}, SIGNED, np.tanh(X)),
    ("LEAKY_RELU", [None], {"alpha": 0.25}, IN, np.where(X > 0, X, X / 4)),
    ("RESIZE_BILINEAR", [None, constant([2, 2])], {"half_pixel_centers": True}, IN, BLOCKS.mean((2, 4))),
    ("REDUCE_MAX", [None, constant([1, 2])], {"keep_dims": False}, IN, X.max((1, 2))),
    ("SUM", [None, constant([3])], {"keep_dims": False}, QuantizationParameters(0.25, 0), X.sum(3)),
    (
        "SPACE_TO_DEPTH",
        [None],
        {"block_size": 2},
        IN,
        BLOCKS.transpose(0, 1, 3, 2, 4, 5).reshape(1, 2, 2, 24),
    ),
    ("TRANSPOSE_CONV", [constant([1, 8, 8, 5]), UP[0], None, UP[1]], UPSAMPLED, WIDE, UP_SUMS + normal(5, seed=7)),
]
# Kinds that XNNPACK has no int8 kernel of; LiteRT's own run them.
OUTSIDE = [
    ("SOFTMAX", [None], {"beta": 1.0}, UNIT, np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    ("GELU", [None], {"approximate": True}, IN, X / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))),
    ("BATCH_MATMUL", [None, None], {"adj_y": True}, QuantizationParameters(1.0, 0), X @ Y.swapaxes(2, 3)),
    ("HARD_SWISH", [None], {}, WIDE, X * np.clip(X + 3, 0, 6) / 6),
    ("MAXIMUM", [None, None], {}, IN, np.maximum(X, Y)),
    ("RELU", [None], {}, WIDE, np.maximum(X, 0)),
    ("PACK", [None, None], {"values_count": 2, "axis": 1}, IN, np.stack([X, Y], 1)),
    ("AVERAGE_POOL_2D", [None], WINDOW, IN, WINDOWS.mean(0)),
    (
        "RESIZE_NEAREST_NEIGHBOR",
        [None, constant([8, 8])],
        {"half_pixel_centers": True},
        IN,
        X.repeat(2, 1).repeat(2, 2),
    ),
]


def one_operator(kind, inputs, options, quantization, expected):
    tensors = [int8(f"x{n}", (1, 4, 4, 6)) if each is None else each for n, each in enumerate(inputs)]
    sources = [tensor for tensor in tensors if not tensor.is_constant]
    output = int8("output", expected.shape, quantization)
    return write(QuantizedGraph("small", sources, [output], [Operator(kind, tensors, [output], options)]))


def steps_off(content, kind, inputs, options, quantization, expected):
    """Return how many steps of the output a file is away from floats."""
    received = run(content, *NUMBERS[: inputs.count(None)])
    assert received.shape == expected.shape
    return np.abs(received - np.clip(expected / quantization.scale + quantization.zero_point, -128, 127)).max()


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_what_xnnpack_takes_is_one_part(case):
    content = one_operator(*case)
    assert steps_off(content, *case) <= 0.51  # half a step by rounding
    assert delegation(open_file(content)) == WHOLE


@pytest.mark.parametrize("case", OUTSIDE, ids=[case[0] for case in OUTSIDE])
def test_what_xnnpack_leaves_runs_in_litert(case):
    content = one_operator(*case)
    assert steps_off(content, *case) <= 1.0
    assert delegation(open_file(content)) == {"partitions": 0, "not_delegated": [case[0]]}


def test_split():
    source, parts = int8("x", (1, 4, 4, 6)), [int8("a", (1, 4, 4, 3)), int8("b", (1, 4, 4, 3))]
    split = Operator("SPLIT", [constant(np.int32(3)), source], parts, {"num_splits": 2})
    content = write(QuantizedGraph("s", [source], parts, [split]))
    for received, expected in zip(run(content, NUMBERS[0]), np.split(NUMBERS[0], 2, 3), strict=True):
        np.testing.assert_array_equal(received, expected)
    assert delegation(open_file(content)) == WHOLE
