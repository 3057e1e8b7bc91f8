"""int8 files, the converter's of TF-MOT's models among them, and whole numbers: the same to the bit."""

import keras
import numpy as np
import pytest
from int8_models import calibrated
from keras import layers

from keras_lite.export.conversion import convert
from keras_lite.layers import ChannelAttention, ChannelShuffle, GroupConvBlock, PositionEmbedding
from keras_lite.litert import IntegerModel, write
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime import examine, inspect, run_in_subprocess

pytestmark = pytest.mark.tensorflow_only

IMAGES = np.random.default_rng(0).normal(size=(32, 24, 24, 3)).astype("float32")


def normalized(x):
    return layers.BatchNormalization(
        beta_initializer="random_normal",
        gamma_initializer=keras.initializers.RandomNormal(0.0, 1.0),  # some are below zero
        moving_mean_initializer="random_normal",
    )(x)


def convolutions(x):
    """Deep: one number off by a step would be seen in the outputs."""
    for depth in range(8):
        x = layers.Conv2D(16, 3, use_bias=depth % 2 == 1, bias_initializer="random_normal")(x)
        x = layers.ReLU()(normalized(x))
    return x


def other_convolutions(x):
    x = layers.Conv2D(12, 3, 2, "same", activation="relu", bias_initializer="random_normal")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.ReLU(6.0)(normalized(x))
    x = layers.Conv2D(24, 3, dilation_rate=2, groups=4, use_bias=False)(x)
    return normalized(x)


def wide_sums(x):
    """More than float32 can sum exactly."""
    x = layers.Conv2D(600, 1, activation="relu", kernel_initializer="ones", bias_initializer="ones")(x)
    return layers.Conv2D(8, 3, kernel_initializer=keras.initializers.RandomNormal(1.0, 0.5))(x)


def concatenated(x):
    """As in a hybrid stem: pooled images and convolutions are brought to one range."""
    pooled = layers.MaxPooling2D()(x)
    normal = layers.ReLU()(normalized(layers.Conv2D(5, 2, 2)(x)))
    x = layers.Concatenate()([normal, pooled])
    return layers.Concatenate()([layers.Conv2D(4, 1, activation="relu")(x), x])


def concatenated_twice(x):
    inner = layers.Concatenate()([normalized(layers.Conv2D(width, 2, 2)(x)) for width in (3, 4)])
    return layers.Concatenate()([inner, layers.MaxPooling2D()(x)])


def concatenated_in_parts(x):
    """More than XNNPACK concatenates at once; the first has a narrow range of its own, as others take it, too."""
    first = layers.Conv2D(3, 3, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01))(x)
    x = layers.Concatenate()([first, *(layers.Conv2D(2, 3)(x) for _ in range(5))])
    return layers.Concatenate()([layers.ReLU()(x), first])


def residual(x):
    x = layers.Activation("relu")(normalized(layers.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    y = layers.Activation("hard_silu")(normalized(layers.Conv2D(8, 3, padding="same")(x)))
    y = ChannelAttention(2, gate="hard_sigmoid")(y)
    return layers.ReLU()(layers.Add()([x, y]))


def groups(x):
    x = GroupConvBlock(8, attention_ratio=2)(layers.Conv2D(6, 3)(x))
    return ChannelShuffle(2)(layers.Activation("silu")(x))


def arithmetic(x):
    x = layers.Conv2D(6, 3)(x)
    y = layers.AveragePooling2D(3, 1, "same")(PositionEmbedding("height")(x))
    return layers.Multiply()([layers.Subtract()([x, y]), layers.Activation("hard_sigmoid")(y)])


def poolings(x):
    """Of one size: their means at the edges are mended by constants that are alike."""
    x = layers.Conv2D(6, 3)(x)
    for _ in range(2):
        y = layers.AveragePooling2D(3, 1, "same")(layers.Conv2D(6, 3, padding="same")(x))
        x = layers.Add()([layers.AveragePooling2D(3, 1, "same")(x), y])
    return layers.Concatenate()([x, layers.AveragePooling2D(5, 1, "same")(x)])


CASES = [
    (convolutions, {"CONV_2D"}),
    (other_convolutions, {"CONV_2D", "DEPTHWISE_CONV_2D"}),
    (wide_sums, {"CONV_2D"}),
    (concatenated, {"QUANTIZE", "CONCATENATION", "MAX_POOL_2D"}),
    (concatenated_twice, {"CONCATENATION"}),
    (concatenated_in_parts, {"CONCATENATION", "QUANTIZE"}),
    (residual, {"ADD", "MUL", "MEAN"}),
    (groups, {"LOGISTIC", "MUL", "TRANSPOSE"}),
    (arithmetic, {"ADD", "SUB", "MUL"}),
    (poolings, {"ADD", "MUL", "DEPTHWISE_CONV_2D"}),
]


def network(build):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 3))
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(build(inputs))))


@pytest.mark.parametrize(("build", "operators"), CASES)
def test_outputs_are_the_files(build, operators, tmp_path):
    model = network(build)
    graph = calibrated(model, IMAGES).graph
    path = tmp_path / "net.tflite"
    path.write_bytes(write(graph))
    examined = examine(path, images=IMAGES)
    assert operators <= {entry["name"] for entry in examined.inspection.operators}
    assert examined.inspection.int8_only
    np.testing.assert_array_equal(IntegerModel(graph).predict(IMAGES), examined.outputs)
    expected = model.predict(IMAGES, verbose=0)
    deviations = [(values - values.mean(0)).ravel() for values in (expected, examined.outputs)]
    assert np.corrcoef(*deviations)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("build", "operators"),
    [
        pytest.param(*case, marks=[] if case[0] in (concatenated_in_parts, residual) else [pytest.mark.slow])
        for case in CASES
    ],
)
def test_outputs_are_those_of_the_converters_file(build, operators, tmp_path):
    """Of TF-MOT's model: it, our file and whole numbers."""
    quantized = quantize_aware(network(build), engine="tf_mot")
    calibrate(quantized, IMAGES)
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(quantized, "int8"))
    assert operators <= {entry["name"] for entry in inspect(path).operators}
    weights = quantized.get_weights()

    graph = read_quantized(quantized)
    exact = IntegerModel(graph).predict(IMAGES)

    np.testing.assert_array_equal(exact, run_in_subprocess(path, IMAGES))
    path.write_bytes(write(graph))
    np.testing.assert_array_equal(exact, run_in_subprocess(path, IMAGES))
    # The same model in floats lies next to it.
    step = inspect(path).outputs[0]["scale"]
    assert (np.abs(exact - quantized.predict(IMAGES, verbose=0)) < 1.5 * step).mean() > 0.9
    for old, new in zip(weights, quantized.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
