"""Files that are written without TensorFlow: LiteRT runs them, and NumPy says what comes out."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated
from run_graph import constant, normal, open_file, run, single

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Operator, Tensor, write
from keras_lite.runtime.litert_worker import delegation

pytestmark = pytest.mark.tensorflow_only

PIXELWISE = {"padding": "VALID", "stride_w": 1, "stride_h": 1}


def classifier():
    """Return a pixelwise convolution with ReLU6, a mean, a dense layer and a softmax; and the same in NumPy."""
    kernel, bias, dense = normal(16, 3), normal(16, seed=1), normal(10, 16, seed=2)
    images = Tensor("photos", (1, 8, 8, 3))
    stem, pool = Tensor("stem", (1, 8, 8, 16)), Tensor("pool", (1, 16))
    logits, scores = Tensor("head", (1, 10)), Tensor("scores", (1, 10))
    operators = [
        Operator(
            "CONV_2D",
            [images, constant(kernel.reshape(16, 1, 1, 3), "stem/kernel"), constant(bias, "stem/bias")],
            [stem],
            {**PIXELWISE, "fused_activation_function": "RELU6"},
        ),
        Operator("MEAN", [stem, constant([1, 2], "pool/axes")], [pool], {"keep_dims": False}),
        Operator("FULLY_CONNECTED", [pool, constant(dense, "head/kernel")], [logits]),
        Operator("SOFTMAX", [logits], [scores], {"beta": 1.0}),
    ]

    def answer(values):
        pooled = np.clip(values @ kernel.T + bias, 0, 6).mean((1, 2))
        exponents = np.exp(pooled @ dense.T)
        return exponents / exponents.sum(-1, keepdims=True)

    return FloatGraph("classifier", [images], [scores], operators), answer


def test_a_classifier():
    graph, answer = classifier()
    content = write(graph)

    images = normal(1, 8, 8, 3, seed=3)
    np.testing.assert_allclose(run(content, images), answer(images), rtol=1e-5)
    interpreter = open_file(content)
    assert delegation(interpreter) == {"partitions": 1, "not_delegated": []}
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["photos"], "outputs": ["scores"]}}
    model = schema_py_generated.Model.GetRootAs(content)
    assert (model.Version(), model.Description()) == (3, b"keras_lite")
    runner = interpreter.get_signature_runner()
    np.testing.assert_allclose(runner(photos=images)["scores"], answer(images), rtol=1e-5)


def test_the_same_graph_gives_the_same_bytes():
    assert write(classifier()[0]) == write(classifier()[0])
    assert write(classifier()[0], "float16") == write(classifier()[0], "float16")


def test_constants_are_aligned_and_equal_ones_written_once():
    values = normal(40, 40)
    first, second, third = Tensor("a", (1, 40)), Tensor("b", (1, 40)), Tensor("c", (1, 40))
    kernels = [constant(values, "same"), constant(values.copy(), "same")]
    operators = [
        Operator("FULLY_CONNECTED", [first, kernels[0]], [second]),
        Operator("FULLY_CONNECTED", [second, kernels[1]], [third]),
    ]
    content = write(FloatGraph("twice", [first], [third], operators))

    assert content.count(values.tobytes()) == 1
    assert content.index(values.tobytes()) % 16 == 0
    source = normal(1, 40, seed=1)
    np.testing.assert_allclose(run(content, source), source @ values.T @ values.T, rtol=1e-4, atol=1e-4)
    names = [details["name"] for details in open_file(content).get_tensor_details()]
    assert {"a", "b", "c", "same", "same_1"} <= set(names)


def test_values_in_another_order_of_bytes_or_axes():
    values = normal(6, 5)
    for stored in (values.astype(">f4"), np.asfortranarray(values), values.T.copy().T):
        content = write(single("FULLY_CONNECTED", [Tensor("x", (1, 5)), constant(stored)], (1, 6)))
        np.testing.assert_allclose(run(content, np.ones((1, 5), "float32")), values.sum(1)[None], rtol=1e-5)


def test_names_stay_those_of_inputs_and_outputs():
    source, middle, output = (Tensor("x", (1, 4)) for _ in range(3))
    graph = FloatGraph(
        "x", [source], [output], [Operator("ABS", [source], [middle]), Operator("NEG", [middle], [output])]
    )
    assert open_file(write(graph)).get_signature_list()["serving_default"] == {"inputs": ["x"], "outputs": ["x_1"]}


X = normal(1, 4, 4, 6)
Y = normal(1, 4, 4, 6, seed=1)
P = np.abs(X) + np.float32(0.5)
CASES = [
    ("SUB", [X, Y], {"fused_activation_function": "RELU"}, np.maximum(X - Y, 0)),
    ("ADD", [X, Y], {"fused_activation_function": "RELU_N1_TO_1"}, np.clip(X + Y, -1, 1)),
    ("MUL", [X, Y], {}, X * Y),
    ("DIV", [X, P], {}, X / P),
    ("MAXIMUM", [X, Y], {}, np.maximum(X, Y)),
    ("MINIMUM", [X, Y], {}, np.minimum(X, Y)),
    ("SQUARED_DIFFERENCE", [X, Y], {}, (X - Y) ** 2),
    ("POW", [P, constant(np.float32(1.5))], {}, P**1.5),
    ("RELU", [X], {}, np.maximum(X, 0)),
    ("RELU6", [4 * X], {}, np.clip(4 * X, 0, 6)),
    ("RELU_0_TO_1", [X], {}, np.clip(X, 0, 1)),
    ("RELU_N1_TO_1", [X], {}, np.clip(X, -1, 1)),
    ("LEAKY_RELU", [X], {"alpha": 0.25}, np.where(X > 0, X, X / 4)),
    ("PRELU", [X, constant(np.arange(6, dtype="float32"))], {}, np.where(X > 0, X, X * np.arange(6))),
    ("ELU", [X], {}, np.where(X > 0, X, np.expm1(X))),
    ("LOGISTIC", [X], {}, 1 / (1 + np.exp(-X))),
    ("TANH", [X], {}, np.tanh(X)),
    ("HARD_SWISH", [X], {}, X * np.clip(X + 3, 0, 6) / 6),
    ("GELU", [X], {"approximate": True}, X / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))),
    ("SOFTMAX", [X], {"beta": 2.0}, np.exp(2 * X) / np.exp(2 * X).sum(-1, keepdims=True)),
    ("EXP", [X], {}, np.exp(X)),
    ("LOG", [P], {}, np.log(P)),
    ("SQRT", [P], {}, np.sqrt(P)),
    ("RSQRT", [P], {}, 1 / np.sqrt(P)),
    ("SQUARE", [X], {}, X**2),
    ("NEG", [X], {}, -X),
    ("ABS", [X], {}, np.abs(X)),
    ("COS", [X], {}, np.cos(X)),
    ("SIN", [X], {}, np.sin(X)),
    ("MEAN", [X, constant([1, 2])], {"keep_dims": True}, X.mean((1, 2), keepdims=True)),
    ("SUM", [X, constant([3])], {"keep_dims": False}, X.sum(3)),
    ("REDUCE_MAX", [X, constant([1, 2])], {"keep_dims": False}, X.max((1, 2))),
    ("PAD", [X, constant([[0, 0], [1, 2], [0, 0], [0, 3]])], {}, np.pad(X, ((0, 0), (1, 2), (0, 0), (0, 3)))),
    (
        "PADV2",
        [X, constant([[0, 0], [1, 1], [1, 1], [0, 0]]), constant(np.float32(-7))],
        {},
        np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-7),
    ),
    (
        "MIRROR_PAD",
        [X, constant([[0, 0], [1, 1], [2, 2], [0, 0]])],
        {"mode": "REFLECT"},
        np.pad(X, ((0, 0), (1, 1), (2, 2), (0, 0)), mode="reflect"),
    ),
    ("CONCATENATION", [X, Y], {"axis": 3}, np.concatenate([X, Y], 3)),
    ("RESHAPE", [X, constant([1, 96])], {"new_shape": [1, 96]}, X.reshape(1, 96)),
    ("TRANSPOSE", [X, constant([0, 3, 1, 2])], {}, X.transpose(0, 3, 1, 2)),
    ("SLICE", [X, constant([0, 1, 0, 2]), constant([1, 2, 4, 3])], {}, X[:, 1:3, :, 2:5]),
    ("STRIDED_SLICE", [X, constant([0, 0, 0, 0]), constant([1, 4, 4, 6]), constant([1, 2, 2, 1])], {}, X[:, ::2, ::2]),
    ("PACK", [X, Y], {"values_count": 2, "axis": 1}, np.stack([X, Y], 1)),
    ("EXPAND_DIMS", [X, constant(np.int32(1))], {}, X[:, None]),
    ("SQUEEZE", [X[:, :1]], {"squeeze_dims": [1]}, X[:, 0]),
    ("BATCH_MATMUL", [X[0], Y[0]], {"adj_y": True}, X[0] @ Y[0].swapaxes(1, 2)),
    ("RESIZE_NEAREST_NEIGHBOR", [X, constant([8, 8])], {"half_pixel_centers": True}, X.repeat(2, 1).repeat(2, 2)),
    ("RESIZE_BILINEAR", [X, constant([2, 2])], {"half_pixel_centers": True}, X.reshape(1, 2, 2, 2, 2, 6).mean((2, 4))),
    (
        "SPACE_TO_DEPTH",
        [X],
        {"block_size": 2},
        X.reshape(1, 2, 2, 2, 2, 6).transpose(0, 1, 3, 2, 4, 5).reshape(1, 2, 2, 24),
    ),
    (
        "DEPTH_TO_SPACE",
        [X[..., :4]],
        {"block_size": 2},
        X[..., :4].reshape(1, 4, 4, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(1, 8, 8, 1),
    ),
    ("L2_NORMALIZATION", [X], {}, X / np.sqrt((X**2).sum(-1, keepdims=True))),
    ("GATHER", [X, constant([5, 0, 2])], {"axis": 3}, X[..., [5, 0, 2]]),
    ("BROADCAST_TO", [X[:, :1], constant([1, 4, 4, 6])], {}, X[:, :1].repeat(4, 1)),
    ("ARG_MAX", [X, constant(np.int32(3))], {"output_type": "INT32"}, X.argmax(3).astype("int32")),
    ("CAST", [3 * X], {"in_data_type": "FLOAT32", "out_data_type": "INT32"}, (3 * X).astype("int32")),
    ("AVERAGE_POOL_2D", [X], {"filter_height": 2, "filter_width": 2, **PIXELWISE}, None),
    ("MAX_POOL_2D", [X], {"filter_height": 2, "filter_width": 2, **PIXELWISE}, None),
]


@pytest.mark.parametrize("kind, inputs, options, expected", CASES, ids=[case[0] for case in CASES])
def test_operators(kind, inputs, options, expected):
    if expected is None:
        windows = np.stack([X[:, i : i + 3, j : j + 3] for i in (0, 1) for j in (0, 1)])
        expected = windows.mean(0) if kind == "AVERAGE_POOL_2D" else windows.max(0)
    values = [value for value in inputs if isinstance(value, np.ndarray)]
    tensors = [Tensor(f"x{n}", x.shape) if isinstance(x, np.ndarray) else x for n, x in enumerate(inputs)]
    content = write(single(kind, tensors, expected.shape, options, expected.dtype.name.replace("64", "32")))

    received = run(content, *values)
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, rtol=2e-5, atol=2e-5)


def test_operators_of_several_outputs():
    source, halves = Tensor("x", (1, 4, 4, 6)), [Tensor(f"half{n}", (1, 4, 4, 3)) for n in (0, 1)]
    split = Operator("SPLIT", [constant(np.int32(3)), source], halves, {"num_splits": 2})
    for received, expected in zip(
        run(write(FloatGraph("s", [source], halves, [split])), X), np.split(X, 2, 3), strict=True
    ):
        np.testing.assert_array_equal(received, expected)

    parts = [Tensor("part0", (1, 4, 4, 2)), Tensor("part1", (1, 4, 4, 4))]
    sizes = [source, constant([2, 4]), constant(np.int32(3))]
    split = Operator("SPLIT_V", sizes, parts, {"num_splits": 2})
    assert [each.shape[3] for each in run(write(FloatGraph("s", [source], parts, [split])), X)] == [2, 4]

    rows = [Tensor(f"row{n}", (1, 4, 6)) for n in range(4)]
    unpack = Operator("UNPACK", [source], rows, {"num": 4, "axis": 1})
    for n, received in enumerate(run(write(FloatGraph("u", [source], rows, [unpack])), X)):
        np.testing.assert_array_equal(received, X[:, n])


def test_convolutions():
    source = Tensor("x", (1, 4, 4, 6))
    same = {"padding": "SAME", "stride_w": 1, "stride_h": 1}
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.stack([padded[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)], -1)  # 1, 4, 4, 6, 9

    kernel = normal(5, 3, 3, 6)
    content = write(single("CONV_2D", [source, constant(kernel), constant(normal(5))], (1, 4, 4, 5), same))
    expected = np.einsum("nhwck,okc->nhwo", windows, kernel.reshape(5, 9, 6)) + normal(5)
    np.testing.assert_allclose(run(content, X), expected, rtol=1e-4, atol=1e-5)

    kernel = normal(1, 3, 3, 6)
    options = {**same, "depth_multiplier": 1}
    content = write(single("DEPTHWISE_CONV_2D", [source, constant(kernel), constant(normal(6))], (1, 4, 4, 6), options))
    expected = np.einsum("nhwck,kc->nhwc", windows, kernel.reshape(9, 6)) + normal(6)
    np.testing.assert_allclose(run(content, X), expected, rtol=1e-4, atol=1e-5)

    kernel = normal(5, 2, 2, 6)
    options = {"padding": "SAME", "stride_w": 2, "stride_h": 2}
    content = write(single("TRANSPOSE_CONV", [constant([1, 8, 8, 5]), constant(kernel), source], (1, 8, 8, 5), options))
    expected = np.einsum("nhwc,oijc->nhiwjo", X, kernel).reshape(1, 8, 8, 5)
    np.testing.assert_allclose(run(content, X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kind, options, expected",
    [
        ("CONVOLVE", {}, r"Expected an operator's kind to be a name of TFLite's BuiltinOperator, received 'CONVOLVE'"),
        ("SOFTMAX", {"gamma": 1.0}, r"Expected options of SOFTMAX in output, received 'gamma'; it has: beta\."),
        ("RELU", {"alpha": 1.0}, r"received 'alpha'; it has: none\."),
        ("ADD", {"fused_activation_function": "SWISH"}, r"one of NONE, RELU, .* received 'SWISH'"),
        ("SOFTMAX", {"beta": "high"}, r"Expected a number as beta of output, received 'high'"),
    ],
)
def test_what_tflite_does_not_have_says_so_in_one_line(kind, options, expected):
    with pytest.raises(InputError, match=expected) as raised:
        write(single(kind, [Tensor("x", (1, 4))], (1, 4), options))
    assert "\n" not in str(raised.value)


def test_what_is_no_type_or_precision():
    with pytest.raises(InputError, match=r"the type of output .* received 'FLOAT8'"):
        write(single("RELU", [Tensor("x", (1, 4))], (1, 4), dtype="float8"))
    with pytest.raises(InputError, match="float32, float16, dynamic, received 'int4'"):
        write(classifier()[0], "int4")
