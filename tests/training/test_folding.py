"""Batch normalization in the convolutions in front of it: the same outputs and the same steps of training."""

import keras
import numpy as np
import pytest

from keras_lite.layers import Conv2D, DepthwiseConv2D
from keras_lite.training.folding import FoldedConvolution, fold_batch_norm

layers = keras.layers


def network():
    """Every kind of pair, and those that must stay: a map with two uses, an activation between, a norm that trains."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((9, 9, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU()(x)
    x = DepthwiseConv2D(5, padding="same", use_bias=False, name="wide")(x)
    x = layers.BatchNormalization(scale=False, name="wide_norm")(x)
    x = Conv2D(6, 1, name="point")(x)
    x = layers.BatchNormalization(center=False, epsilon=0.1, name="point_norm")(x)
    both = layers.Conv2D(6, 3, padding="same", name="twice")(x)
    x = layers.Add()([both, layers.BatchNormalization(name="twice_norm")(both)])
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="active")(x)
    x = layers.BatchNormalization(name="active_norm")(x)
    x = layers.Conv2D(6, 3, groups=2, padding="same", use_bias=False, name="grouped")(x)
    x = layers.BatchNormalization(name="grouped_norm")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, name="classifier")(x))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
            layer.set_weights([rng.uniform(0.4, 1.6, weight.shape) for weight in layer.get_weights()])
    return model


def folded_names(model):
    return {layer.convolution.name for layer in model.layers if isinstance(layer, FoldedConvolution)}


def test_outputs_and_a_step_are_those_of_the_separate_layers():
    plain, model = network(), network()
    folded = fold_batch_norm(model)
    assert folded_names(folded) == {"stem", "wide", "point", "grouped"}
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(8, 9, 9, 3)).astype("float32"), np.arange(8) % 4
    np.testing.assert_allclose(folded.predict_on_batch(images), plain.predict_on_batch(images), rtol=1e-4, atol=1e-5)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for each in (plain, folded):
        each.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, jit_compile=False)
        for _ in range(3):
            each.train_on_batch(images, labels)
    # The step on the folded model trains the network's own variables, and not those of batch normalization.
    start = network()
    for layer, expected, before in zip(model.layers, plain.layers, start.layers, strict=True):
        for value, other, first in zip(layer.get_weights(), expected.get_weights(), before.get_weights(), strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-5)
            assert np.array_equal(value, first) == isinstance(layer, layers.BatchNormalization)


@pytest.mark.tensorflow_only
def test_batch_norm_that_trains_and_half_precision_stay():
    model = network()
    model.get_layer("wide_norm").trainable = True
    model.get_layer("stem").trainable = False
    assert folded_names(fold_batch_norm(model)) == {"stem", "point", "grouped"}
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert not folded_names(fold_batch_norm(network()))
    finally:
        keras.config.set_dtype_policy("float32")
