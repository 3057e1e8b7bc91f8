"""What frozen layers save: they give the same of a photo in each epoch, so once is enough."""

from typing import NamedTuple

import keras
import numpy as np

from keras_lite.data import Batches
from keras_lite.graph import walk

_BATCH = 32
_MOST_BYTES = 1 << 30  # of features in memory
_KNOWN = ("keras.", "keras_lite.")


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
        keras.Model(model.inputs, features), keras.Model(features, model.outputs[0], name=f"{model.name}_head")
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


def fits_in_memory(split: Split, images: int) -> bool:
    """Return whether the features of so many photos can be kept."""
    return 4 * images * int(np.prod(split.body.outputs[0].shape[1:])) <= _MOST_BYTES


class FeatureBatches:
    """Batches of photos with their features in place of the pixels, computed once, of photos that are not changed.

    The photos of a batch, and their order, are those of `batches` in the same epoch.

    Args:
        batches: The photos and labels.
        body: From preprocessed photos to features.
    """

    def __init__(self, batches: Batches, body: keras.Model) -> None:
        self.source, self.num_batches, self.batch_size = batches.source, batches.num_batches, batches.batch_size
        self._batches = batches
        count = len(self.source)
        parts = []
        for start in range(0, count, _BATCH):
            images = batches.preprocessing(self.source.images(np.arange(start, min(start + _BATCH, count))))
            # All of one size: for another one the model would be compiled again.
            whole = np.concatenate([images, np.zeros((_BATCH - len(images), *images.shape[1:]), images.dtype)])
            parts.append(np.asarray(body.predict_on_batch(whole))[: len(images)])
        self._features = np.concatenate(parts)

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the features and labels of one batch of one epoch."""
        indices = self._batches.indices(epoch, index)
        return self._features[indices], self.source.labels[indices].astype("int32")
