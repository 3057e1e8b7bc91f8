"""Functions of keras.ops, and layers that crop, resize and multiply, in both files against Keras."""

import keras
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.interpreter")
from both_files import check_float, check_int8
from test_lower import scrambled

from keras_lite.errors import InputError
from keras_lite.quantization.lower import lower

layers, ops = keras.layers, keras.ops
SHAPE = (6, 4, 8)


def model_of(build, shape=SHAPE):
    inputs = keras.Input(shape)
    return scrambled(keras.Model(inputs, build(inputs)))


@pytest.mark.parametrize(
    ("build", "kinds"),
    {
        "sum": (lambda x: ops.sum(x, axis=(1, 2)), ["SUM"]),
        "mean of rows": (lambda x: ops.mean(x, axis=1), ["MEAN"]),
        "largest channel": (lambda x: ops.max(x, axis=-1, keepdims=True), ["REDUCE_MAX"]),
        "smallest": (lambda x: ops.min(x, axis=2), ["REDUCE_MIN"]),
        "variance": (lambda x: ops.var(x, axis=(1, 2)), ["MEAN", "SUB", "MUL", "MEAN"]),
        "halves": (lambda x: ops.add(*ops.split(x, 2, axis=-1)), ["SLICE", "SLICE", "ADD"]),
        "uneven parts": (lambda x: ops.split(x, [1, 4], axis=1)[1], ["SLICE"]),
        "one row": (lambda x: ops.unstack(x, axis=1)[2], ["SLICE", "RESHAPE"]),
        "part": (lambda x: x[:, 1:5, ..., 2:7], ["SLICE"]),
        "from the end": (lambda x: x[:, -2, :, None], ["SLICE", "RESHAPE"]),
        "tiles": (lambda x: ops.tile(x, (1, 2, 1, 3)), ["CONCATENATION", "CONCATENATION"]),
        "repeats": (lambda x: ops.repeat(x, 2, axis=2), ["RESHAPE", "CONCATENATION", "RESHAPE"]),
        "rolled": (lambda x: ops.roll(x, -1, axis=1), ["SLICE", "SLICE", "CONCATENATION"]),
        "padded channels": (lambda x: ops.pad(x, [[0, 0], [0, 0], [1, 0], [0, 3]]), ["PAD"]),
        "padded with 2": (
            lambda x: ops.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]], constant_values=2.0), ["ADD", "PAD", "ADD"],
        ),
        "moved": (lambda x: ops.moveaxis(x, 1, -1), ["TRANSPOSE"]),
        "cut off": (lambda x: ops.clip(x, -1.0, 1.5), ["DEPTHWISE_CONV_2D"]),
        "size": (lambda x: ops.abs(x), ["MUL", "ADD"]),
        "square": (lambda x: ops.square(x), ["MUL"]),
        "a map of numbers": (lambda x: x * np.linspace(0, 1, 32).reshape(4, 8).astype("float32"), ["MUL"]),
        "from a number": (lambda x: 1.0 - x, ["MUL", "ADD"]),
        "pixels of channels": (lambda x: ops.nn.depth_to_space(x, 2), ["DEPTH_TO_SPACE"]),
        "channels of pixels": (lambda x: ops.nn.space_to_depth(x, 2), ["SPACE_TO_DEPTH"]),
        "matrix": (lambda x: ops.matmul(x, np.eye(8, 3, dtype="float32")), ["FULLY_CONNECTED"]),
        "gated": (lambda x: keras.activations.glu(x), ["SLICE", "SLICE", "LOGISTIC", "MUL"]),
        "resized": (lambda x: layers.Resizing(9, 7)(x), ["RESIZE_BILINEAR"]),
        "middle": (lambda x: layers.CenterCrop(3, 2)(x), ["SLICE"]),
    }.values(),
)  # fmt: skip
def test_functions(build, kinds):
    model = model_of(build)
    check_float(model)
    if keras.backend.backend() == "tensorflow":
        check_int8(model, kinds)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("build", "outside"),
    [
        (lambda x: x[:, ::2, 1::2], ["STRIDED_SLICE"]),
        (lambda x: ops.flip(x, axis=(1, 2)), ["REVERSE_V2"]),
        (lambda x: ops.take(x, [3, 0, 3], axis=-1), ["GATHER"]),
        (lambda x: ops.pad(x, [[0, 0], [2, 1], [1, 1], [0, 0]], mode="reflect"), ["MIRROR_PAD"]),
        (lambda x: ops.pad(x, [[0, 0], [2, 1], [1, 1], [0, 0]], mode="symmetric"), ["MIRROR_PAD"]),
        (lambda x: layers.Resizing(9, 3, "nearest")(x), ["RESIZE_NEAREST_NEIGHBOR"]),
        (lambda x: ops.gelu(x, approximate=True), ["GELU"]),
        (lambda x: ops.log(ops.abs(x) + 1.0), ["LOG"]),
        (lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))), ["BATCH_MATMUL"]),
    ],
)
def test_what_xnnpack_leaves_out(build, outside):
    model = model_of(build)
    check_float(model)
    check_int8(model, outside=outside)


@pytest.mark.tensorflow_only
def test_products_of_vectors():
    inputs = keras.Input((9,))
    pair = [layers.Dense(5)(inputs), layers.Dense(5)(inputs)]
    model = scrambled(keras.Model(inputs, layers.Dot(1)(pair)))
    check_int8(model, ["FULLY_CONNECTED", "FULLY_CONNECTED", "MUL", "SUM"])
    check_float(scrambled(keras.Model(inputs, layers.Dot(1, normalize=True)(pair))))
    inputs = keras.Input((6, 4))
    check_float(scrambled(keras.Model(inputs, layers.Dot((1, 1))([inputs, layers.Dense(3)(inputs)]))))


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("build", "kinds"),
    {
        "at the input": (lambda x: layers.Conv2D(4, 3)(x[..., ::-1]), ["CONV_2D"]),
        "scaled behind": (
            lambda x: layers.Conv2D(4, 3)((x[..., ::-1] - np.float32([1, 2, 3])) * np.float32([0.5, 1, 2])),
            ["CONV_2D"],
        ),
        "listed, two convolutions": (
            lambda x: layers.Add()([layers.Conv2D(4, 1)(y) for y in 2 * [ops.take(x, [2, 1, 0], -1)]]),
            ["CONV_2D", "CONV_2D", "ADD"],
        ),
        "depthwise": (
            lambda x: layers.Conv2D(2, 1)(layers.ReLU()(layers.DepthwiseConv2D(3)(x[..., ::-1]))),
            ["DEPTHWISE_CONV_2D", "CONV_2D"],
        ),
        "there and back": (lambda x: layers.MaxPooling2D(2)(x[..., ::-1])[..., ::-1] * 2.0, ["MAX_POOL_2D", "MUL"]),
        "at the end": (lambda x: layers.Conv2D(4, 1)(x)[..., ::-1], ["CONV_2D", "REVERSE_V2"]),
    }.values(),
)  # fmt: skip
def test_swapped_colors_go_into_the_kernel(build, kinds):
    model = model_of(build, (6, 4, 3))
    check_float(model, kinds)
    check_int8(model, kinds, outside=["REVERSE_V2"] if "REVERSE_V2" in kinds else [])


@pytest.mark.tensorflow_only
def test_what_is_refused():
    for build, expected in {
        (lambda x: ops.argmax(x, axis=-1)): "of type Argmax: there is no .*; write",
        (lambda x: ops.sum(x)): "of type Sum: it takes the images of a batch together; give the axes",
        (lambda x: ops.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]], mode="edge")): "the mode 'edge'; write constant",
        (lambda x: layers.CenterCrop(9, 9)(x)): "of type CenterCrop: it enlarges images of 6 x 4; write Resizing",
        (
            lambda x: layers.Resizing(5, 5, crop_to_aspect_ratio=True)(x)
        ): "crop_to_aspect_ratio=True says; leave that out",
    }.items():
        with pytest.raises(InputError, match=expected):
            lower(model_of(build))
