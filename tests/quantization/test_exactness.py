"""A model prepared for int8 is the float model, exactly, as long as nothing is rounded: every kind of rewriting."""

import keras
import numpy as np
import pytest
from small_classifier import scramble

from keras_lite.layers import (
    AttentionDownsampling,
    BSConvS,
    BSConvU,
    ChannelAttention,
    ChannelShuffle,
    ChannelSlice,
    ChannelSplit,
    GhostModule,
    GroupConvBlock,
    HybridStem,
    PaddingFreeDownsampling,
    PositionAwareCircularConv,
    PositionEmbedding,
)
from keras_lite.quantization import quantize_aware
from keras_lite.quantization.aware.tf_mot.calibration import unrounded

pytestmark = pytest.mark.tensorflow_only
layers, ops = keras.layers, keras.ops
SIZE = 12


def pixels(count=4):
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (count, SIZE, SIZE, 3)).astype("float32")


def normal(count=4):
    return np.random.default_rng(0).normal(scale=2.0, size=(count, SIZE, SIZE, 3)).astype("float32")


def conv(x, filters=8, **arguments):
    return layers.Conv2D(filters, **{"kernel_size": 3, "padding": "same", **arguments})(x)


def normalized(x, filters=8):
    return layers.BatchNormalization()(conv(x, filters, use_bias=False))


def outputs_of(model, images):
    """Of the model, and of the quantized one without rounding."""
    expected = ops.convert_to_numpy(model(images))
    quantized = quantize_aware(model, engine="tf_mot")
    with unrounded(quantized, weights=True):
        return expected, quantized(images).numpy()


def largest_error(model, images):
    """Of an output without rounding, as a share of the largest one."""
    expected, received = outputs_of(model, images)
    assert np.ptp(expected) > 0
    return np.abs(received - expected).max() / np.abs(expected).max()


def behind(build):
    """A model that has layers between two convolutions."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = build(normalized(inputs))
    return scramble(keras.Model(inputs, layers.Dense(5)(x) if len(x.shape) == 2 else conv(x, 5, kernel_size=1)))


def gated(gate):
    return lambda x: ChannelAttention(2, gate=gate)(layers.ReLU()(x))


def concatenated(count):
    def build(x):
        x = layers.ReLU()(x)
        return layers.Concatenate()([conv(x, 2 + index % 3) for index in range(count)])

    return build


def concatenated_cut_off(x):
    x = conv(x)
    parts = [layers.Activation("hard_sigmoid")(x), layers.ReLU(1.5)(x), conv(x, activation="hard_sigmoid")]
    return layers.Concatenate()([*parts, layers.Activation("sigmoid")(x)])


def split(x):
    first, second = ChannelSplit()(x)
    return layers.Concatenate()([layers.ReLU()(conv(first, 4)), second])


def written_out(x):
    return x * (layers.ReLU(6.0)(x + 3.0) * (1 / 6)) + x * ops.sigmoid(x)


KINDS = {
    "relu": lambda x: layers.ReLU()(x),
    "relu_of_pool": lambda x: layers.ReLU()(layers.MaxPooling2D(2)(x)),
    "relu_twice": lambda x: layers.ReLU()(layers.MaxPooling2D(2)(layers.ReLU()(x))),
    "relu6": lambda x: layers.ReLU(6.0)(x),
    "relu6_activation": lambda x: layers.Activation("relu6")(layers.MaxPooling2D(2)(x)),
    "relu_up_to_1": lambda x: layers.ReLU(1.0)(x),
    "relu_up_to_2_of_sum": lambda x: layers.ReLU(2.0)(layers.Add()([x, conv(x)])),
    "relu_up_to_2_of_product": lambda x: layers.ReLU(2.0)(layers.Multiply()([x, conv(x)])),
    "relu_of_difference": lambda x: layers.ReLU()(layers.Subtract()([x, conv(x)])),
    "leaky_relu": lambda x: layers.LeakyReLU(0.1)(x),
    "leaky_relu_capped": lambda x: layers.ReLU(1.0, 0.2)(x),
    "leaky_relu_inside": lambda x: conv(x, activation="leaky_relu"),
    "hard_silu": lambda x: layers.Activation("hard_silu")(x),
    "hard_silu_of_sum": lambda x: layers.Activation("hard_silu")(layers.Add()([x, conv(x)])),
    "hard_silu_of_conv": lambda x: layers.Activation("hard_silu")(conv(x)),
    "hard_silu_inside": lambda x: conv(x, activation="hard_silu"),
    "hard_silu_of_norm": lambda x: layers.Activation("hard_silu")(layers.BatchNormalization()(layers.ReLU()(x))),
    "hard_silu_of_dense": lambda x: layers.Activation("hard_silu")(layers.Dense(9)(layers.Flatten()(x))),
    "hard_silu_of_depthwise": lambda x: layers.Activation("hard_silu")(layers.DepthwiseConv2D(3)(x)),
    "hard_sigmoid": lambda x: layers.Activation("hard_sigmoid")(x),
    "hard_sigmoid_inside": lambda x: conv(x, activation="hard_sigmoid"),
    "hard_sigmoid_without_bias": lambda x: layers.Activation("hard_sigmoid")(conv(x, use_bias=False)),
    "hard_sigmoid_gate": gated("hard_sigmoid"),
    "sigmoid_gate": gated("sigmoid"),
    "sigmoid": lambda x: layers.Activation("sigmoid")(x),
    "silu": lambda x: layers.Activation("silu")(x),
    "tanh": lambda x: layers.Activation("tanh")(x),
    "gelu": lambda x: layers.Activation("gelu")(x),
    "written_out": written_out,
    "norm_alone": lambda x: layers.BatchNormalization()(layers.ReLU()(x)),
    "norm_and_relu_alone": lambda x: layers.ReLU()(layers.BatchNormalization()(layers.MaxPooling2D(2)(x))),
    "norm_without_scale": lambda x: layers.BatchNormalization(scale=False, center=False)(layers.ReLU()(x)),
    "norm_of_depthwise": lambda x: layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))),
    "norm_with_bias": lambda x: layers.ReLU()(layers.BatchNormalization()(conv(x))),
    "depthwise_of_two": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x),
    "grouped": lambda x: conv(x, groups=4, activation="relu"),
    "dilated": lambda x: conv(x, dilation_rate=2),
    "separable": lambda x: layers.SeparableConv2D(6, 3, strides=2, depth_multiplier=2, activation="relu")(x),
    "max_pool": lambda x: layers.MaxPooling2D(3, 2, padding="same")(x),
    "max_pool_of_one": lambda x: layers.MaxPooling2D(1, strides=2)(x),
    "global_max_pool": lambda x: layers.GlobalMaxPooling2D()(x),
    "global_average_pool": lambda x: layers.GlobalAveragePooling2D()(x),
    "whole_average_pool": lambda x: layers.AveragePooling2D(SIZE)(x),
    "concatenation_of_3": concatenated(3),
    "concatenation_of_9": concatenated(9),
    "concatenation_of_what_is_cut_off": concatenated_cut_off,
    "slice": ChannelSlice(3, 4),
    "split": split,
    "shuffle": ChannelShuffle(4),
    "circular_height": PositionAwareCircularConv("height"),
    "circular_width": PositionAwareCircularConv("width"),
    "attention": AttentionDownsampling(12, attention=True),
    "position": lambda x: layers.ReLU()(PositionEmbedding("width")(x)),
    "scaled_inside": lambda x: layers.Rescaling([0.1 * i for i in range(1, 9)], -0.3)(layers.ReLU()(x)),
    "scaled_inside_flat": lambda x: layers.Rescaling(2.5, 0.25)(layers.Dense(7)(layers.Flatten()(x))),
    "normalized_inside": lambda x: layers.Normalization(mean=0.4, variance=2.0)(layers.ReLU()(x)),
    "sum_of_3": lambda x: layers.ReLU()(layers.Add()([x, conv(x), conv(x)])),
    "sum_of_7": lambda x: layers.Add()([x, *(conv(x) for _ in range(6))]),
    "product_of_3": lambda x: layers.Multiply()([x, conv(x), layers.Activation("sigmoid")(conv(x))]),
    "dropout": lambda x: layers.SpatialDropout2D(0.5)(layers.GaussianNoise(1.0)(x)),
    "padding_and_cropping": lambda x: layers.Cropping2D(1)(layers.ZeroPadding2D(((1, 2), (3, 0)))(x)),
    "group_conv_block": GroupConvBlock(16, attention_ratio=2),
    "ghost": GhostModule(10),
    "bsconv_u": BSConvU(10, 3),
    "bsconv_s": BSConvS(10, 3),
    "hybrid_stem": HybridStem(8),
    "padding_free": PaddingFreeDownsampling(12),
}


# Rewritten as another one that stays, or as layers of this package are that are made of such.
ALIKE = (
    *("relu_twice", "relu6_activation", "relu_up_to_2_of_product", "leaky_relu_inside", "hard_sigmoid_inside"),
    *("hard_silu_of_conv", "hard_silu_of_norm", "hard_silu_of_dense", "hard_silu_inside", "norm_of_depthwise"),
    *("norm_and_relu_alone", "sum_of_7", "concatenation_of_9", "circular_width", "scaled_inside_flat"),
    *("attention", "group_conv_block", "ghost", "bsconv_u", "bsconv_s", "hybrid_stem", "padding_free"),
)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in ALIKE else ()) for kind in KINDS]
)
def test_nothing_is_lost_but_by_rounding(kind):
    assert largest_error(behind(KINDS[kind]), normal()) < 1e-4


@pytest.mark.parametrize("layer", [layers.AveragePooling2D, layers.MaxPooling2D])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling(layer, padding):
    """Windows of all kinds side by side, each with outputs of its own."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(normalized(inputs))
    pooled = [
        layers.GlobalAveragePooling2D()(conv(layer(size, strides, padding)(x), 3))
        for size, strides in [(2, 2), (3, 1), (3, 2), (5, 1), ((2, 3), (1, 2)), (4, 3)]
    ]
    expected, received = outputs_of(scramble(keras.Model(inputs, layers.Concatenate()(pooled))), normal())
    for part in range(0, 3 * len(pooled), 3):
        error = np.abs(received - expected)[:, part : part + 3].max()
        assert error < 1e-4 * np.abs(expected[:, part : part + 3]).max()


def scaled(x):
    return layers.Rescaling(1 / 127.5, -1.0)(x)


def standardized(x):
    return layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3000.0, 4000.0, 5000.0])(x)


INPUTS = {
    "scaled_padded": lambda x: conv(scaled(x)),
    "scaled_unpadded": lambda x: conv(scaled(x), padding="valid"),
    "scaled_padded_before": lambda x: conv(layers.ZeroPadding2D(1)(scaled(x)), strides=2, padding="valid"),
    "scaled_without_offset": lambda x: conv(layers.Rescaling(1 / 255)(x), use_bias=False),
    "standardized_padded": lambda x: conv(standardized(x)),
    "standardized_unpadded": lambda x: conv(standardized(x), padding="valid", use_bias=False),
    "standardized_by_1": lambda x: conv(standardized(layers.Rescaling(2.0, -1.0)(x)), kernel_size=1),
    "standardized_depthwise": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(standardized(x)),
    "scaled_for_two": lambda x: (lambda y: conv(y, 4, padding="valid") + conv(y, 4, padding="valid"))(scaled(x)),
    "scaled_pooled": lambda x: conv(layers.MaxPooling2D(2)(scaled(x))),
    "scaled_flat": lambda x: layers.Dense(6)(layers.Flatten()(scaled(x))),
    "scaled_by_operations": lambda x: conv((x / 255.0 - np.array([0.5, 0.4, 0.3], "float32")) * 4.0),
    "scaled_backwards": lambda x: conv(1.0 - layers.Rescaling(1 / 255)(x)),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_scaling_of_the_input(kind):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(INPUTS[kind](inputs))
    outputs = layers.Dense(5)(x) if len(x.shape) == 2 else conv(x, 5)
    assert largest_error(scramble(keras.Model(inputs, outputs)), pixels()) < 1e-4


@pytest.mark.parametrize("end", ["softmax", "Softmax"])
def test_softmax_at_the_end_is_dropped(end):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(conv(inputs))
    softmax = end == "softmax"
    x = layers.Dense(5, activation=end)(x) if softmax else layers.Softmax()(layers.Dense(5)(x))
    model = scramble(keras.Model(inputs, x))
    quantized = quantize_aware(model, engine="tf_mot")
    with unrounded(quantized, weights=True):
        powers = np.exp(quantized(normal()).numpy())
    probabilities = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, ops.convert_to_numpy(model(normal())), atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1e-20, 1e-6])
@pytest.mark.parametrize("normalized", [False, True])
def test_dead_channels_cost_what_they_are_given(share, normalized):
    """A dead channel gets one weight of 1e-4 of the layer's largest: so much, times what it is multiplied by."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, name="first")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x) if normalized else x)
    model = scramble(keras.Model(inputs, layers.Conv2D(5, 3)(x)))
    kernel, *bias = model.get_layer("first").get_weights()
    kernel[..., 2:4] *= share
    model.get_layer("first").set_weights([kernel, *bias])
    assert largest_error(model, normal()) < 1e-3


def test_the_end_of_a_sigmoid_is_no_cut_off():
    """An int8 sigmoid ends at 255/256: that is rounding, and none without it."""
    model = behind(lambda x: layers.Activation("sigmoid")(layers.Rescaling(50.0)(x)))
    assert largest_error(model, normal()) < 1e-4
