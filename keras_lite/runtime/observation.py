"""What images give at every output of a file, from a process of its own."""

import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np

from keras_lite.runtime.worker_process import call_worker


@dataclasses.dataclass(frozen=True)
class ObservedOutput:
    """What was seen of one output.

    Args:
        lowest: Its least value, 0 at most.
        highest: Its largest value, 0 at least.
        counts: How many values, zeros apart, lie in each of equal parts of the span between the two.
    """

    lowest: float
    highest: float
    counts: np.ndarray


def observe_outputs(path: str | os.PathLike, images: np.ndarray, threads: int = 1) -> list[ObservedOutput]:
    """Return what images give at each output of a float file, in the outputs' order.

    Args:
        path: The `.tflite` file, with one input and any number of outputs.
        images: float32 images, as the file takes them.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refused the file, or its process died.
        MissingExtraError: If LiteRT is not installed.
    """
    found = _from_worker("observe", path, images, threads)
    return [
        ObservedOutput(float(low), float(high), counts)
        for low, high, counts in zip(found["lowest"], found["highest"], found["counts"], strict=True)
    ]


def every_output(path: str | os.PathLike, images: np.ndarray, threads: int = 1) -> list[np.ndarray]:
    """Return what each output of a file holds for each image, in its own type, of shape `(count, values)`.

    Args:
        path: The `.tflite` file, with one input and any number of outputs.
        images: float32 images; an int8 file turns them to int8 by the scale and zero point of its input.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refused the file, or its process died.
        MissingExtraError: If LiteRT is not installed.
    """
    found = _from_worker("outputs", path, images, threads)
    return [found[f"output{at}"] for at in range(len(found))]


def _from_worker(action: str, path: str | os.PathLike, images: np.ndarray, threads: int) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "images.npy"), Path(folder, "arrays.npz")
        np.save(source, np.asarray(images, "float32"))
        call_worker(action, path, images=source, arrays=target, threads=threads)
        with np.load(target) as found:
            return dict(found)
