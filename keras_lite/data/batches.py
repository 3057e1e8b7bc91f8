"""Batches of a source for Keras, repeatable from any point."""

import keras
import numpy as np

from keras_lite.data.augmentation import Augmentation
from keras_lite.data.mixing import Mix
from keras_lite.data.preprocessing import Preprocessing
from keras_lite.data.sources import Source
from keras_lite.errors import InputError


class Batches(keras.utils.PyDataset):
    """The images of a source in batches, for `model.fit`, `evaluate` and `predict` on every backend.

    A batch is a function of seed, epoch and its index in the epoch alone, whichever thread asks and whatever was
    read before: a run can be repeated, or taken up in the middle of an epoch by setting `epoch` and asking for the
    batches from an index on. Give `shuffle=False` to `model.fit`, which otherwise takes the batches of an epoch in a
    random order of its own.

    Args:
        source: The labeled images.
        batch_size: Images in a batch.
        preprocessing: Normalization; its geometry must be the source's.
        augmentation: Random changes to the images. `None`: none.
        shuffle: Whether each epoch has an order of its own.
        seed: What order and augmentation are drawn from; not negative.
        drop_remainder: Whether to leave out the last batch of an epoch when it is smaller than the others.
        mix: Mixes the images of a batch, whose labels are then float32 of shape `(batch_size, classes)`. `None`:
            images stay apart, and labels whole numbers.

    Attributes:
        epoch: The epoch whose batches are given, from 0; each end of an epoch adds one. (`model.fit` ends an
            epoch before its first, so its first call gives epoch 1.)

    Raises:
        InputError: If an argument is out of range, the geometries differ, or `drop_remainder` leaves no batch.

    Example:

    ```python
    batches = Batches(source, 16, Preprocessing((96, 96)), Augmentation(horizontal_flip=True), shuffle=True)
    images, labels = batches[0]  # float32 (16, 96, 96, 3), int32 (16,)
    model.fit(batches, epochs=5, shuffle=False)
    ```
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        seed: int = 0,
        drop_remainder: bool = False,
        mix: Mix | None = None,
    ) -> None:
        # No workers for Keras: its queue keeps batches of one epoch for the next.
        super().__init__(workers=0)
        if batch_size < 1:
            raise InputError(f"Expected a batch_size of 1 or more, received {batch_size}.")
        if seed < 0:
            raise InputError(f"Expected a seed of 0 or more, received {seed}.")
        if tuple(source.image_size) != preprocessing.image_size:
            raise InputError(
                f"Expected images of {preprocessing.image_size} (the preprocessing's size), "
                f"received images of {source.image_size}."
            )
        if source.geometry not in (None, preprocessing.geometry):
            raise InputError(f"Expected photos opened with {preprocessing.geometry}, received {source.geometry}.")
        if drop_remainder and len(source) < batch_size:
            raise InputError(f"Expected at least one full batch of {batch_size}, received {len(source)} images.")
        self.source = source
        self.batch_size = batch_size
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.shuffle = shuffle
        self.seed = seed
        self.drop_remainder = drop_remainder
        self.mix = mix
        self.epoch = 0
        # An epoch and its order, always replaced together: several threads may do it at once.
        self._order = (-1, np.arange(len(source)))

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch."""
        full, rest = divmod(len(self.source), self.batch_size)
        return full + (rest > 0 and not self.drop_remainder)

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.batch(self.epoch, index)

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one batch of one epoch.

        Args:
            epoch: The epoch, from 0.
            index: The batch's index in the epoch, from 0.

        Returns:
            Images, float32 of shape `(batch_size, height, width, 3)`, and labels: int32 of `(batch_size,)`, or with
            `mix` float32 of `(batch_size, classes)`.

        Raises:
            IndexError: If the epoch has no such batch.
        """
        indices = self.indices(epoch, index)
        rng = np.random.default_rng((self.seed, epoch, index + 1))  # number 0 of an epoch is its order
        images = self._images(indices, rng)
        if self.augmentation is not None:
            images = self.augmentation(images, rng)
        inputs, labels = self.preprocessing(images), self.source.labels[indices].astype("int32")
        if self.mix is None:
            return inputs, labels
        return self.mix(inputs, np.eye(len(self.source.class_names), dtype="float32")[labels], rng)

    def indices(self, epoch: int, index: int) -> np.ndarray:
        """Return which images of the source one batch of one epoch has, in its order.

        Args:
            epoch: The epoch, from 0.
            index: The batch's index in the epoch, from 0.

        Raises:
            IndexError: If the epoch has no such batch.
        """
        if not 0 <= index < self.num_batches:
            raise IndexError(f"Expected an index from 0 to {self.num_batches - 1}, received {index}.")
        return self._epoch_order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]

    def on_epoch_end(self) -> None:
        """Advance to the next epoch; Keras calls this."""
        self.epoch += 1

    def _images(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.augmentation is None or self.augmentation.crop is None:
            return self.source.images(indices)
        return self.source.crops(indices, self.augmentation.crop, self.preprocessing.geometry, rng)

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return self._order[1]
        known_epoch, order = self._order
        if known_epoch != epoch:
            order = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.source))
            self._order = (epoch, order)
        return order
