"""What a TFLite file shows in a process of its own: operators, parts that XNNPACK runs, outputs, kernels."""

import dataclasses
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_lite.litert.samples import Samples
from keras_lite.runtime.worker_process import call_worker

# int32 stands for biases and for the constant arguments of an operator (axes, shapes, paddings).
_INT8_TYPES = {"int8", "int32"}


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Contents of a TFLite file.

    Args:
        operators: Each operator as `{"name": ..., "inputs": [types], "outputs": [types]}`, in order.
        inputs: Of each input name, shape and dtype; scale and zero point where it is quantized.
        outputs: The same of each output.
        bad_scales: One line for each tensor whose scale XNNPACK can't run, with the tensor's name.
        partitions: Parts of the model that XNNPACK runs; 1 is best, 0 means none.
        not_delegated: Names of the operators outside of those parts, which run on slower kernels.
    """

    operators: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    bad_scales: list[str]
    partitions: int | None = None
    not_delegated: list[str] | None = None

    @property
    def int8_only(self) -> bool:
        """Whether all inputs and outputs are int8, those of every operator and of the model."""
        ends = {end["dtype"] for end in (*self.inputs, *self.outputs)}
        outputs = {kind for operator in self.operators for kind in operator["outputs"]}
        inputs = {kind for operator in self.operators for kind in operator["inputs"]}
        return ends | outputs == {"int8"} and inputs <= _INT8_TYPES

    def operator_counts(self) -> dict[str, int]:
        """Return how often each operator with its output type occurs: `{"CONV_2D int8": 12, ...}`, most first."""
        names = (" ".join([operator["name"], *sorted(set(operator["outputs"]))]) for operator in self.operators)
        return dict(Counter(names).most_common())


class FileKernel(NamedTuple):
    """The numbers of an int8 convolution or dense layer, as a file has them.

    Args:
        values: The kernel in int8, with the axes that TFLite gives it.
        steps: The step of each output channel, or one for all.
        bias: The bias in int32; empty if there is none.
    """

    values: np.ndarray
    steps: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Examination:
    """What a TFLite file showed in a process of its own.

    Args:
        inspection: Its contents.
        outputs: Its outputs as float32, of shape `(count, ...)`, a list of several; None where no images were run.
        kernels: Its int8 kernels, in the order of the operators; None where they were not read.
    """

    inspection: Inspection
    outputs: np.ndarray | list[np.ndarray] | None = None
    kernels: list[FileKernel] | None = None


def examine(
    path: str | os.PathLike,
    *,
    delegates: bool = True,
    images: np.ndarray | Samples | None = None,
    with_kernels: bool = False,
    stop_at_bad_scales: bool = False,
    threads: int = 1,
) -> Examination:
    """Return what a TFLite file holds and outputs, all of it from one process, which may die.

    Args:
        path: The `.tflite` file.
        delegates: Also start XNNPACK, to count its partitions. Images always run with it.
        images: Preprocessed float images of shape `(count, height, width, 3)`, or other samples, to run.
        with_kernels: Also read the int8 kernels.
        stop_at_bad_scales: Go no further than the contents where XNNPACK can't run their scales; it may abort the
            process on them, and then names no tensor.
        threads: Threads that LiteRT may use.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT or XNNPACK refused the file, or the process died; the message names the stage: while
            LiteRT opened it, XNNPACK started, it ran the images, or its kernels were read.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    found = examine("model.tflite", images=preprocessing(photos), stop_at_bad_scales=True)
    if not found.inspection.bad_scales:
        logits = found.outputs
    ```
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "arrays.npz")
        found = call_worker(
            "examine",
            path,
            delegates=delegates,
            images=None if images is None else saved(images, Path(folder)),
            with_kernels=with_kernels,
            stop_at_bad_scales=stop_at_bad_scales,
            arrays=target,
            threads=threads,
        )
        arrays: dict[str, np.ndarray] = {}
        if target.is_file():
            with np.load(target) as stored:
                arrays = dict(stored)
    inspection = Inspection(**found)
    names = [name for name in arrays if name.startswith("output")]
    found_outputs = [arrays.pop(name) for name in names]
    outputs = found_outputs[0] if len(names) == 1 else found_outputs or None
    if not with_kernels or (stop_at_bad_scales and inspection.bad_scales):
        return Examination(inspection, outputs)
    numbers = range(len(arrays) // len(FileKernel._fields))
    return Examination(
        inspection, outputs, [FileKernel(*(arrays[f"{part}{at}"] for part in FileKernel._fields)) for at in numbers]
    )


def saved(samples: np.ndarray | Samples, folder: Path) -> list[Path]:
    """Save samples as float32, a file for each input, and return the files."""
    files = []
    for at, array in enumerate(samples.arrays if isinstance(samples, Samples) else [samples]):
        files.append(folder / f"input{at}.npy")
        np.save(files[-1], np.asarray(array, "float32"))
    return files


def inspect(path: str | os.PathLike, delegates: bool = True) -> Inspection:
    """Return the contents of a TFLite file.

    Args:
        path: The `.tflite` file.
        delegates: Also start XNNPACK, to count its partitions. It runs in another process.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT or XNNPACK refuses the file.

    Example:

    ```python
    inspect("model.tflite").operator_counts()  # such as {"CONV_2D int8": 55, "DEPTHWISE_CONV_2D int8": 17}
    ```
    """
    return examine(path, delegates=delegates).inspection
