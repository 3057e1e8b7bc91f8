"""A run on one device, the base of runs on several devices."""

import contextlib
from typing import Any

import keras
import numpy as np

from keras_lite.data import Source


class OneDevice:
    """A run that is not spread, and the base of those that are."""

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Create the variables of a `with` block on all devices."""
        return contextlib.nullcontext()

    def prepare(self, model: keras.Model) -> None:
        """Make the steps of a compiled model, which was created in `scope`, work on spread batches."""

    def source(self, source: Source) -> Source:
        """Return a source that reads what this process needs of each batch."""
        return source

    def place(self, images: np.ndarray, labels: np.ndarray) -> tuple[Any, ...]:
        """Return a batch as the model's steps take it."""
        return images, labels

    def saving(self, model: keras.Model) -> contextlib.AbstractContextManager[Any]:
        """Restore the model's configuration without data parallelism inside a `with` block."""
        return contextlib.nullcontext()
