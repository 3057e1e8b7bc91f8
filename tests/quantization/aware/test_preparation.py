"""Layers that TF-MOT refuses, one by one: the quantized model's outputs are the float one's."""

import keras
import numpy as np
import pytest
from small_classifier import SIZE, color_images, scramble

from keras_lite.layers import AttentionDownsampling, ChannelShuffle, ChannelSlice, PositionAwareCircularConv
from keras_lite.quantization import calibrate, quantize_aware

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
def test_fake_quantized_outputs(build):
    model = classifier(build)
    images, _ = color_images(96, seed=1)
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images[:64])

    expected, received = (np.asarray(each.predict(images[64:], verbose=0)) for each in (model, quantized))
    assert np.corrcoef((expected - expected.mean(0)).ravel(), (received - received.mean(0)).ravel())[0, 1] > 0.98


def test_gate_is_cut_off_by_its_range():
    quantized = quantize_aware(classifier(gated), engine="tf_mot")
    kinds = [type(layer.layer).__name__ for layer in quantized.layers if hasattr(layer, "layer")]
    assert kinds.count("Conv2D") == 2
    assert "Rescaling" not in kinds  # the convolution has taken the gate in


def test_depthwise_kernel_is_rounded_channel_by_channel():
    model = classifier(layers.DepthwiseConv2D(3, use_bias=False, name="depthwise"))
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 1)).astype("float32") * np.logspace(-3, 0, 8)[:, None]
    model.get_layer("depthwise").set_weights([kernel])
    wrapper = quantize_aware(model, engine="tf_mot").get_layer("quant_depthwise")
    [(_, quantizer)] = wrapper.quantize_config.get_weights_and_quantizers(wrapper.layer)

    rounded = np.asarray(quantizer(kernel, False, {}))
    steps = np.abs(kernel).max(axis=(0, 1), keepdims=True) / 127
    np.testing.assert_allclose(rounded, np.rint(kernel / steps) * steps, rtol=1e-4)
