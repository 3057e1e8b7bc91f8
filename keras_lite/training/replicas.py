"""Data parallelism on TensorFlow: replicas of a model that take their steps together.

Left to itself, `tf.distribute.MirroredStrategy` gives each replica batch statistics of its own, takes the mean of the
replicas' mean losses (so an image counts more on a replica with fewer images), clips each replica's gradients apart
and draws the same dropout for all. Here each of these is what one device would make of the whole batch.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_lite.errors import import_extra
from keras_lite.training.one_device import OneDevice


def devices_of_strategy() -> list[str]:
    """Return the names of the devices to train on: all GPUs, or where there is none all (logical) CPUs."""
    tf = import_extra("tensorflow", "tensorflow")
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


@functools.cache  # a second strategy would meet what is left of the first one's sums
def _strategy() -> Any:
    return import_extra("tensorflow", "tensorflow").distribute.MirroredStrategy(devices_of_strategy())


def copies_of(variable: keras.Variable) -> list[Any]:
    """Return the variables behind a metric's variable: one a replica, whose sum it is, where there are replicas."""
    copies = getattr(variable.value, "values", None) if keras.backend.backend() == "tensorflow" else None
    return [variable] if copies is None else list(copies)


class Replicas(OneDevice):
    """A run with a replica of the model on each device."""

    def __init__(self) -> None:
        self._tf = import_extra("tensorflow", "tensorflow")
        self._count = _strategy().num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Create the variables of a `with` block on all devices."""
        return _strategy().scope()

    def place(self, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return a batch that can be divided evenly: images, labels, and what each row counts.

        Where the replicas do not divide it, each one's part is filled up with rows that count nothing. A batch with
        fewer images than replicas (none may be without) goes whole to each, where a row counts its share.
        """
        count, replicas = len(images), self._count
        rows, weights = np.arange(count), np.ones(count)
        if count < replicas:
            rows, weights = np.tile(rows, replicas), np.full(count * replicas, 1 / replicas)
        elif count % replicas:
            parts = np.array_split(rows, replicas)
            most = len(parts[0])
            rows = np.concatenate([np.resize(part, most) for part in parts])
            weights = np.concatenate([np.arange(most) < len(part) for part in parts])
        return images[rows], labels[rows], weights.astype("float32")

    def prepare(self, model: keras.Model) -> None:
        """Make the steps, the layers and the optimizer of a model look at the batches of all replicas."""
        steps = _Steps(self._tf, model, self._count)
        model.train_step, model.test_step = steps.train, steps.test
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
            elif isinstance(layer, keras.layers.Dropout):
                layer.call = steps.dropout(layer)
        optimizer = model.optimizer
        while hasattr(optimizer, "inner_optimizer"):
            optimizer = optimizer.inner_optimizer
        if optimizer.clipvalue or optimizer.clipnorm or optimizer.global_clipnorm:
            optimizer._clip_gradients = self._clip_sum(optimizer._clip_gradients)

    @contextlib.contextmanager
    def saving(self, model: keras.Model) -> Iterator[None]:
        """Have layers that are saved as layers of one device: others than TensorFlow refuse synchronized ones."""
        layers = [each for each in model._flatten_layers() if getattr(each, "synchronized", False)]
        for layer in layers:
            layer.synchronized = False
        try:
            yield
        finally:
            for layer in layers:
                layer.synchronized = True

    def _clip_sum(self, clip: Callable) -> Callable:
        def clip_sum(gradients):
            gradients = clip(_sum(self._tf, gradients))
            # The optimizer adds up those of all replicas.
            return [gradient / self._count for gradient in gradients]

        return clip_sum


class _Steps:
    """The steps of a model in one of several replicas."""

    def __init__(self, tf: Any, model: keras.Model, replicas: int) -> None:
        self._tf = tf
        self._model = model
        self._replicas = replicas
        # Each replica is traced in a thread of its own.
        self._of_replica = threading.local()

    def train(self, data: Any) -> dict[str, Any]:
        """Train on this replica's part of a batch."""
        tf, model = self._tf, self._model
        images, labels, weights = self._counting_rows(data)
        share = self._locate(weights)
        try:
            with tf.GradientTape() as tape:
                outputs = model(images, training=True)
                loss = model.compute_loss(images, labels, outputs, training=True)
                # Keras divides the mean over this part by the number of replicas, whatever the part's size.
                shared = loss * share
        finally:
            del self._of_replica.rows
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(shared, variables), variables, strict=True))
        return self._metrics(images, labels, outputs, weights=weights, loss=loss)

    def test(self, data: Any) -> dict[str, Any]:
        """Evaluate this replica's part of a batch."""
        images, labels, weights = self._counting_rows(data)
        outputs = self._model(images, training=False)
        loss = self._model.compute_loss(images, labels, outputs, training=False)
        return self._metrics(images, labels, outputs, weights=weights, loss=loss)

    def dropout(self, layer: keras.layers.Dropout) -> Callable:
        """Return a `call` of a dropout layer that draws for the whole batch and takes this replica's rows of it."""
        tf, alone = self._tf, layer.call

        def call(inputs, training=False):
            rows = getattr(self._of_replica, "rows", None)
            if not training or rows is None or layer.noise_shape is not None or not layer.rate:
                return alone(inputs, training=training)
            first, count, total = rows
            ones = tf.ones(tf.concat([[total], tf.shape(inputs)[1:]], axis=0), inputs.dtype)
            drawn = keras.random.dropout(ones, layer.rate, seed=layer.seed_generator)
            return inputs * tf.ensure_shape(drawn[first : first + count], inputs.shape)

        return call

    def _counting_rows(self, data: Any) -> tuple[Any, Any, Any]:
        images, labels, weights = data
        counting = weights > 0
        return tuple(self._tf.boolean_mask(array, counting) for array in (images, labels, weights))

    def _locate(self, weights: Any) -> Any:
        """Note which rows of the whole batch this replica has; return the factor of its loss."""
        tf, replicas = self._tf, self._replicas
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        count = tf.size(weights)
        weight = tf.reduce_sum(weights)
        counts = tf.one_hot(index, replicas) * tf.cast(count, "float32")  # whole numbers are not summed on GPUs
        all_weights, counts = _sum(tf, [weight, counts])
        total = tf.cast(tf.round(all_weights), "int32")
        # Where each replica has the whole batch, it begins with the first row.
        first = tf.minimum(tf.cast(tf.cumsum(counts, exclusive=True)[index], "int32"), total - count)
        self._of_replica.rows = first, count, total
        return weight * replicas / all_weights

    def _metrics(self, images: Any, labels: Any, outputs: Any, *, weights: Any, loss: Any) -> dict[str, Any]:
        # The first metric is the mean loss.
        self._model.metrics[0].update_state(loss * self._replicas, sample_weight=self._tf.reduce_sum(weights))
        return self._model.compute_metrics(images, labels, outputs, weights)


def _sum(tf: Any, values: list[Any]) -> list[Any]:
    """Return the sums over all replicas."""
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
