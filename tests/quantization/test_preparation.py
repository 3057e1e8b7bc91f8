"""Layers that TF-MOT refuses, one by one: the quantised model answers like the float one."""

import keras
import numpy as np
import pytest
from small_classifier import SIZE, carnet_like, colour_images, scramble

from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.layers import AttentionDownsampling, ChannelShuffle, ChannelSlice, PositionAwareCircularConv
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.calibration import least_error_range
from keras_lite.quantization.dead_channels import mend_dead_channels

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers


def classifier(build):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = build(layers.BatchNormalization(name="norm")(x))
    return scramble(keras.Model(inputs, layers.Dense(5, name="classes")(layers.GlobalAveragePooling2D()(x))))


def gated(x):
    weights = layers.Conv2D(8, 1, activation="hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Multiply()([x, weights])


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(layers.Activation("hard_silu"), id="hard_swish"),
        pytest.param(layers.Activation("hard_sigmoid"), id="hard_sigmoid"),
        pytest.param(gated, id="gate"),
        pytest.param(ChannelSlice(3, 4), id="slice"),
        pytest.param(ChannelShuffle(2), id="shuffle"),
        pytest.param(PositionAwareCircularConv("height"), id="circular"),
        pytest.param(AttentionDownsampling(12, attention=True), id="attention"),
        pytest.param(layers.DepthwiseConv2D(3, activation="relu"), id="depthwise"),
        pytest.param(layers.MaxPooling2D(1, strides=2), id="subsample"),
        pytest.param(layers.Conv2D(8, 3, groups=4), id="grouped"),
    ],
)
def test_fake_quantised_answers(build):
    model = classifier(build)
    images, _ = colour_images(96, seed=1)
    quantized = quantize_aware(model)
    calibrate(quantized, images[:64])

    expected, received = (np.asarray(each.predict(images[64:], verbose=0)) for each in (model, quantized))
    assert np.corrcoef((expected - expected.mean(0)).ravel(), (received - received.mean(0)).ravel())[0, 1] > 0.98


def test_gate_is_cut_off_by_its_range():
    quantized = quantize_aware(classifier(gated))
    kinds = [type(layer.layer).__name__ for layer in quantized.layers if hasattr(layer, "layer")]
    assert kinds.count("Conv2D") == 2
    assert "Rescaling" not in kinds  # the convolution has taken the gate in


def test_depthwise_kernel_is_rounded_channel_by_channel():
    model = classifier(layers.DepthwiseConv2D(3, use_bias=False, name="depthwise"))
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 1)).astype("float32") * np.logspace(-3, 0, 8)[:, None]
    model.get_layer("depthwise").set_weights([kernel])
    wrapper = quantize_aware(model).get_layer("quant_depthwise")
    [(_, quantizer)] = wrapper.quantize_config.get_weights_and_quantizers(wrapper.layer)

    rounded = np.asarray(quantizer(kernel, False, {}))
    steps = np.abs(kernel).max(axis=(0, 1), keepdims=True) / 127
    np.testing.assert_allclose(rounded, np.rint(kernel / steps) * steps, rtol=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_range_of_least_error(scale):
    """Against a search by brute force over values themselves."""
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=200_000), [8.0, -3.0]).astype("float32") * scale
    counts = np.histogram(values, 2048, (values.min(), values.max()))[0]

    low, high = least_error_range(counts, float(values.min()), float(values.max()))

    def error(low, high):
        step = (high - low) / 255
        return np.square(np.clip(np.rint((values - low) / step), 0, 255) * step + low - values).mean()

    best = min(error(a, b) for a in values.min() * np.linspace(0.6, 1, 9) for b in np.linspace(3, 8, 30) * scale)
    assert error(low, high) < 1.1 * best
    assert error(low, high) < error(values.min(), values.max())
    assert high < 7 * scale  # the one value out there is cut off
    assert least_error_range(counts, 0.0, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize("what", ["kernel", "gamma", "layer"])
def test_dead_channels_are_mended_without_changing_an_answer(what):
    model = flatten(carnet_like())
    scramble(model)
    stem = model.get_layer("stem")
    norm = next(layer for layer in model.layers if type(layer).__name__ == "BatchNormalization")
    if what == "gamma":
        norm.gamma.assign(np.where(np.arange(8) == 3, 1e-20, norm.gamma))
    else:
        [kernel] = stem.get_weights()
        kernel[..., slice(None) if what == "layer" else 3] = 0.0
        stem.set_weights([kernel])
    images, _ = colour_images(8, seed=1)
    before = model.predict(images, verbose=0)

    [text] = mend_dead_channels(model)

    assert text == f"stem (channels {'0, 1, 2, 3, 4, 5, 6, 7' if what == 'layer' else 3})"
    after = model.predict(images, verbose=0)
    assert np.abs(after - before).max() < 2e-3 * np.abs(before).max()
    assert np.abs(stem.get_weights()[0]).max(axis=(0, 1, 2)).min() > 0
    assert mend_dead_channels(model) == []


def test_weights_that_are_no_numbers_are_named():
    model = carnet_like()
    model.get_layer("stem").set_weights([np.full((3, 3, 3, 8), np.nan)])
    with pytest.raises(InputError, match="inf or nan in layer stem"):
        quantize_aware(model)
