"""Outputs of a TFLite file: in this process for a file that is known to run, in another for a new one."""

import os

import numpy as np

from keras_lite.litert.samples import Given, Samples, arrays_of
from keras_lite.runtime import litert_worker
from keras_lite.runtime.inspection import examine
from keras_lite.runtime.worker_process import check_tflite


class LiteRTModel:
    """A TFLite file in LiteRT with XNNPACK, in this process.

    Only for a file that has run before: XNNPACK may abort the process on one that it can't run. `to_tflite` gives its
    name only to a file that ran; for others there is `run_in_subprocess`.

    Args:
        path: The `.tflite` file.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    logits = LiteRTModel("model.tflite").predict(preprocessing(photos))
    ```
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1):
        self.path = check_tflite(path)
        self.interpreter = litert_worker.open_interpreter(str(self.path), threads)

    @property
    def output_names(self) -> list[str]:
        """The names of its outputs, in their order."""
        return [target["name"] for target in self.interpreter.get_output_details()]

    def predict(self, images: Given) -> np.ndarray | list[np.ndarray]:
        """Return the model's outputs.

        Args:
            images: Preprocessed float images of shape `(count, height, width, 3)`, or what else the file takes; a list
                of arrays, or a dictionary by the inputs' names, if it has several inputs. For an int8 file they are
                turned to int8 by the file's own scale and zero point.

        Returns:
            float32 array of shape `(count, classes)`, an int8 file's outputs scaled back; a list if it has several.
        """
        names = [source["name"] for source in self.interpreter.get_input_details()]
        return litert_worker.predict(self.interpreter, *arrays_of(images, names))


def run_in_subprocess(
    path: str | os.PathLike, images: np.ndarray | Samples, threads: int = 1
) -> np.ndarray | list[np.ndarray]:
    """Return a TFLite file's outputs like `LiteRTModel.predict`, from a process that may die.

    Args:
        path: The `.tflite` file.
        images: Preprocessed float images of shape `(count, height, width, 3)`, or other samples.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refused the file, or its process died.
        MissingExtraError: If LiteRT is not installed.
    """
    return examine(path, images=images, threads=threads).outputs
