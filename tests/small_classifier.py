"""Small image classifiers of the kinds that are quantized and exported, and images that they learn in seconds."""

import keras
import numpy as np

from keras_lite.data import ArraySource, Batches, Preprocessing
from keras_lite.layers import ChannelAttention, GroupConvBlock

layers = keras.layers
SIZE = 32
CLASSES = ["blue", "green", "red"]
PREPROCESSING = Preprocessing((SIZE, SIZE))


def color_source(count: int, seed: int) -> ArraySource:
    """Images of noise and a bright patch whose color is the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(0, SIZE // 2, 2)
        image[top : top + 16, left : left + 16, 2 - label] += rng.integers(60, 135)
    return ArraySource(images.astype("uint8"), labels, CLASSES)


def color_images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same, preprocessed, with labels."""
    source = color_source(count, seed)
    return PREPROCESSING(source.images(np.arange(count))), source.labels


def carnet_like(gate: str = "sigmoid", activation: str | None = None) -> keras.Model:
    """Stem, one of CARNet's blocks, another one written out with a gate to choose, classifier."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = GroupConvBlock(16, strides=2, attention_ratio=2, name="block")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = ChannelAttention(4, gate=gate, name="attention")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation=activation, name="predictions")(x), name="carnet_like")


def preactivation(activation: str | None = "softmax") -> keras.Model:
    """Batch norm and ReLU before convolutions, and behind additions, where no convolution can take them in."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    for filters, strides in ((8, 1), (16, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        shortcut = x if filters == x.shape[-1] else layers.Conv2D(filters, 1, strides=strides, use_bias=False)(y)
        y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        x = layers.Add()([y, shortcut])
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(3, activation=activation)(x), name="preactivation")


def tiny(activation: str | None = "softmax") -> keras.Model:
    """As few layers as there are kinds of convolution, for tests that convert many times."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation=activation)(x), name="tiny")


def scramble(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a random value, batch normalization's statistics too, so that no mistake hides in a zero."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.path.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.5, 1.5, variable.shape)
        elif "seed" in variable.path:
            continue
        else:
            value = rng.normal(0, 0.3, variable.shape)
        variable.assign(value)
    return model


def train(model: keras.Model, epochs: int = 8) -> keras.Model:
    """Train until nearly every image is right."""
    keras.utils.set_random_seed(0)
    images, labels = color_images(240, seed=1)
    from_logits = model.layers[-1].activation is not keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    model.compile(keras.optimizers.Adam(5e-3), loss, jit_compile=False)
    model.fit(images, labels, batch_size=16, epochs=epochs, verbose=0)
    return model


class KilledError(Exception):
    """What `DyingBatches` raise."""


class DyingBatches(Batches):
    """Batches that end the training in its second epoch."""

    def batch(self, epoch, index):
        """Return a batch of the first epoch."""
        if epoch == 1:
            raise KilledError
        return super().batch(epoch, index)
