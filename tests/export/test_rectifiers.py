"""Rectifiers and sums of many tensors in int8: one partition, and the outputs of the integer model to the bit."""

import keras
import numpy as np
import pytest
from int8_models import calibrated
from keras import layers
from small_classifier import scramble

from keras_lite.errors import InputError
from keras_lite.litert import IntegerModel, write
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime import examine

pytestmark = pytest.mark.tensorflow_only

IMAGES = np.random.default_rng(0).normal(size=(48, 12, 10, 3)).astype("float32")


def convolved(x, **arguments):
    return layers.Conv2D(**{"filters": 6, "kernel_size": 3, "padding": "same", **arguments})(x)


def residual(x):
    y = convolved(x)
    return layers.LeakyReLU(0.1)(layers.Add()([y, convolved(layers.ReLU(negative_slope=0.2)(y))]))


def depthwise(x):
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x))
    return layers.LeakyReLU(0.05)(x)


def dense(x):
    return layers.LeakyReLU()(layers.Dense(16)(layers.Flatten()(x)))


def operations(x):
    x = keras.ops.leaky_relu(convolved(x), 0.02)
    return convolved(x, activation="leaky_relu")


def capped(x):
    x = layers.ReLU(0.8)(layers.BatchNormalization()(convolved(x)))
    x = layers.ReLU(1.1)(layers.Add()([x, convolved(x)]))
    return layers.ReLU(0.9, 0.3)(convolved(x))


def capped_in_other_places(x):
    x = layers.ReLU(1.2)(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x)))
    x = layers.ReLU(1.0)(layers.MaxPooling2D(2)(x))
    return layers.ReLU(2.5)(layers.Dense(16)(layers.Flatten()(x)))


def concatenated(x):
    """What is cut off where it ends, although the concatenation gives it another range."""
    x = convolved(x)
    parts = [convolved(x, activation="hard_sigmoid"), layers.ReLU(1.5)(x), layers.Activation("sigmoid")(x)]
    x = layers.Concatenate()([*parts, layers.LeakyReLU(0.1)(x)])
    y = layers.MaxPooling2D(2)(layers.ReLU(0.5)(x))
    return layers.Concatenate()([y, layers.Activation("hard_sigmoid")(convolved(x, strides=2, use_bias=False))])


def sums_of(count):
    def build(x):
        first = layers.ReLU()(convolved(x))
        x = layers.Add()([first, *(convolved(first) for _ in range(count - 2)), convolved(x)])
        return layers.ReLU()(x)

    return build


def products(x):
    gates = [layers.Activation("sigmoid")(convolved(x)) for _ in range(2)]
    return layers.Multiply()([convolved(x), *gates])


@pytest.mark.parametrize(
    ("build", "operators"),
    [
        pytest.param(residual, {"LEAKY_RELU": 2}, id="residual"),
        pytest.param(depthwise, {"LEAKY_RELU": 1}, id="depthwise"),
        pytest.param(dense, {"LEAKY_RELU": 1}, id="dense"),
        pytest.param(operations, {"LEAKY_RELU": 2}, id="operations"),
        pytest.param(capped, {"LEAKY_RELU": 1, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 2}, id="capped"),
        pytest.param(capped_in_other_places, {"DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2}, id="capped_elsewhere"),
        pytest.param(concatenated, {"CONCATENATION": 2, "LEAKY_RELU": 1, "LOGISTIC": 1}, id="concatenated"),
        pytest.param(sums_of(3), {"ADD": 2}, id="sum_of_3"),
        pytest.param(sums_of(5), {"ADD": 4}, id="sum_of_5"),
        pytest.param(products, {"MUL": 2}, id="product_of_3"),
    ],
)
def test_int8_file(build, operators, tmp_path):
    inputs = keras.Input(IMAGES.shape[1:])
    x = build(inputs)
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    model = scramble(keras.Model(inputs, layers.Dense(5)(x)))
    graph = calibrated(model, IMAGES).graph
    path = tmp_path / "net.tflite"
    path.write_bytes(write(graph))

    examined = examine(path, images=IMAGES)
    found, received = examined.inspection, examined.outputs
    assert found.int8_only
    assert (found.partitions, found.not_delegated, found.bad_scales) == (1, [], [])
    names = [entry["name"] for entry in found.operators]
    assert {name: names.count(name) for name in operators} == operators
    assert not {"MINIMUM", "RELU", "MAXIMUM"} & set(names)

    np.testing.assert_array_equal(IntegerModel(graph).predict(IMAGES), received)
    expected = model.predict(IMAGES, verbose=0)
    deviations = [(values - values.mean(0)).ravel() for values in (expected, received)]
    assert np.corrcoef(*deviations)[0, 1] > 0.98


def test_a_maximum_is_a_rectifier():
    inputs = keras.Input(IMAGES.shape[1:])
    x = convolved(inputs)
    x = layers.GlobalAveragePooling2D()(keras.ops.maximum(x, 0.15 * x))
    quantized = quantize_aware(scramble(keras.Model(inputs, layers.Dense(5)(x))), engine="tf_mot")
    calibrate(quantized, IMAGES)
    kinds = [operator.kind for operator in read_quantized(quantized).operators]
    assert kinds == ["CONV_2D", "LEAKY_RELU", "MEAN", "FULLY_CONNECTED"]


def test_a_rectifier_that_jumps_is_refused():
    inputs = keras.Input((8, 8, 3))
    for relu in (layers.ReLU(threshold=0.5, name="jump"), layers.ReLU(0.0, name="jump")):
        with pytest.raises(InputError, match="received layer jump with threshold"):
            quantize_aware(keras.Model(inputs, relu(layers.Conv2D(2, 1)(inputs))), engine="tf_mot")
