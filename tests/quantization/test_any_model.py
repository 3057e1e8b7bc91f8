"""Constructs that Keras models bring along: rewritten, in tf_keras and in int8 their outputs are the stock model's."""

import functools

import keras
import numpy as np
import pytest
from small_classifier import scramble

from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.graph.rewriting import rewrite
from keras_lite.litert import write
from keras_lite.quantization import calibrate, quantize_aware, to_tf_keras
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime import inspect, run_in_subprocess

pytestmark = pytest.mark.tensorflow_only
layers, ops = keras.layers, keras.ops
SIZE = 16


def pixels(count, seed=0):
    """Images of noise, each with a brightness and color of its own, from 0 to 255."""
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0, 1, (count, 1, 1, 3)) * rng.uniform(0.5, 1, (count, SIZE, SIZE, 3))
    return (255 * shares).astype("float32")


def classifier(build, seed=0):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = build(inputs)
    x = layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    return scramble(keras.Model(inputs, layers.Dense(5, name="classes")(x)), seed)


def convolution(x, **changes):
    arguments = {"filters": 8, "kernel_size": 3, "strides": 2, "padding": "same", "name": "stem"}
    return layers.Conv2D(**{**arguments, **changes})(x)


def scaled(x):
    return layers.Rescaling(1 / 127.5, -1.0)(x)


def normalized(x):
    return layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3000.0, 4000.0, 5000.0])(x)


def same_outputs(model, other, tolerance=2e-6):
    expected = model.predict(pixels(4), verbose=0)
    np.testing.assert_allclose(other.predict(pixels(4), verbose=0), expected, atol=tolerance * np.abs(expected).max())


def with_relu_used_twice(x):
    relu = layers.ReLU(name="relu")
    return relu(convolution(relu(convolution(x)), name="second"))


@pytest.mark.parametrize(
    ("build", "types"),
    [
        (
            lambda x: layers.SeparableConv2D(6, 3, strides=2, depth_multiplier=2, activation="relu")(x),
            ["DepthwiseConv2D", "Conv2D"],
        ),
        (lambda x: layers.ReLU(6.0)(x + 3.0) * (1 / 6), ["Activation"]),
        (lambda x: x * ops.relu6(x + 3.0) / 6, ["Activation"]),
        (lambda x: (ops.relu6(3.0 + x) / 6.0) * x, ["Activation"]),
        (lambda x: layers.Multiply()([x, layers.Activation("sigmoid")(x)]), ["Activation"]),
        (lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x), ["MaxPooling2D", "Reshape"]),
        (lambda x: ops.relu(x) + ops.relu(x), ["ReLU", "Add"]),
        (
            lambda x: layers.MaxPooling2D(2)(x) + layers.AveragePooling2D(2)(x),
            ["MaxPooling2D", "AveragePooling2D", "Add"],
        ),
        (with_relu_used_twice, ["Conv2D", "Conv2D", "ReLU", "ReLU"]),
    ],
)
def test_rewriting_into_what_has_an_operator(build, types):
    model = classifier(build)
    rewritten = rewrite(flatten(model))
    found = [type(layer).__name__ for layer in rewritten.layers]
    assert sorted(found) == sorted(["InputLayer", *types, "GlobalAveragePooling2D", "Dense"])
    same_outputs(model, rewritten)


@pytest.mark.parametrize(
    ("build", "inside"),
    [
        pytest.param(lambda x: convolution(scaled(x), padding="valid"), True, id="valid"),
        pytest.param(lambda x: convolution(scaled(x), padding="valid", use_bias=False), True, id="without_bias"),
        pytest.param(lambda x: convolution(scaled(x), kernel_size=1), True, id="1x1"),
        pytest.param(lambda x: convolution(scaled(x)), False, id="same"),
        pytest.param(lambda x: convolution(layers.Rescaling(1 / 255)(x)), True, id="same_without_offset"),
        pytest.param(lambda x: convolution(layers.ZeroPadding2D(1)(scaled(x)), padding="valid"), False, id="padded"),
        pytest.param(lambda x: convolution(normalized(layers.Rescaling(1.0)(x)), padding="valid"), True, id="chain"),
        pytest.param(lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(normalized(x)), True, id="depthwise"),
        pytest.param(
            lambda x: convolution(layers.RandomFlip()(x / 127.5 - 1.0), padding="valid"), True, id="augmented"
        ),
        pytest.param(
            lambda x: (lambda y: convolution(y, padding="valid") + layers.Conv2D(8, 3, 2)(y))(scaled(x)),
            True,
            id="two_users",
        ),
        pytest.param(lambda x: layers.Dense(4)(layers.Flatten()(x)), True, id="nothing_to_do"),
    ],
)
def test_scaling_of_the_input(build, inside):
    model = classifier(build)
    rewritten = rewrite(flatten(model))
    kinds = [type(layer).__name__ for layer in rewritten.layers]
    assert not {"Rescaling", "Normalization", "RandomFlip"} & set(kinds)
    assert ("DepthwiseConv2D" in kinds[:2]) == (not inside or "depthwise" in model.layers[2].name)
    same_outputs(model, rewritten, 1e-5)


def everything(x):
    """What applications of Keras are made of, on pixels; a hard swish and a gate written out, pooling at the edges."""
    x = layers.BatchNormalization()(convolution(scaled(x), use_bias=False))
    x = layers.Activation("silu")(x)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(4, 1, activation="silu")(gate))
    x = layers.Multiply()([x, gate])
    x = layers.Add()([x, layers.AveragePooling2D(3, 1, padding="same")(x)])
    x = layers.Concatenate()([layers.Activation("relu")(x), layers.SeparableConv2D(8, 3, padding="same")(x)])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(2)(x)
    y = layers.Conv2D(16, 1)(x)
    x = y * (layers.ReLU(6.0)(y + 3.0) * (1 / 6)) + x
    return layers.LeakyReLU(0.1)(layers.Conv2D(8, 1)(x))


def from_normalized(x):
    """A first convolution that takes the scaling in, a scaling in the middle, the last two kinds of pooling."""
    x = layers.ReLU()(layers.BatchNormalization()(convolution(normalized(x), padding="valid", use_bias=False)))
    x = ops.relu(x * 0.5 - 0.1)
    x = layers.Concatenate()([x, *(layers.Conv2D(2, 1)(x) for _ in range(5))])  # more than XNNPACK concatenates at once
    x = layers.Concatenate()([layers.GlobalMaxPooling2D(keepdims=True)(x), layers.AveragePooling2D(7)(x)])
    return layers.Conv2D(6, 1, activation="silu")(x)


@pytest.mark.parametrize("build", [pytest.param(everything, marks=pytest.mark.slow), from_normalized])
def test_int8_file_in_one_partition(build, tmp_path):
    model = classifier(build, seed=1)
    images = pixels(48)
    same_outputs(model, to_tf_keras(model), 1e-5)
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images[:32])
    path = tmp_path / "model.tflite"
    path.write_bytes(write(read_quantized(quantized)))

    found = inspect(path)
    assert found.int8_only
    assert (found.partitions, found.not_delegated, found.bad_scales) == (1, [], [])
    # Pixels go in as they are: one step each.
    assert found.inputs[0]["scale"] == pytest.approx(images[:32].max() / 255, rel=1e-3)
    assert found.inputs[0]["zero_point"] == -128

    received = run_in_subprocess(path, images)
    expected, fake = (np.asarray(each.predict(images, verbose=0)) for each in (model, quantized))
    # Up to 30 operators round one after another: two steps.
    assert (np.abs(received - fake) <= 2.5 * found.outputs[0]["scale"]).mean() >= 0.97
    assert np.corrcoef((expected - expected.mean(0)).ravel(), (received - received.mean(0)).ravel())[0, 1] > 0.99
    # Constants are not trained; nor is what holds the input's scale, a thousand times smaller than other weights.
    trained = {variable.name.partition("/")[0] for variable in quantized.trainable_variables}
    assert not any("average_pooling" in name or "rescaling" in name for name in trained)
    assert ("stem" in trained) == (build is everything)


def test_what_can_not_be_carried_is_named():
    inputs = keras.Input((SIZE, SIZE, 3))

    def check(outputs, *expected, function=to_tf_keras):
        with pytest.raises(InputError) as caught:
            function(keras.Model(inputs, outputs))
        text = str(caught.value)
        assert "\n" not in text
        for part in expected:
            assert part in text

    trained = functools.partial(quantize_aware, engine="tf_mot")
    check(layers.Lambda(lambda x: x + 1, name="code")(inputs), "code of type Lambda", "Python code", "keras.ops")
    check(layers.LayerNormalization(name="own")(inputs), "own of type LayerNorm", "write BatchNormalization")
    check(inputs[..., ::-1], "(GetItem)", "swap colors")
    check(1.0 / (inputs + 1.0), "(TrueDivide)", "write Add, Multiply, Rescaling")
    check(layers.Resizing(8, 8, name="smaller")(inputs), "smaller of type Resizing", "resize the images before")
    check(layers.Normalization(axis=(1, 2, 3), name="each")(inputs), "each (Normalization)", "(1, 16, 16, 3)")
    check(layers.Maximum(name="most")([inputs, inputs]), "most of type Maximum", "write Add", function=trained)
    twice = layers.Conv2D(3, 1, name="twice")
    check(twice(twice(inputs)), "twice used twice", "as many layers", function=trained)


APPLICATIONS = {
    "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "MobileNetV3Large": 32, "ResNet50": 32,
    "ResNet50V2": 32, "DenseNet121": 32, "EfficientNetB0": 32, "EfficientNetV2B0": 32, "Xception": 71,
    "NASNetMobile": 32,
}  # fmt: skip
QUICK = ("MobileNetV3Small",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in APPLICATIONS]
)
def test_models_that_come_with_keras(name):
    size = APPLICATIONS[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=10)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":  # else statistics are zero and one
            layer.moving_mean.assign(np.random.default_rng(0).normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(np.random.default_rng(1).uniform(0.5, 1.5, layer.moving_variance.shape))
    images = np.random.default_rng(2).uniform(-1, 1, (2, size, size, 3)).astype("float32")

    twin = to_tf_keras(model)

    expected = keras.ops.convert_to_numpy(model(images))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(np.asarray(twin(images)), expected, rtol=0, atol=1e-4 * expected.max())
    rewritten = rewrite(flatten(model))
    np.testing.assert_allclose(np.asarray(rewritten(images)), expected, rtol=0, atol=1e-4 * expected.max())
