"""What images give at the tensors of a graph, seen in its float file."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Operator, Tensor, write
from keras_lite.litert.samples import Samples, arrays_of
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.lower.builder import constant
from keras_lite.quantization.quantized_graph import needs_range
from keras_lite.quantization.ranges import EMPTY, OPENED, Estimator
from keras_lite.runtime.observation import ObservedOutput, observe_outputs

# Images that go through an int8 graph at once, each tensor of all of them in memory; integers of the largest tensor.
_MOST_AVERAGED, _MOST_HELD = 128, 1 << 26
# Images that go through the float file at a time, and elements of the largest tensor of them.
_BATCHES, _MOST_TOGETHER = (16, 8, 4, 2), 1 << 20

Ranges = dict[Tensor, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Observation:
    """What images give at the tensors of a graph.

    Args:
        tensors: Of each tensor that needs a range, and of what weights multiply: extremes of the channels, histogram,
            mean over some images.
        averaged: How many images those are, the first ones: as many as go through the graph for bias correction.
        inputs: Of each input the range of the images, or of what else it takes, and the mean of some.
    """

    tensors: dict[Tensor, ObservedOutput]
    averaged: int
    inputs: dict[Tensor, tuple[tuple[float, float], np.ndarray]]

    def mean_of(self, tensor: Tensor) -> np.ndarray:
        """Return the mean over some images of a tensor that weights multiply, the images themselves included."""
        return self.tensors[tensor].mean if tensor in self.tensors else self.inputs[tensor][1]


def observe(form: Int8Form, images: np.ndarray | Samples) -> Observation:
    """Return what images give at the tensors of a graph.

    Args:
        form: What `for_int8` returned.
        images: Preprocessed images, or other samples, float32.
    """
    tensors = list(dict.fromkeys([*needs_range(form), *_multiplied(form)]))
    largest = max(tensor.size for operator in form.graph.operators for tensor in operator.outputs)
    averaged = max(1, min(len(images), _MOST_AVERAGED, _MOST_HELD // largest))
    found: list[ObservedOutput] = []
    if tensors:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{form.graph.name or 'model'}.tflite")
            path.write_bytes(_written(float_graph(form, tensors), len(images), largest))
            shapes = [tensor.shape for tensor in tensors]
            found = observe_outputs(path, images, shapes, averaged, os.cpu_count() or 1)
    inputs = {}
    for tensor, array in zip(
        form.graph.inputs, arrays_of(images, [each.name for each in form.graph.inputs]), strict=True
    ):
        inputs[tensor] = range_of(array), array[:averaged].mean(0, dtype="float64")
    return Observation(dict(zip(tensors, found, strict=True)), averaged, inputs)


def _written(graph: FloatGraph, images: int, largest: int) -> bytes:
    """Return a file that takes several images at a time, if the graph can and their number is a multiple."""
    for batch in _BATCHES:
        if images % batch == 0 and batch * largest <= _MOST_TOGETHER:
            with contextlib.suppress(InputError):  # an operator that holds for one image alone
                return write(graph, batch=batch)
    return write(graph)


def ranges_from(form: Int8Form, observed: Observation, estimator: Estimator) -> Ranges:
    """Return the range of each tensor that needs one, the input's included.

    Args:
        form: What `for_int8` returned.
        observed: What `observe` returned for it.
        estimator: Chooses a range from a histogram. The input's range is that of the images.

    Example:

    ```python
    from keras_lite.quantization.lower import for_int8, lower
    from keras_lite.quantization.quantized_graph import quantize
    from keras_lite.quantization.ranges import least_error_range

    form = for_int8(lower(model))
    graph = quantize(form, ranges_from(form, observe(form, images), least_error_range))
    ```
    """
    ranges = dict(form.fixed)
    for tensor in needs_range(form):
        if tensor not in form.fixed:
            seen = observed.tensors[tensor]
            ranges[tensor] = opened(*estimator(seen.counts, float(seen.lowest.min()), float(seen.highest.max())))
    return ranges | {tensor: ends for tensor, (ends, _) in observed.inputs.items()}


def range_of(values: np.ndarray) -> tuple[float, float]:
    """Return the range of what goes into a model, zero included: padding needs it without error."""
    return opened(min(float(values.min()), 0.0), max(float(values.max()), 0.0))


def opened(low: float, high: float) -> tuple[float, float]:
    """Return a range, wider where it is next to nothing: XNNPACK refuses a scale of zero."""
    return (low, low + OPENED) if high - low < EMPTY else (low, high)


def float_graph(form: Int8Form, tensors: Sequence[Tensor]) -> FloatGraph:
    """Return the graph of the model's floats, with some tensors as outputs: cut off where the int8 one cuts them off.

    Args:
        form: What `for_int8` returned.
        tensors: The outputs.
    """
    replaced: dict[Tensor, Tensor] = {}
    operators = []
    for operator in form.graph.operators:
        inputs = [replaced.get(tensor, tensor) for tensor in operator.inputs]
        operators.append(Operator(operator.kind, inputs, operator.outputs, operator.options))
        tensor = operator.output
        if tensor in form.fixed:
            for kind, limit in zip(("MAXIMUM", "MINIMUM"), form.fixed[tensor], strict=True):
                cut = Tensor(f"{operator.name}/{kind.lower()}", tensor.shape)
                source = replaced.get(tensor, tensor)
                operators.append(Operator(kind, [source, constant(f"{cut.name}/limit", limit)], [cut]))
                replaced[tensor] = cut
    return FloatGraph(form.graph.name, form.graph.inputs, [replaced.get(each, each) for each in tensors], operators)


def _multiplied(form: Int8Form) -> list[Tensor]:
    """Return what convolutions and dense layers take, the graph's inputs apart."""
    found = [operator.source for operator in form.whole if operator.kind in CHANNEL_AXES]
    return [tensor for tensor in found if tensor not in form.graph.inputs]
