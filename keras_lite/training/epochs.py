"""One epoch, or the rest of one, for a call of `model.fit`."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from keras_lite.data import Batches


class EpochBatches(keras.utils.PyDataset):
    """The batches of one epoch from a step on, prepared ahead by threads.

    The threads fill a cache and decide no order: a batch is what `batches.batch(epoch, step)` says, however often
    and in whatever order it is asked for. (Keras' own workers keep a queue between epochs, and count epochs by
    the ends they see, neither of which survives a start in mid-epoch.)

    Args:
        batches: The data.
        epoch: The epoch, from 0.
        first_step: The step to begin at, from 0.
        pool: The threads; how far ahead they work is up to `ahead`.
        ahead: Number of batches to have ready.
        one_hot: Whether labels are to be probabilities of classes, of shape `(count, classes)`.
        place: Returns a batch as the model takes it, called with images and labels.

    Attributes:
        error: What the data raised, if it did. A backend may wrap it beyond recognition on its way to the caller.
    """

    def __init__(
        self,
        batches: Batches,
        epoch: int,
        first_step: int,
        pool: ThreadPoolExecutor,
        ahead: int = 4,
        one_hot: bool = False,
        place: Callable[[np.ndarray, np.ndarray], tuple[Any, ...]] = lambda images, labels: (images, labels),
    ) -> None:
        super().__init__(workers=1)
        self.error: Exception | None = None
        self._batches = batches
        self._epoch = epoch
        self._first_step = first_step
        self._pool = pool
        self._ahead = ahead
        self._one_hot = one_hot
        self._place = place
        self._futures: dict[int, Future] = {}
        self._lock = threading.Lock()

    @property
    def num_batches(self) -> int:
        """Number of batches from the first step on."""
        return self._batches.num_batches - self._first_step

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        with self._lock:
            wanted = range(index, min(index + self._ahead + 1, self.num_batches))
            # TensorFlow looks at the first two batches before it begins with the first.
            kept = range(index - 2, wanted.stop)
            self._futures = {key: future for key, future in self._futures.items() if key in kept}
            for key in wanted:
                if key not in self._futures:
                    self._futures[key] = self._pool.submit(self._batches.batch, self._epoch, self._first_step + key)
            future = self._futures[index]
        try:
            images, labels = future.result()
        except Exception as error:
            self.error = error
            raise
        if self._one_hot and labels.ndim == 1:
            labels = np.eye(len(self._batches.source.class_names), dtype="float32")[labels]
        return self._place(images, labels)


class RunCallbacks(keras.callbacks.CallbackList):
    """The callbacks of a run that takes several calls of `model.fit`.

    To the callbacks it is one training: it begins once and ends once, and steps are counted from the epoch's
    first even if a call of `fit` begins later.

    Args:
        callbacks: The callbacks, in the order they are to be called.
        model: The model.
        epochs: Number of epochs of the whole run.
        steps: Steps of a whole epoch.
        verbose: As for `model.fit`; 0 leaves the progress bar out.

    Attributes:
        first_step: The step of the epoch that the next call of `fit` begins with.
    """

    def __init__(
        self, callbacks: list[keras.callbacks.Callback], model: keras.Model, epochs: int, *, steps: int, verbose: int
    ) -> None:
        # `fit` returns the history.
        added = {"add_history": True, "add_progbar": verbose != 0}
        super().__init__(callbacks, **added, model=model, epochs=epochs, steps=steps, verbose=verbose)
        self.first_step = 0

    def begin(self) -> None:
        """Call the callbacks at the beginning of the run."""
        super().on_train_begin()

    def end(self) -> None:
        """Call the callbacks at the end of the run."""
        super().on_train_end()

    def on_train_begin(self, logs: Any = None) -> None:
        """Ignore the beginning of a call of `fit`."""

    def on_train_end(self, logs: Any = None) -> None:
        """Ignore the end of a call of `fit`."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Tell of a step by its place in the epoch."""
        super().on_train_batch_begin(self._step(batch), logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tell of a step by its place in the epoch."""
        super().on_train_batch_end(self._step(batch), logs)

    def _step(self, batch: int) -> int:
        # With several steps in one go Keras names the last of them, even where the epoch ends before it.
        return min(self.first_step + batch, self.params["steps"] - 1)


def call_with_data(function: Callable[[], Any], *data: EpochBatches) -> Any:
    """Call a function that reads from `data`; what the data raises comes out as it was raised.

    TensorFlow turns an exception of its input into one of its own, with many lines of text.
    """
    try:
        return function()
    except Exception:
        for source in data:
            if source.error is not None:
                raise source.error from None
        raise
