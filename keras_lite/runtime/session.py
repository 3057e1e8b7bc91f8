"""A process in which LiteRT runs one file after the other, on images that it holds."""

import contextlib
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.litert.samples import Samples
from keras_lite.runtime.inspection import saved
from keras_lite.runtime.litert_worker import STAGE
from keras_lite.runtime.worker_process import LiteRTError

# The process starts in a fraction of a second: of keras_lite it imports three files of this folder and nothing else, as
# the packages around them are there already, empty.
_START = """
import sys, types
for name, folder in zip(("keras_lite", "keras_lite.runtime"), sys.argv[1:3]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from keras_lite.runtime.session_worker import main
main(int(sys.argv[3]))
"""


class LiteRTSession:
    """A process in which LiteRT runs one file after the other, on images that are handed to it once.

    XNNPACK may abort the process on a file that it can't run. That is an error like any other, and the next request
    begins a new one. Use it as a context manager: its end is the process's.

    Args:
        threads: Images that run side by side.

    Raises:
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    contents = [Path(name).read_bytes() for name in ("model.tflite", "model_int8.tflite")]
    with LiteRTSession(2) as session:
        outputs = [session.outputs(content, images) for content in contents]
    ```
    """

    def __init__(self, threads: int = 1):
        import_extra("ai_edge_litert.interpreter", "litert")
        self.threads = threads
        self._folder = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen | None = None
        # Arrays that the process knows: themselves too, so that no other array gets their ids.
        self._known: dict[int, np.ndarray | Samples] = {}

    def __enter__(self) -> "LiteRTSession":
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._folder.cleanup()

    def outputs(self, content: bytes, images: np.ndarray | Samples) -> list[np.ndarray]:
        """Return each output of a file for all images as float32, of shape `(count, ...)`.

        Args:
            content: A .tflite file of any batch.
            images: float32 images, or other samples. An int8 file gets them in its input's integers.

        Raises:
            LiteRTError: If LiteRT refused the file, or the process died.
        """
        return self.request("outputs", content, self._key(images))

    def forget(self, images: np.ndarray | Samples) -> None:
        """Let go of images that were handed over, here and in the process; they may be handed over anew."""
        key = id(images)
        if self._process is not None and self._known.pop(key, None) is not None:
            self.request("close_images", key)
            shutil.rmtree(Path(self._folder.name, str(key)), ignore_errors=True)

    def observe(
        self,
        content: bytes,
        images: np.ndarray | Samples,
        counted: Sequence[bool],
        summed: Sequence[bool],
        averaged: int,
        kept: Sequence[int] | None = None,
    ) -> list[dict[str, np.ndarray]]:
        """Return what images give at each output of a float file, in the outputs' order.

        Args:
            content: A .tflite file of any batch.
            images: float32 images, or other samples.
            counted: Of which outputs there is to be a histogram.
            summed: Of which outputs there is to be a sum over images.
            averaged: How many of the images that sum is of, the first ones.
            kept: For how many of the images, the first ones, the values of each output are wanted. `None`: for none.

        Returns:
            Of each output `lowest` and `highest`, the extremes of its channels (the last axis), zero included;
            `counts`, the values in equal parts of the span between them, zeros left out; `sum`; `values`.

        Raises:
            LiteRTError: If LiteRT refused the file, or the process died.
        """
        kept = [0] * len(counted) if kept is None else list(kept)
        return self.request("observe", content, self._key(images), list(counted), list(summed), averaged, kept)

    def run(self, content: bytes, images: np.ndarray | Samples) -> list[np.ndarray]:
        """Return all outputs of a file for the first images, as many as it takes at once.

        Args:
            content: A .tflite file.
            images: float32 images, or other samples, at least as many.

        Raises:
            LiteRTError: If LiteRT refused the file, or the process died.
        """
        return self.request("run", content, self._key(images))

    def values(self, content: bytes, images: np.ndarray | Samples, counts: Sequence[int]) -> list[np.ndarray]:
        """Return what each output of a file holds for some images, in its own type.

        Args:
            content: A .tflite file of any batch.
            images: float32 images, or other samples.
            counts: For how many of the images, the first ones, each output is wanted.

        Raises:
            LiteRTError: If LiteRT refused the file, or the process died.
        """
        return self.request("values", content, self._key(images), list(counts))

    def request(self, name: str, *arguments: Any) -> Any:
        """Return what a method of `keras_lite.runtime.session_worker.Worker` answers.

        Raises:
            LiteRTError: If it failed, or the process died; the message names the stage that it died in.
        """
        if self._process is None:
            self._begin()
        try:
            pickle.dump((name, arguments), self._process.stdin, protocol=5)
            self._process.stdin.flush()
            done, answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise LiteRTError(f"LiteRT can't run the file: {self._end()}") from None
        if not done:
            raise LiteRTError(f"LiteRT can't run the file: {answer.strip().splitlines()[-1]}")
        return answer

    def _begin(self) -> None:
        self._errors = Path(self._folder.name, "errors").open("w+")  # noqa: SIM115 (closed when the process ends)
        self._known.clear()
        folder = Path(__file__).parent
        command = [sys.executable, "-P", "-c", _START, str(folder.parent), str(folder), str(self.threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)

    def _end(self) -> str:
        """End the process; return how it ended, if it did so by itself."""
        if self._process is None:
            return ""
        with contextlib.suppress(BrokenPipeError):  # where it ended before it had read all
            self._process.stdin.close()
        self._process.stdout.close()
        code = self._process.wait()
        self._process = None
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip() and not line.startswith("INFO:")]
        self._errors.close()
        begun = [line.removeprefix(STAGE) for line in lines if line.startswith(STAGE)]
        said = [line for line in lines if not line.startswith(STAGE)] or ["no message"]
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"its process {how}{f' while {begun[-1]}' if begun else ''} ({said[-1]})"

    def _key(self, images: np.ndarray | Samples) -> int:
        """Return what the process knows images by; it reads them from a file."""
        key = id(images)
        if self._process is None or key not in self._known:
            folder = Path(self._folder.name, str(key))
            folder.mkdir(exist_ok=True)
            self.request("open_images", key, [str(path) for path in saved(images, folder)])
            self._known[key] = images
        return key
