"""Operators in whole numbers: LiteRT's integers to the last, for scales that make halves and saturation."""

import itertools

import numpy as np
import pytest
from int8_graphs import check, every, graph_of, held, int8, integers, kernel_and_bias
from run_graph import constant

from keras_lite.errors import InputError
from keras_lite.litert import IntegerModel, Tensor

pytestmark = pytest.mark.tensorflow_only

ACTIVATIONS = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]
ROW = (1, 256)


def side(size, kernel, stride, dilation, padding):
    return -(-size // stride) if padding == "SAME" else (size - (kernel - 1) * dilation - 1) // stride + 1


def convolution(kind, shape, outputs, kernel, groups=1, zero=3, scale=16.0, target_zero=-5, **options):
    """Check a convolution whose input has steps of 0.5."""
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, **options}
    height, width = (
        side(shape[i], kernel[i], options[f"stride_{c}"], options.get(f"dilation_{c}_factor", 1), options["padding"])
        for i, c in enumerate("hw")
    )
    depthwise = kind == "DEPTHWISE_CONV_2D"
    weights = kernel_and_bias(
        (1, *kernel, outputs) if depthwise else (outputs, *kernel, shape[2] // groups), depthwise * 3
    )
    source = int8("x", (1, *shape), 0.5, zero)
    return check(kind, [source, *weights], int8("y", (1, height, width, outputs), scale, target_zero), options)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_of_convolutions(activation):
    # 6 is 2.5 steps: with a zero point of 7 it is rounded to 10, without to 9.
    found = convolution(
        "CONV_2D", (9, 8, 5), 12, (3, 3), scale=2.4, target_zero=7, fused_activation_function=activation
    )
    ends = {"NONE": (-128, 127), "RELU": (7, 127), "RELU6": (7, 10), "RELU_N1_TO_1": (7, 7)}[activation]
    assert (found.min(), found.max()) == ends


@pytest.mark.parametrize(
    "shape, outputs, kernel, options",
    [
        ((9, 8, 5), 12, (3, 3), {"stride_h": 2, "stride_w": 2}),
        ((9, 8, 5), 12, (3, 2), {"stride_h": 2, "padding": "VALID", "zero": -128}),
        ((11, 12, 5), 12, (3, 3), {"dilation_h_factor": 2, "dilation_w_factor": 3}),
        ((11, 12, 5), 12, (3, 3), {"dilation_h_factor": 2, "dilation_w_factor": 2, "padding": "VALID"}),
        ((9, 8, 12), 18, (3, 3), {"groups": 3}),
        ((9, 8, 12), 18, (3, 3), {"groups": 6, "stride_h": 2, "stride_w": 2}),
        ((9, 8, 12), 18, (1, 1), {}),
        ((9, 8, 12), 18, (1, 1), {"stride_h": 2, "stride_w": 2}),
        # Sums that float32 can't hold.
        ((5, 6, 700), 8, (3, 3), {"zero": 127, "scale": 300.0}),
        # Images that are worked on in parts.
        ((70, 60, 32), 8, (3, 3), {"scale": 60.0}),
    ],
)
def test_convolutions(shape, outputs, kernel, options):
    found = convolution("CONV_2D", shape, outputs, kernel, **options)
    assert len(np.unique(found)) > 100


def test_kernels_with_one_scale():
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    source, biases = int8("x", (1, 5, 6, 4), 0.5, 9), np.arange(-8, 8, 2, "int32") * 500
    plain = [source, held(integers(7, 3, 3, 4), 2**-5), held(biases[:7], 2**-6)]
    check("CONV_2D", plain, int8("y", (1, 3, 4, 7), 8.0, -3), options)
    depthwise = [source, held(integers(1, 3, 3, 4), 2**-5, axis=3), held(biases[:4], 2**-6)]
    check("DEPTHWISE_CONV_2D", depthwise, int8("y", (1, 3, 4, 4), 4.0, -3), {**options, "depth_multiplier": 1})
    for kind, inputs in (("CONV_2D", plain), ("DEPTHWISE_CONV_2D", depthwise)):
        with pytest.raises(InputError, match=f"Expected a bias in y, received none: LiteRT runs no {kind} without"):
            IntegerModel(graph_of(kind, inputs[:2], [int8("y", (1, 3, 4, 7), 8.0, -3)], options))


@pytest.mark.parametrize(
    "shape, outputs, kernel, options",
    [
        ((9, 8, 5), 5, (3, 3), {"fused_activation_function": "RELU6", "scale": 0.024, "target_zero": -128}),
        ((10, 12, 5), 5, (5, 5), {"stride_h": 2, "stride_w": 2}),
        ((10, 11, 5), 5, (5, 3), {"stride_h": 3, "stride_w": 3}),
        ((10, 11, 5), 5, (5, 3), {"stride_h": 2, "stride_w": 2, "padding": "VALID", "zero": 127}),
        ((10, 12, 5), 15, (5, 3), {"depth_multiplier": 3}),
        ((10, 12, 5), 10, (2, 3), {"depth_multiplier": 2, "stride_h": 2, "stride_w": 2}),
        ((10, 12, 5), 5, (3, 3), {"dilation_h_factor": 2, "dilation_w_factor": 3}),
        ((10, 12, 5), 5, (1, 7), {}),
        ((100, 91, 32), 32, (3, 3), {}),
        ((100, 91, 32), 32, (3, 3), {"stride_h": 2, "stride_w": 2}),
    ],
)
def test_depthwise_convolutions(shape, outputs, kernel, options):
    found = convolution("DEPTHWISE_CONV_2D", shape, outputs, kernel, **{"depth_multiplier": 1, "scale": 4.0, **options})
    assert len(np.unique(found)) > 20


@pytest.mark.parametrize("activation", ["NONE", "RELU"])
@pytest.mark.parametrize("places, depth", [((), 30), ((3, 4), 30), ((7,), 1000)])
def test_dense_layers(places, depth, activation):
    options = {"keep_num_dims": bool(places), "fused_activation_function": activation}
    source, target = int8("x", (1, *places, depth), 0.5, 7), int8("y", (1, *places, 20), 0.25 * depth**0.5, -9)
    kernel, bias = kernel_and_bias((20, depth), 0)
    check("FULLY_CONNECTED", [source, kernel, bias], target, options, count=20)
    check("FULLY_CONNECTED", [source, held(kernel.data, 2**-5)], target, options, count=20)


SHAPES = [
    ((6, 7, 8), (6, 7, 8)),
    ((6, 7, 8), (1, 1, 8)),
    ((1, 1, 8), (6, 7, 8)),
    ((6, 7, 8), (6, 7, 1)),
    ((1, 7, 8), (6, 7, 1)),
    ((2, 3, 4, 8), (2, 1, 4, 8)),
    ((200,), (200,)),
]


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_sums_and_products(kind):
    for (first, second), activation in itertools.product(SHAPES, ACTIVATIONS):
        target = int8("y", (1, *np.broadcast_shapes(first, second)), 0.05, 7)
        inputs = [int8("a", (1, *first), 0.03, 5), int8("b", (1, *second), 0.07, -20)]
        check(kind, inputs, target, {"fused_activation_function": activation}, count=2)
    # Each second number lies at a half; then 6 does.
    row = [int8("a", ROW, 0.5, 5), int8("b", ROW, 0.5, -20)]
    check(kind, row, int8("y", ROW, 1.0, 7))
    for zero in (7, 8):
        steep = [int8("a", ROW, 4.0, 5), int8("b", ROW, 4.0, -20)]
        found = check(kind, steep, int8("y", ROW, 2.4, zero), {"fused_activation_function": "RELU6"})
        assert found.max() == 10


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_sums_and_products_with_constants(kind):
    source, target = int8("x", (1, 6, 7, 8), 0.03, 5), int8("y", (1, 6, 7, 8), 0.03, 7)
    for values in (np.int8(127), np.full((1, 1, 1, 1), -99, "int8"), integers(8), integers(7, 8), integers(1, 6, 1, 8)):
        for inputs in ([source, held(values, 0.01, 4)], [held(values, 0.01), source]):
            check(kind, inputs, target)


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_scales_far_from_another(kind):
    """Where an input's step is small beside the output's, XNNPACK leaves the operator to LiteRT's own kernel."""
    for ratio, activation in itertools.product((2**-18, 0.0005, 2**-10, 0.00098, 0.01, 3.0, 100.0, 255.0), ACTIVATIONS):
        inputs = [int8("a", ROW, ratio, 5), int8("b", ROW, 1.5 if kind == "MUL" else 0.4, -20)]
        options = {"fused_activation_function": activation}
        if kind != "MUL" or ratio < 100.0:
            check(kind, inputs, int8("y", ROW, 1.0, 7), options)
    large = [int8("a", ROW, 300.0, 5), int8("b", ROW, 1.0, -20)]
    if kind == "SUB":
        return  # right in LiteRT; not written all the same
    with pytest.raises(InputError, match=r"less than 256 steps of y .* received 300"):
        IntegerModel(graph_of(kind, large, [int8("y", ROW, 1.0)]))


def test_a_sum_of_the_small_and_the_large():
    check("ADD", [int8("a", ROW, 0.0005, 5), int8("b", ROW, 127.0, -20)], int8("y", ROW, 1.0, 7))
    with pytest.raises(InputError, match=r"less than 128 steps of y .* received 200"):
        IntegerModel(graph_of("ADD", [int8("a", ROW, 0.0005), int8("b", ROW, 200.0)], [int8("y", ROW, 1.0)]))


@pytest.mark.parametrize("scale, zero", [(0.05, 3), (0.02, -128), (0.2, 100), (0.011, -7)])
def test_functions_of_single_numbers(scale, zero):
    source = int8("x", ROW, scale, zero)
    check("LOGISTIC", [source], int8("y", ROW, 1 / 256, -128), values=[every()])
    check("TANH", [source], int8("y", ROW, 1 / 128, 0), values=[every()])
    for (step, target), approximate in itertools.product([(0.03, -100), (0.25, 0), (0.0171, -128)], (False, True)):
        check("GELU", [source], int8("y", ROW, step, target), {"approximate": approximate}, values=[every()])
    for step, target in [(0.03, -100), (2 * scale, 7), (4 * scale, -20), (scale, 1)]:
        for kind in ("ELU", "EXP", "HARD_SWISH", "RELU", "RELU6", "RELU_N1_TO_1", "TANH"):
            check(kind, [source], int8("y", ROW, step, target), values=[every()])
    for (step, target), slope in itertools.product(
        [(0.05, -100), (0.25, 0), (0.025, 7)], (0.001, 0.01, 0.1, 0.25, 1.5, 0.0, -0.25, -1.5)
    ):
        check("LEAKY_RELU", [source], int8("y", ROW, step, target), {"alpha": slope}, values=[every()])


@pytest.mark.parametrize("types", list(itertools.product(("int8", "uint8"), repeat=2)), ids="-".join)
def test_requantizing(types):
    # Beyond 1/256 and 128 not by XNNPACK.
    for ratio, zero in itertools.product((1.0, 0.5, 2.0, 0.714, 1 / 256, 1 / 257, 0.002, 128.0, 129.0), (3, -77)):
        source, target = (
            int8(name, ROW, step, place + 128 * (dtype == "uint8"), dtype)
            for name, step, place, dtype in zip("xy", (ratio, 1.0), (3, zero), types, strict=True)
        )
        found = check("QUANTIZE", [source], target, values=[every(types[0])])
        if ratio == 1.0 and zero == 3:
            np.testing.assert_array_equal(np.sort(found.ravel()), np.arange(256) + np.iinfo(types[1]).min)


def test_from_and_to_floats():
    for scale, zero, dtype in [(0.05, 3, "int8"), (0.3, -100, "int8"), (0.07, 120, "uint8"), (1 / 3, 0, "uint8")]:
        # Halves, and what float32 makes of them.
        halves = np.arange(-1000, 1000, dtype="float32")[:, None] * np.float32(scale) / 2
        values = np.concatenate([halves, np.random.default_rng(0).normal(0, 20, (2000, 1)).astype("float32")])
        check("QUANTIZE", [Tensor("x", (1, 1))], int8("y", (1, 1), scale, zero, dtype), values=[values])
        check("DEQUANTIZE", [int8("x", ROW, scale, zero, dtype)], Tensor("y", ROW), values=[every(dtype)])


@pytest.mark.parametrize("beta", [1.0, 0.5, 2.0])
def test_softmax(beta):
    for scale, shape in itertools.product((0.05, 0.3, 0.013), ((10,), (3, 7, 49), (1000,))):
        source, target = int8("x", (1, *shape), scale, 4), int8("y", (1, *shape), 1 / 256, -128)
        check("SOFTMAX", [source], target, {"beta": beta}, count=20)


@pytest.mark.parametrize("axes", [[1, 2], [2, 1], [1], [-1], [1, 2, 3]])
def test_means(axes):
    for shape, keep in itertools.product(((6, 7, 8), (14, 15, 9), (40, 40, 3)), (True, False)):
        source = np.ones((1, *shape)).mean(tuple(axes), keepdims=keep).shape
        for (scale, zero), (step, target) in itertools.product([(0.05, 3), (1.0, -128)], [(0.01, 7), (0.5, 1)]):
            inputs = [int8("x", (1, *shape), scale, zero), constant(axes)]
            check("MEAN", inputs, int8("y", source, step, target), {"keep_dims": keep}, count=5)


def test_the_greater_and_the_less():
    for kind, (first, second) in itertools.product(("MAXIMUM", "MINIMUM"), SHAPES):
        target = int8("y", (1, *np.broadcast_shapes(first, second)))
        check(kind, [int8("a", (1, *first)), int8("b", (1, *second))], target)
        check(kind, [int8("a", (1, *first)), held(np.int8(20), 0.05, 3)], int8("y", (1, *first)))
    for axes, shape, keep in (([1, 2], (8,), False), ([-1], (6, 7, 1), True)):
        for kind in ("REDUCE_MAX", "REDUCE_MIN"):
            check(kind, [int8("x", SOURCE), constant(axes)], int8("y", (1, *shape)), {"keep_dims": keep})


@pytest.mark.parametrize("kind", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pooling(kind, padding):
    for (rows, columns, stride), activation in itertools.product(
        [(3, 3, 2), (2, 2, 2), (3, 2, 1), (7, 7, 7), (1, 1, 2), (4, 5, 3)], ACTIVATIONS
    ):
        options = {"filter_height": rows, "filter_width": columns, "stride_h": stride, "stride_w": stride}
        options |= {"padding": padding, "fused_activation_function": activation}
        shape = side(9, rows, stride, 1, padding), side(10, columns, stride, 1, padding)
        for scale, zero in ((0.05, 3), (2.4, 7)):
            check(kind, [int8("x", (1, 9, 10, 5), scale, zero)], int8("y", (1, *shape, 5), scale, zero), options)


@pytest.mark.parametrize("zero", [0, -7])
@pytest.mark.parametrize("turned", list(itertools.product((False, True), repeat=2)))
def test_products_of_matrices(zero, turned):
    """XNNPACK computes them where the second input's zero point is 0."""
    shapes = [((3, 20, 32), (3, 32, 17)), ((3, 20, 5), (1, 5, 17)), ((1, 20, 300), (3, 300, 17)), ((20, 5), (5, 17))]
    for (first, second), scale in itertools.product(shapes, (0.02, 2**-3, 1.0, 7.0)):
        target = int8("y", (1, *(np.zeros(first) @ np.zeros(second)).shape), scale, -11)
        first, second = (
            (1, *each[:-2], each[-1], each[-2]) if turn else (1, *each)
            for each, turn in zip((first, second), turned, strict=True)
        )
        options = dict(zip(("adj_x", "adj_y"), turned, strict=True))
        source = int8("a", first, 2**-6, 3)
        check("BATCH_MATMUL", [source, int8("b", second, 2**-5, zero)], target, options, count=2)
        check("BATCH_MATMUL", [source, held(integers(*second), 2**-5, zero)], target, options, count=2)


SOURCE = (1, 6, 7, 8)


@pytest.mark.parametrize(
    "kind, constants, shape, options",
    [
        ("PAD", [[[0, 0], [1, 2], [0, 3], [2, 1]]], (9, 10, 11), {}),
        ("RESHAPE", [[1, -1]], (336,), {"new_shape": [1, -1]}),
        ("TRANSPOSE", [[0, 3, 1, 2]], (8, 6, 7), {}),
        ("SLICE", [[0, 1, 0, 2], [1, -1, 3, 5]], (5, 3, 5), {}),
        ("STRIDED_SLICE", [[0, 1, 0, 2], [1, 6, 7, 8], [1, 2, 3, 1]], (3, 3, 6), {}),
        ("STRIDED_SLICE", [[0, 3, 2, 2], [1, 4, 4, 3], [1, 1, 1, 1]], (4, 5, 1), {"begin_mask": 2, "end_mask": 4}),
        ("STRIDED_SLICE", [[0, 3, 2, 2], [1, 4, 4, 8], [1, 1, 1, 2]], (2, 3), {"shrink_axis_mask": 2}),
        ("STRIDED_SLICE", [[0, -4, 2, -2], [1, -1, 4, 8], [1, 1, 1, 1]], (3, 2, 2), {}),
        ("STRIDED_SLICE", [[0, 5, 0, 0], [1, 0, 7, 8], [1, -1, 1, 1]], (5, 7, 8), {}),
    ],
)
def test_numbers_that_are_moved(kind, constants, shape, options):
    inputs = [int8("x", SOURCE), *map(constant, constants)]
    check(kind, inputs, int8("y", (1, *shape)), options)
    with pytest.raises(InputError, match="input and output of y in one scale"):
        IntegerModel(graph_of(kind, inputs, [int8("y", (1, *shape), 0.1)], options))


def test_splits_and_concatenations():
    for axis, parts in ((3, 2), (-3, 3)):
        shape = [size // parts if place == axis % 4 else size for place, size in enumerate(SOURCE)]
        outputs = [int8(f"y{each}", shape) for each in range(parts)]
        check("SPLIT", [constant(np.int32(axis)), int8("x", SOURCE)], outputs, {"num_splits": parts})
    sources = [int8("a", SOURCE), held(integers(1, 6, 7, 2), 0.05, 3), int8("b", SOURCE)]
    check("CONCATENATION", sources, int8("y", (1, 6, 7, 18)), {"axis": -1})
    check("CONCATENATION", sources[::2], int8("y", (1, 12, 7, 8)), {"axis": 1})
    with pytest.raises(InputError, match="Expected a in the output's scale"):
        IntegerModel(graph_of("CONCATENATION", sources, [int8("y", (1, 6, 7, 18), 0.1)], {"axis": 3}))


@pytest.mark.parametrize("kind", ["RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"])
def test_resizing(kind):
    sizes = [(6, 7, 12, 14), (6, 7, 13, 5), (5, 5, 1, 1), (1, 1, 4, 3), (14, 14, 7, 7), (10, 9, 33, 31)]
    for (*size, rows, columns), corners, centers in itertools.product(sizes, (False, True), (False, True)):
        options = {"align_corners": corners, "half_pixel_centers": centers}
        inputs = [int8("x", (1, *size, 4)), constant([rows, columns])]
        check(kind, inputs, int8("y", (1, rows, columns, 4)), options)
