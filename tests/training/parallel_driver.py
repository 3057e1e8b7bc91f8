"""Runs recipes on several simulated devices: python parallel_driver.py DEVICES RUN...

Each RUN is a JSON list: the name of a recipe below, then the flags of its command line; a last `broken:N` has an image
broken after N of the training images are read. After each it prints one line of JSON: the exit status, and which images
of each split were read. It ends with the status of the last.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.modules["tensorflow"] = None  # as where it is not installed; Keras loads it to save a model, which takes long

import keras

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny

from keras_lite.cli.train import run_recipe
from keras_lite.data import ArraySource
from keras_lite.errors import InputError
from keras_lite.layers import BatchNormalization
from keras_lite.pipelines import train
from keras_lite.training import SGD, Lookahead, RecipeModel


def _build(image_size, classes):
    inputs = keras.Input((*image_size, 3), name="image")
    regularizer = keras.regularizers.L2(0.01)
    convolution = keras.layers.Conv2D(8, 3, use_bias=False, kernel_regularizer=regularizer, name="convolution")
    x = BatchNormalization(name="normalization")(convolution(inputs))
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(keras.layers.ReLU(name="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(classes, name="classifier")(x), name="regularized")


def _clipped(learning_rate):
    """Clip where it tells."""
    return Lookahead(SGD(learning_rate, momentum=0.9, l2_regularization=1e-2, clipvalue=0.01), 2)


RECIPES = {
    "adam": dataclasses.replace(tiny.RECIPE, batch_size=8, epochs=2),
    "sgd": dataclasses.replace(
        tiny.RECIPE,
        models={"regularized": RecipeModel(_build)},
        batch_size=8,
        epochs=2,
        optimizer=_clipped,
        learning_rate=0.3,
    ),
}
# In batches of 8 tails of 3, 2 and 1: two devices and four divide some of them evenly, some not, and one is too small.
IMAGES = {"train": 27, "valid": 10, "test": 9}


class Watched(ArraySource):
    """Notes which images are read, and finds one broken if it is to."""

    def __init__(self, split, seed, broken_after):
        plain = tiny.source(IMAGES[split], seed)
        super().__init__(plain._images, plain.labels, plain.class_names)
        self.read = []
        self._broken_after = broken_after

    def images(self, indices):
        self.read += indices.tolist()
        if self._broken_after is not None and len(self.read) > self._broken_after:
            raise InputError("Expected an image in late.jpg, received something else.")
        return super().images(indices)


def main():
    devices = int(sys.argv[1])
    if keras.backend.backend() == "jax":
        import jax

        jax.default_backend = lambda: "gpu"  # Keras' trainer does more with batches there
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    for text in sys.argv[2:]:
        name, *flags = json.loads(text)
        broken_after = int(flags.pop().removeprefix("broken:")) if flags[-1].startswith("broken:") else None
        data = {
            split: Watched(split, seed, broken_after if split == "train" else None) for seed, split in enumerate(IMAGES)
        }
        train.open_data = lambda *arguments, data=data, **options: data
        code = None
        try:
            run_recipe(RECIPES[name], __doc__, ["--data_dir", "photos", *flags])
        except SystemExit as ended:
            code = ended.code
        read = {split: sorted(set(source.read)) for split, source in data.items()}
        print(json.dumps([code, read]), flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
