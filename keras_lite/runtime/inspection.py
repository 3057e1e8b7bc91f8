"""Contents of a TFLite file: operators, their types, and the parts that XNNPACK runs."""

import dataclasses
import os
from collections import Counter
from typing import Any

from keras_lite.runtime.runner import call_worker

# int32 stands for biases and for the constant arguments of an operator (axes, shapes, paddings).
_INT8_TYPES = {"int8", "int32"}


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Contents of a TFLite file.

    Args:
        operators: Each operator as `{"name": ..., "inputs": [types], "outputs": [types]}`, in order.
        input: Name, shape and dtype of the input; scale and zero point where it is quantized.
        output: The same of the output.
        bad_scales: One line for each tensor whose scale XNNPACK can't run, with the tensor's name.
        partitions: Parts of the model that XNNPACK runs; 1 is best, 0 means none.
        not_delegated: Names of the operators outside of those parts, which run on slower kernels.
    """

    operators: list[dict[str, Any]]
    input: dict[str, Any]
    output: dict[str, Any]
    bad_scales: list[str]
    partitions: int | None = None
    not_delegated: list[str] | None = None

    @property
    def int8_only(self) -> bool:
        """Whether all inputs and outputs are int8, those of every operator and of the model."""
        ends = {self.input["dtype"], self.output["dtype"]}
        outputs = {kind for operator in self.operators for kind in operator["outputs"]}
        inputs = {kind for operator in self.operators for kind in operator["inputs"]}
        return ends | outputs == {"int8"} and inputs <= _INT8_TYPES

    def operator_counts(self) -> dict[str, int]:
        """Return how often each operator with its output type occurs: `{"CONV_2D int8": 12, ...}`, most first."""
        names = (" ".join([operator["name"], *sorted(set(operator["outputs"]))]) for operator in self.operators)
        return dict(Counter(names).most_common())


def inspect(path: str | os.PathLike, delegates: bool = True) -> Inspection:
    """Return the contents of a TFLite file.

    Args:
        path: The `.tflite` file.
        delegates: Also start XNNPACK, to count its partitions. It runs in another process.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT or XNNPACK refuses the file.

    Example:

    >>> inspect("model.tflite").operator_counts()
    {'CONV_2D int8': 55, 'DEPTHWISE_CONV_2D int8': 17, ...}
    """
    found = call_worker("inspect", path)
    if delegates:
        found |= call_worker("delegation", path)
    return Inspection(**found)
