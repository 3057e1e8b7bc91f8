"""What frozen layers save: they give the same of a photo in each epoch, so once is enough."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import keras
import numpy as np

from keras_lite.data import Augmentation, Batches
from keras_lite.graph import walk
from keras_lite.training.epochs import EpochBatches
from keras_lite.training.folding import fold_batch_norm

_MOST_BYTES = 1 << 30  # of features in memory
_MOST_COPIES = 5
_KNOWN = ("keras.", "keras_lite.")

# From batches of preprocessed photos to what frozen layers make of all of them.
Features = Callable[[Iterable[np.ndarray]], np.ndarray]
# From frozen layers to that; None where it does not take them.
FeatureMaker = Callable[[keras.Model], Features | None]


class Split(NamedTuple):
    """A model in two, with the model's own layers.

    Attributes:
        body: From photos to features: all that is frozen and draws nothing at random.
        head: From features to the model's outputs.
    """

    body: keras.Model
    head: keras.Model


def split_frozen(model: keras.Model) -> Split | None:
    """Return a model in two, what is frozen and what is not; None if there is no one tensor between them.

    Args:
        model: A functional model with one input, some of whose layers are not trainable.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> x = keras.layers.GlobalAveragePooling2D(name="pooling")(keras.layers.Conv2D(4, 3, trainable=False)(inputs))
    >>> outputs = keras.layers.Dense(2, name="classifier")(keras.layers.Dropout(0.2)(x))
    >>> body, head = split_frozen(keras.Model(inputs, outputs))
    >>> body.layers[-1].name, [layer.name for layer in head.layers if layer.weights]
    ('pooling', ['classifier'])
    """
    live: set[int] = set()
    between = {}
    for operation, inputs, outputs in walk(model):
        if not (_changes(operation) or any(id(tensor) in live for tensor in inputs)):
            continue
        live.update(id(tensor) for tensor in outputs)
        between |= {id(tensor): tensor for tensor in inputs if id(tensor) not in live}
    if len(model.inputs) != 1 or len(between) != 1 or id(model.inputs[0]) in between:
        return None
    [features] = between.values()
    return Split(
        keras.Model(model.inputs[0], features), keras.Model(features, model.outputs[0], name=f"{model.name}_head")
    )


def _changes(operation: keras.Operation) -> bool:
    """Return whether an operation may give something else of the same inputs in the next step of a training."""
    if not isinstance(operation, keras.layers.Layer):
        return False
    layers = list(operation._flatten_layers())
    if operation.trainable_variables or any(layer._seed_generators for layer in layers):
        return True
    # Of layers from elsewhere one can't tell what they do in training.
    return any(layer._call_has_training_arg and not type(layer).__module__.startswith(_KNOWN) for layer in layers)


def copies_of(augmentation: Augmentation, epochs: int) -> int:
    """Return how many copies of each photo have features of their own, where so many epochs train on features."""
    return 1 if augmentation == Augmentation() else max(1, min(epochs, _MOST_COPIES))


def fits_in_memory(split: Split, images: int) -> bool:
    """Return whether the features of so many photos can be kept."""
    return 4 * images * int(np.prod(split.body.outputs[0].shape[1:])) <= _MOST_BYTES


def keras_features(body: keras.Model) -> Features:
    """Return what computes a model's outputs by Keras.

    Args:
        body: A functional model with one input and one output.
    """
    folded = fold_batch_norm(body)
    folded.compile(loss="mse", jit_compile="auto")  # predicting compiles it else by XLA, which takes longer

    def compute(batches: Iterable[np.ndarray]) -> np.ndarray:
        parts, most = [], 0
        for images in batches:
            most = max(most, len(images))
            # All of one size: for another one the model would be compiled again.
            whole = np.concatenate([images, np.zeros((most - len(images), *images.shape[1:]), images.dtype)])
            parts.append(keras.ops.convert_to_numpy(folded.predict_on_batch(whole))[: len(images)])
        return np.concatenate(parts)

    return compute


class FeatureBatches:
    """Batches of photos with their features in place of the pixels, each computed once.

    The photos of a batch, and their order, are those of `batches` in the same epoch. Where photos are changed at
    random, the first epochs change them as `batches` does; later ones take these copies in turn.

    Args:
        batches: The photos and labels.
        compute: From batches of preprocessed photos to features.
        copies: Copies of each photo.
    """

    def __init__(self, batches: Batches, compute: Features, copies: int = 1) -> None:
        self.source, self.num_batches, self.batch_size = batches.source, batches.num_batches, batches.batch_size
        self._batches, self._compute, self._copies = batches, compute, copies
        self._features: dict[int, np.ndarray] = {}

    def prepare(self, epoch: int, pool: ThreadPoolExecutor) -> None:
        """Compute the features that an epoch takes, unless they are there.

        Args:
            epoch: The epoch, from 0.
            pool: Threads that prepare the photos.
        """
        copy = epoch % self._copies
        if copy in self._features:
            return
        photos = EpochBatches(self._batches, copy, 0, pool)
        found = self._compute(photos[index][0] for index in range(self.num_batches))
        order = np.concatenate([self._batches.indices(copy, index) for index in range(self.num_batches)])
        self._features[copy] = found[np.argsort(order)]

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the features and labels of one batch of one epoch, for which `prepare` was called."""
        indices = self._batches.indices(epoch, index)
        return self._features[epoch % self._copies][indices], self.source.labels[indices].astype("int32")
