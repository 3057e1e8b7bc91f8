"""A small network with a residual unit and a gate, whose channels may be of very different size."""

import keras
import numpy as np

layers = keras.layers
SIZE = 8


def network(largest=1.0):
    """Convolution, residual unit with grouped and depthwise convolutions, gate, classifier.

    The channels of the residual stream grow from 1 to `largest`, and count for as much less in the classifier.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.Conv2D(8, 3, padding="same", groups=2, activation="relu", name="grouped")(x)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(y)
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    y = layers.Multiply()([y, layers.Conv2D(8, 1, activation="sigmoid", name="gate")(gate)])
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(4, name="predictions")(x))
    rng = np.random.default_rng(0)
    for name in ("stem_norm", "depthwise_norm"):
        model.get_layer(name).gamma.assign(np.geomspace(1.0, largest, 8))
        model.get_layer(name).beta.assign(rng.normal(size=8))
    kernel = rng.normal(size=(8, 4)) / np.geomspace(1.0, largest, 8)[:, None]
    model.get_layer("predictions").set_weights([kernel, np.zeros(4)])
    return model


def noise(count, seed):
    return np.random.default_rng(seed).normal(size=(count, SIZE, SIZE, 3)).astype("float32")
