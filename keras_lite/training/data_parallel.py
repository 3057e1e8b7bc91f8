"""Training on several accelerators at once, with the result of one.

A batch is spread over the devices, each of which has the whole model. What looks at a whole batch (batch
normalization, the loss, dropout's draws, clipping) looks at it across the devices, so that nothing depends on their
number but the rounding.

- JAX: `keras.distribution.DataParallel`, over the devices of one process or several.
- TensorFlow: `tf.distribute.MirroredStrategy` (`keras_lite.training.replicas`), over the devices of one process.
  Several need `MultiWorkerMirroredStrategy`, with which Keras 3's `fit` does not work.
- PyTorch: Keras 3 has no data parallelism for it.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lite.data import Crop, ImageGeometry, Source
from keras_lite.errors import InputError
from keras_lite.training import processes, replicas
from keras_lite.training.one_device import OneDevice
from keras_lite.training.options import Options


def data_parallel(options: Options) -> OneDevice:
    """Return how a run is spread over the devices.

    Args:
        options: The run's options.

    Raises:
        InputError: As `start` does.

    Example:

    ```python
    from keras_lite.training.epochs import EpochBatches

    spread = data_parallel(options)
    with spread.scope():
        model = build()
        model.compile("sgd", loss="sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    spread.prepare(model)
    model.fit(EpochBatches(batches, epoch=0, first_step=0, pool=pool, place=spread.place))
    with spread.saving(model):
        model.save("model.keras")
    ```
    """
    start(options)
    if not options.data_parallel:
        return OneDevice()
    if keras.backend.backend() == "jax":
        return SpreadOverDevices()
    return replicas.Replicas()


def start(options: Options) -> None:
    """Join the other processes of a run that has several, and make sure that it can be spread.

    To be called before anything runs on a device, and before long work.

    Args:
        options: The run's options.

    Raises:
        InputError: If the backend or an option rules it out, or the devices don't divide the batches.
    """
    if not options.data_parallel:
        return
    backend = keras.backend.backend()
    if backend == "torch":
        raise InputError(
            "Expected the JAX or TensorFlow backend with --data_parallel, received torch, "
            "for which Keras has no data parallelism."
        )
    if backend == "jax":
        processes.start(options.seed)
        devices = keras.distribution.list_devices()
        if processes.count() > 1 and options.extras.teacher is not None:
            raise InputError("Expected no --teacher with several processes, which can't share its weights.")
    else:
        if os.environ.get("TF_CONFIG") or processes.asked_for():
            raise InputError(
                "Expected a single process with --data_parallel on TensorFlow, received TF_CONFIG or "
                f"{processes.ADDRESSES}: Keras 3's fit does not work with MultiWorkerMirroredStrategy; use JAX."
            )
        if options.extras.precision == "mixed_float16":
            raise InputError(
                "Expected no mixed_float16 with --data_parallel on TensorFlow, where Keras scales the loss by what "
                "the first device's gradients are; take mixed_bfloat16."
            )
        devices = replicas.devices_of_strategy()
    if options.batch_size % len(devices):
        raise InputError(
            f"Expected --batch_size to be a multiple of the {len(devices)} devices, received {options.batch_size}."
        )


class SpreadOverDevices(OneDevice):
    """Data parallelism on JAX: one program over all devices, which XLA divides among them.

    A full batch reaches each device in part. One that the devices do not divide, the last of an epoch, reaches each
    whole, and is divided within the step: XLA pads it there, and leaves the padding out of all sums over the batch.
    Padding from outside, with samples of zero weight, would have a share in the moments of batch normalization.
    """

    def __init__(self) -> None:
        self._distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        if processes.count() > 1:
            from keras.src.backend.jax import trainer

            # On GPUs Keras would copy a batch to one device, which fails where its parts lie in several processes.
            trainer._distribute_data = lambda data, layouts=None: data

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Create the variables of a `with` block on all devices."""
        return self._distribution.scope()

    def prepare(self, model: keras.Model) -> None:
        """Divide each batch in the model's steps, and keep the variables whole on each device."""
        model.train_step = self._spread(model.train_step)
        model.test_step = self._spread(model.test_step)

    def source(self, source: Source) -> Source:
        """Return a source that reads the part of each batch that this process' devices take."""
        return source if processes.count() == 1 else PartOfBatches(source, self._rows)

    def place(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, ...]:
        """Return a batch as arrays on the devices."""
        import jax

        rows = self._rows(len(images))
        return tuple(
            jax.make_array_from_process_local_data(self._layout(array.shape), array[rows], array.shape)
            for array in (images, labels)
        )

    def _rows(self, count: int) -> slice:
        """Return which rows of a batch this process' devices take."""
        indices = self._layout((count,)).addressable_devices_indices_map((count,)).values()
        spans = [rows.indices(count) for (rows,) in indices]
        return slice(min(span[0] for span in spans), max(span[1] for span in spans))

    def _layout(self, shape: tuple[int, ...]) -> Any:
        if shape[0] % self._distribution.num_model_replicas:
            return self._whole(len(shape)).backend_layout
        return self._distribution.get_data_layout(shape).backend_layout

    def _whole(self, rank: int) -> keras.distribution.TensorLayout:
        return keras.distribution.TensorLayout([None] * rank, self._distribution.device_mesh)

    def _spread(self, step: Callable) -> Callable:
        spread = keras.distribution.distribute_tensor

        def divide(array):
            return spread(array, self._distribution.get_data_layout(array.shape))

        def whole(array):
            return spread(array, self._whole(array.ndim))

        def spread_step(state, data):
            logs, state = step(state, keras.tree.map_structure(divide, data))
            return logs, keras.tree.map_structure(whole, state)

        return spread_step


class PartOfBatches(Source):
    """A source for one of several processes: it reads this process' rows of each batch, and leaves the others black.

    Random changes are drawn for the whole batch, so that each image gets the same ones whoever reads it.

    Args:
        source: The source.
        rows: Returns the rows of a batch of a given size that are to be read.
    """

    def __init__(self, source: Source, rows: Callable[[int], slice]) -> None:
        super().__init__(
            source.labels, source.class_names, source.image_size, paths=source.paths, geometry=source.geometry
        )
        self._source = source
        self._rows = rows

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return the images with these indices, black where another process reads them."""
        rows = self._rows(len(indices))
        images = np.zeros((len(indices), *self.image_size, 3), "uint8")
        images[rows] = self._source.images(indices[rows])
        return images

    def crops(self, indices: np.ndarray, crop: Crop, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return random parts of the photos with these indices, black where another process reads them."""
        rows = self._rows(len(indices))
        images = np.zeros((len(indices), *geometry.image_size, 3), "uint8")
        rng.spawn(rows.start)  # each photo has its own generator, in their order
        images[rows] = self._source.crops(indices[rows], crop, geometry, rng)
        rng.spawn(len(indices) - rows.stop)
        return images
