"""A recipe small enough for tests, with what makes resuming hard: dropout, batch normalization, Adam, augmentation."""

import keras
import numpy as np

from keras_lite.data import ArraySource, Augmentation
from keras_lite.training import Recipe, RecipeModel

CLASSES = ["a", "b", "c"]


def build(image_size, classes):
    inputs = keras.Input((*image_size, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="convolution")(inputs)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    x = keras.layers.Dropout(0.2, name="second_dropout")(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="classifier")(x), name="tiny")


RECIPE = Recipe(
    name="tiny",
    models={"tiny": RecipeModel(build), "tiny_two": RecipeModel(build, "sports100/carnet18/ours")},
    optimizer=keras.optimizers.Adam,
    learning_rate=1e-2,
    epochs=3,
    batch_size=4,
    image_size=(8, 8),
    augmentation=Augmentation(brightness=0.2, horizontal_flip=True, rotation=15.0),
)


def source(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    images = rng.integers(0, 200, (count, 8, 8, 3), dtype="uint8")
    images[np.arange(count), :, :, labels] //= 2
    return ArraySource(images, labels, CLASSES)


def data():
    """Seven training steps of four, the last of three; two validation steps, two test steps."""
    return {"train": source(27, 0), "valid": source(8, 1), "test": source(8, 2)}
