"""What images give at every output of a file, from a process of its own."""

import os
import tempfile
from pathlib import Path

import numpy as np

from keras_lite.litert.samples import Samples
from keras_lite.runtime.inspection import saved
from keras_lite.runtime.worker_process import call_worker


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
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "arrays.npz")
        call_worker("outputs", path, images=saved(images, Path(folder)), arrays=target, threads=threads)
        with np.load(target) as found:
            return [found[f"output{at}"] for at in range(len(found))]
