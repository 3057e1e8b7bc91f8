"""Outputs of a TFLite file: in this process for a file that is known to run, in another for a new one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.runtime import litert_worker


class LiteRTError(InputError):
    """Raised if LiteRT can't run a file; the message is one line that says how it failed."""


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
    logits = LiteRTModel("model.tflite").predict(preprocessing(images))
    ```
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1):
        self.path = check_tflite(path)
        self.interpreter = litert_worker.open_interpreter(str(self.path), threads)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the model's outputs.

        Args:
            images: Preprocessed float images of shape `(count, height, width, 3)`. For an int8 file they are turned
                to int8 by the file's own scale and zero point.

        Returns:
            float32 array of shape `(count, classes)`, an int8 file's outputs scaled back.
        """
        return litert_worker.predict(self.interpreter, images)


def run_in_subprocess(path: str | os.PathLike, images: np.ndarray, threads: int = 1) -> np.ndarray:
    """Return a TFLite file's outputs like `LiteRTModel.predict`, from a process that may die.

    Args:
        path: The `.tflite` file.
        images: Preprocessed float images of shape `(count, height, width, 3)`.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refused the file, or its process died.
        MissingExtraError: If LiteRT is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "images.npy"), Path(folder, "outputs.npy")
        np.save(source, np.asarray(images, dtype="float32"))
        call_worker("predict", path, images=source, outputs=target, threads=threads)
        return np.load(target)


def call_worker(action: str, path: str | os.PathLike, **arguments: Any) -> dict[str, Any]:
    """Run an action of `litert_worker` in another process and return what it printed.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If the process failed or died.
        MissingExtraError: If LiteRT is not installed.
    """
    path = check_tflite(path)
    command = [sys.executable, "-P", litert_worker.__file__, action, str(path)]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise LiteRTError(f"LiteRT can't run {path.name.removeprefix('.partial-')}: {_reason(result)}")
    return json.loads(result.stdout.splitlines()[-1])


def check_tflite(path: str | os.PathLike) -> Path:
    """Return the path of a TFLite file.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        MissingExtraError: If LiteRT is not installed.
    """
    import_extra("ai_edge_litert.interpreter", "quantization")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a .tflite file, received {path}, which is not a file.")
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            raise InputError(f"Expected a .tflite file, received {path}, whose content is something else.")
    return path


def _reason(result: subprocess.CompletedProcess) -> str:
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip() and not line.startswith("INFO:")]
    last = lines[-1] if lines else "no message"
    if result.returncode < 0:
        return f"its process died of {signal.Signals(-result.returncode).name} ({last})"
    return last
