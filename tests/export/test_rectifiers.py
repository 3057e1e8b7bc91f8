"""Rectifiers and sums of many tensors in int8: one partition, and the outputs of the integer model to the bit."""

import keras
import numpy as np
import pytest
from keras import layers
from small_classifier import scramble

from keras_lite.errors import InputError
from keras_lite.export import IntegerModel
from keras_lite.export.conversion import convert
from keras_lite.export.integer_arithmetic import Int8Range, Int8Tensor, leaky_relu
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.runtime import inspect, run_in_subprocess

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
    x = convolved(x, activation="leaky_relu")
    return keras.ops.maximum(x, 0.15 * x)


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
        pytest.param(operations, {"LEAKY_RELU": 3}, id="operations"),
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
    quantized = quantize_aware(model)
    calibrate(quantized, IMAGES)
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(quantized, "int8"))

    found = inspect(path)
    assert found.int8_only
    assert (found.partitions, found.not_delegated, found.bad_scales) == (1, [], [])
    names = [entry["name"] for entry in found.operators]
    assert {name: names.count(name) for name in operators} == operators
    assert not {"MINIMUM", "RELU", "MAXIMUM"} & set(names)

    received = run_in_subprocess(path, IMAGES)
    np.testing.assert_array_equal(IntegerModel(quantized, path).predict(IMAGES), received)
    expected = model.predict(IMAGES, verbose=0)
    deviations = [(values - values.mean(0)).ravel() for values in (expected, received)]
    assert np.corrcoef(*deviations)[0, 1] > 0.98


@pytest.mark.parametrize(
    ("slope", "source", "target"),
    [
        (0.3, (-3.0, 7.0), (-0.9, 7.0)),  # zero would be halfway between two numbers: -51.5
        (0.1, (-5.0, 5.0), (-0.4, 4.0)),
        (0.01, (-5.0, 5.0), (-0.05, 5.0)),
        (0.02, (-10.0, 0.02), (-0.2, 0.02)),  # steps of very different width
        (1.5, (-4.0, 1.0), (-6.0, 1.0)),
        (1e-3, (-5.0, 5.0), (-0.005, 5.0)),  # too flat for XNNPACK: LiteRT's own kernel
        (1e-3, (-1.0, 1.0), (-2.0, 2.0)),
    ],
)
def test_leaky_relu_of_every_number(slope, source, target, tmp_path):
    inputs = keras.Input((16, 16, 1))
    quantized = quantize_aware(keras.Model(inputs, layers.LeakyReLU(slope)(inputs)))
    [first, *_, last] = quantized.layers[1:]
    for variables, (low, high) in ((first.quantizer_vars, source), (last._output_quantizer_vars, target)):
        variables["min_var"].assign(low)
        variables["max_var"].assign(high)
    path = tmp_path / "leaky.tflite"
    path.write_bytes(convert(quantized, "int8"))
    numbers, ranges = np.arange(-128, 128), [Int8Range.between(*ends) for ends in (source, target)]
    whole = (numbers - ranges[0].zero).reshape(1, 16, 16, 1).astype("float32")

    received = run_in_subprocess(path, whole * ranges[0].step)

    np.testing.assert_array_equal(leaky_relu(Int8Tensor(whole, ranges[0]), ranges[1], slope).values, received)
    exact = np.clip(np.where(whole < 0, slope, 1.0) * whole * ranges[0].step, *target)
    assert np.abs(received - exact).max() <= 1.05 * ranges[1].step
    assert ("LEAKY_RELU" in inspect(path).not_delegated) == (slope == 1e-3)


def test_a_rectifier_that_jumps_is_refused():
    inputs = keras.Input((8, 8, 3))
    for relu in (layers.ReLU(threshold=0.5, name="jump"), layers.ReLU(0.0, name="jump")):
        with pytest.raises(InputError, match="received layer jump with threshold"):
            quantize_aware(keras.Model(inputs, relu(layers.Conv2D(2, 1)(inputs))))
