"""Multiply-accumulates of each kind of layer, by hand."""

import keras
import pytest

from keras_lite.graph import count
from keras_lite.layers import StridedAttention

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers


@pytest.mark.parametrize(
    ("shape", "layer", "macs"),
    [
        ((16, 4), layers.Conv1D(6, 3, strides=2, padding="same"), 8 * 3 * 4 * 6),
        ((16, 4), layers.Conv1D(6, 5, groups=2), 12 * 5 * 2 * 6),
        ((16, 4), layers.DepthwiseConv1D(3, depth_multiplier=2), 14 * 3 * 8),
        ((16, 4), layers.SeparableConv1D(6, 3, depth_multiplier=2), 14 * (3 * 8 + 8 * 6)),
        ((9, 8, 4), layers.Conv2D(6, (3, 1), dilation_rate=2), 5 * 8 * 3 * 4 * 6),
        ((9, 8, 4), layers.DepthwiseConv2D(3, 2), 4 * 3 * 9 * 4),
        ((9, 8, 4), layers.SeparableConv2D(6, 3), 7 * 6 * (9 * 4 + 4 * 6)),
        ((5, 6, 7, 4), layers.Conv3D(6, (3, 2, 1)), 3 * 5 * 7 * 6 * 4 * 6),
        # Each position of the input meets the whole kernel.
        ((9, 4), layers.Conv1DTranspose(6, 3, 2), 9 * 3 * 4 * 6),
        ((9, 8, 4), layers.Conv2DTranspose(6, 3, 2, padding="same"), 9 * 8 * 9 * 4 * 6),
        ((5, 6, 7, 4), layers.Conv3DTranspose(6, 2, 2), 5 * 6 * 7 * 8 * 4 * 6),
        ((7, 4), layers.Dense(6), 7 * 4 * 6),
        ((5, 4), layers.EinsumDense("abc,cd->abd", (5, 7), bias_axes="d"), 5 * 4 * 7),
        ((5, 4, 3), layers.EinsumDense("...bc,cd->...bd", (4, 7)), 5 * 4 * 3 * 7),
        ((5, 4), layers.EinsumDense("abc,bcde->ade", (2, 3)), 5 * 4 * 2 * 3),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_by_hand(shape, layer, macs):
    found = count(keras.Sequential([keras.Input(shape), layer]))
    assert found.macs == macs
    assert found.not_counted == ()
    assert found.parameters == layer.count_params()


def test_channels_first():
    model = keras.Sequential([keras.Input((4, 9, 8)), layers.Conv2D(6, 3, data_format="channels_first")])
    assert count(model).macs == 7 * 6 * 9 * 4 * 6


def attention(layer, *shapes):
    inputs = [keras.Input(shape) for shape in shapes]
    return count(keras.Model(inputs, layer(*inputs)))


def test_attention_is_counted_as_far_as_weights_go():
    # Queries of 5 positions and 8 channels, values of 7 and 6; two heads of 3 (keys) and 4 (values).
    found = attention(layers.MultiHeadAttention(2, 3, value_dim=4, name="heads"), (5, 8), (7, 6))
    assert found.macs == 5 * 8 * 6 + 7 * 6 * 6 + 7 * 6 * 8 + 5 * 8 * 8
    assert found.not_counted == ("products between activations in MultiHeadAttention (heads)",)
    # Four channels a head: six heads of queries, three of keys and values.
    found = attention(layers.GroupQueryAttention(4, 6, 3), (5, 8), (7, 8))
    assert found.macs == 5 * 8 * 24 + 2 * 7 * 8 * 12 + 5 * 24 * 8


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (layers.LSTM(3, name="memory"), "anything in LSTM (memory)"),
        (layers.Lambda(lambda x: x * 2, name="twice"), "anything in Lambda (twice)"),
        (layers.TimeDistributed(layers.Dense(2), name="each"), "anything in TimeDistributed (each)"),
    ],
)
def test_what_is_not_counted_is_named(layer, text):
    found = count(keras.Sequential([keras.Input((5, 4)), layer, layers.Flatten(), layers.Dense(2, use_bias=False)]))
    assert found.not_counted == (text,)
    assert str(found).splitlines()[-1] == f"not counted: {text}"
    for line in str(found).splitlines():
        assert not (line.startswith(layer.name) and line.endswith(" 0"))


def test_products_of_activations_are_named():
    inputs = keras.Input((4, 4))
    turned = keras.ops.matmul(inputs, keras.ops.transpose(inputs, (0, 2, 1)))
    attended = layers.Attention(name="first")([turned, inputs])
    attended = layers.Attention(name="second")([attended, inputs])
    texts = count(keras.Model(inputs, layers.Dot(2, name="dot")([attended, inputs]))).not_counted
    assert "products between activations in Attention (first, second)" in texts
    assert "products between activations in Dot (dot)" in texts
    assert any(text.startswith("products between activations in Matmul") for text in texts)
    images = [keras.Input(shape) for shape in ((2, 2, 16), (4, 4, 16), (4, 4, 32))]
    found = count(keras.Model(images, StridedAttention(name="strided")(images)))
    assert found.not_counted == ("products between activations in StridedAttention (strided)",)


@pytest.mark.parametrize("build", [keras.applications.MobileNetV3Small, keras.applications.ConvNeXtTiny])
def test_nothing_is_left_out_of_common_networks(build):
    assert count(build(weights=None, input_shape=(64, 64, 3))).not_counted == ()
