"""An int8 file of which parts compute in floats: what those are, and each part against its model."""

import collections
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_lite.errors import some
from keras_lite.litert import IntegerModel, QuantizedGraph, Tensor, write
from keras_lite.runtime.observation import every_output

# Values between the parts, of all images together, that are looked at.
_VALUES = 1 << 26
# How far what a part in floats hands on may be from its model, in steps: where one rounds up, another rounds down.
_FLOAT_STEPS = 1


def steps_text(count: int) -> str:
    """Return a number of steps as text."""
    return f"{count} step{'' if count == 1 else 's'}"


@dataclasses.dataclass(frozen=True)
class FloatParts:
    """What of an int8 file computes in floats.

    Args:
        operators: How many operators of each kind do.
        layers: The layers that they are of, with their types.
        share: Their share of the file's multiply-accumulates.
    """

    operators: dict[str, int]
    layers: list[str]
    share: float

    def __str__(self) -> str:
        """Return it as the end of a sentence."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.operators.items())
        return f"{kinds} in floats, of {some(self.layers)}, with {self.share:.1%} of the multiply-accumulates"


@dataclasses.dataclass(frozen=True)
class PartsExactness:
    """How the parts of a file compare with their models, each from the integers that the file itself gave it.

    Args:
        images: Number of images on which all that goes from part to part was looked at.
        int8_equal: Share of what the int8 parts give that is equal to that of whole numbers.
        int8_steps: Largest difference there, in steps.
        float_equal: Share of what the parts in floats give, rounded to int8, that is equal to that of NumPy in float32.
        float_steps: Largest difference there, in steps.
        farthest: Where the difference is largest: a name.
    """

    images: int
    int8_equal: float
    int8_steps: int
    float_equal: float
    float_steps: int
    farthest: str

    def __str__(self) -> str:
        """Return the comparison as the end of a sentence that begins with the file."""
        floats = "equal" if self.float_equal == 1.0 else f"at most {steps_text(self.float_steps)} away"
        whole = "equal" if self.int8_equal == 1.0 else f"at most {steps_text(self.int8_steps)} away"
        return (
            f"compared part by part, each from what the file gave it: int8 parts {whole} ({self.int8_equal:.2%} to the "
            f"bit), parts in floats {floats} ({self.float_equal:.2%} to the bit)"
        )

    def shortcomings(self, allowed: int) -> list[str]:
        """Return one text for each kind of part that is farther from its model than it may be.

        Args:
            allowed: The largest difference of an int8 part, in steps.
        """
        missed = []
        if self.int8_steps > allowed:
            steps = steps_text(self.int8_steps)
            missed.append(f"{steps} from whole numbers in an int8 part > {allowed}, farthest at {self.farthest}")
        if self.float_steps > max(allowed, _FLOAT_STEPS):
            steps = steps_text(self.float_steps)
            missed.append(f"{steps} from float32 in a part in floats > {_FLOAT_STEPS}, farthest at {self.farthest}")
        return missed


def float_parts(graph: QuantizedGraph) -> FloatParts | None:
    """Return what of an int8 graph computes in floats; None if nothing does."""
    found = graph.float_operators
    if not found:
        return None
    kinds = collections.Counter(operator.kind for operator in found)
    layers = dict.fromkeys("{} ({})".format(*operator.layer) if operator.layer else operator.name for operator in found)
    share = sum(operator.macs for operator in found) / max(graph.macs, 1)
    return FloatParts(dict(kinds), list(layers), share)


def compare_parts(
    graph: QuantizedGraph, model: IntegerModel, images: np.ndarray, received: Sequence[np.ndarray]
) -> PartsExactness:
    """Return how each part of an int8 file with parts in floats compares with its model.

    A second file also outputs all that goes from part to part. From these integers each part is computed by itself, so
    that no difference of one adds to that of another.

    Args:
        graph: The graph, with int8 ends.
        model: Its model.
        images: Preprocessed float images.
        received: What the file outputs for them, an array for each output.
    """
    leaving = [
        each.output for each in graph.operators if each.kind == "QUANTIZE" and each.inputs[0].quantization is None
    ]
    entering = [each.inputs[0] for each in graph.operators if each.kind == "DEQUANTIZE"]
    between = [tensor for tensor in dict.fromkeys([*graph.outputs, *leaving, *entering]) if tensor not in graph.inputs]
    images = images[: max(1, _VALUES // sum(tensor.size for tensor in between))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "parts.tflite")
        path.write_bytes(write(dataclasses.replace(graph, outputs=between)))
        given = dict(zip(between, every_output(path, images), strict=True))
    computed = model.outputs_of(images, between, known=given)
    whole, floats = _Differences(), _Differences()
    for tensor, values in zip(between, computed, strict=True):
        (floats if tensor in leaving else whole).add(tensor, values, given[tensor])
    for output, values in zip(graph.outputs, received, strict=True):
        # The file that outputs more must output the same.
        values = values[: len(images)]
        expected = values if output.quantization is None else output.quantization.quantize(values)
        whole.add(output, expected, given[output])
    farthest = max(whole, floats, key=lambda each: each.steps)
    return PartsExactness(len(images), whole.equal, whole.steps, floats.equal, floats.steps, farthest.where)


class _Differences:
    """How often, by how much at most, and where integers differ."""

    def __init__(self) -> None:
        self.count = self.apart = self.steps = 0
        self.where = ""

    @property
    def equal(self) -> float:
        return 1.0 - self.apart / max(self.count, 1)

    def add(self, tensor: Tensor, expected: np.ndarray, received: np.ndarray) -> None:
        apart = np.abs(expected.reshape(-1).astype("int64") - received.reshape(-1).astype("int64"))
        self.count += apart.size
        self.apart += int(np.count_nonzero(apart))
        if int(apart.max()) > self.steps:
            self.steps, self.where = int(apart.max()), tensor.name
