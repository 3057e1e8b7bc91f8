"""What images give at every output of a file, from a process of its own."""

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_lite.litert.samples import Samples
from keras_lite.runtime.inspection import saved
from keras_lite.runtime.worker_process import call_worker


@dataclasses.dataclass(frozen=True)
class ObservedOutput:
    """What was seen of one output.

    Args:
        lowest: Least value of each channel (the last axis), 0 at most.
        highest: Greatest value of each channel, 0 at least.
        counts: How many values, zeros apart, lie in each of equal parts of the span between the extremes.
        mean: The mean over the first images, of the output's shape without the batch.
    """

    lowest: np.ndarray
    highest: np.ndarray
    counts: np.ndarray
    mean: np.ndarray


def observe_outputs(
    path: str | os.PathLike,
    images: np.ndarray | Samples,
    shapes: Sequence[tuple[int, ...]],
    averaged: int,
    threads: int = 1,
) -> list[ObservedOutput]:
    """Return what images give at each output of a float file, in the outputs' order.

    Args:
        path: The `.tflite` file.
        images: float32 images, or other samples, as the file takes them.
        shapes: The outputs' shapes, with a batch of 1.
        averaged: Of how many images, the first ones, there is to be a mean.
        threads: Images that run side by side.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refused the file, or its process died.
        MissingExtraError: If LiteRT is not installed.
    """
    found = _from_worker("observe", path, images, threads, summed=averaged)
    channels = np.cumsum([shape[-1] for shape in shapes])[:-1]
    elements = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])[:-1]
    parts = (np.split(found["lowest"], channels), np.split(found["highest"], channels), found["counts"])
    return [
        ObservedOutput(low, high, count, (total / averaged).reshape(shape[1:]))
        for low, high, count, total, shape in zip(*parts, np.split(found["sums"], elements), shapes, strict=True)
    ]


def every_output(path: str | os.PathLike, images: np.ndarray | Samples, threads: int = 1) -> list[np.ndarray]:
    """Return what each output of a file holds for each image, in its own type, of shape `(count, values)`.

    Args:
        path: The `.tflite` file.
        images: float32 images, or other samples; an int8 file turns them to int8 by the scale and zero point of its
            input.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refused the file, or its process died.
        MissingExtraError: If LiteRT is not installed.
    """
    found = _from_worker("outputs", path, images, threads)
    return [found[f"output{at}"] for at in range(len(found))]


def _from_worker(
    action: str, path: str | os.PathLike, images: np.ndarray | Samples, threads: int, **flags: int
) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "arrays.npz")
        call_worker(action, path, images=saved(images, Path(folder)), arrays=target, threads=threads, **flags)
        with np.load(target) as found:
            return dict(found)
