"""What images give at the tensors of a graph, seen in its float file."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import FloatGraph, Graph, Operator, Tensor, write
from keras_lite.litert.integer.transposed import transposed_sums
from keras_lite.litert.integer.windows import Windows
from keras_lite.litert.samples import Samples, arrays_of
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.lower.builder import constant
from keras_lite.quantization.quantized_graph import needs_range
from keras_lite.quantization.ranges import EMPTY, OPENED, Estimator
from keras_lite.runtime.session import LiteRTSession

# Images that bias correction takes at once, and floats of the largest tensor of them.
_MOST_AVERAGED, _MOST_HELD = 64, 1 << 24
# Images that go through a file at a time, and elements of all tensors of them that are in memory.
_MOST_IMAGES, _MOST_TOGETHER = 32, 12_000_000

Ranges = dict[Tensor, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class ObservedTensor:
    """What was seen of one tensor.

    Args:
        lowest: Least value of each channel (the last axis), 0 at most.
        highest: Greatest value of each channel, 0 at least.
        counts: How many values, zeros apart, lie in each of equal parts of the span between the extremes. None of a
            tensor that needs no range.
    """

    lowest: np.ndarray
    highest: np.ndarray
    counts: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Observation:
    """What images give at the tensors of a graph.

    Args:
        tensors: Of each tensor that needs a range, and of what weights multiply.
        mean_outputs: Of each layer with weights, by its output: the mean over some images of each channel that it
            makes, its activation left out.
        averaged: How many images those are, the first ones: as many as go through the graph for bias correction.
        inputs: Of each input the range of the images, or of what else it takes.
        outputs: Of each output of the graph its values for the images that were asked for.
    """

    tensors: dict[Tensor, ObservedTensor]
    mean_outputs: dict[Tensor, np.ndarray]
    averaged: int
    inputs: dict[Tensor, tuple[float, float]]
    outputs: list[np.ndarray]


@contextlib.contextmanager
def running(session: LiteRTSession | None = None) -> Iterator[LiteRTSession]:
    """Give a session that runs already, or one that ends here, with a thread for each processor."""
    if session is not None:
        yield session
        return
    with LiteRTSession(os.cpu_count() or 1) as session:
        yield session


def observe(
    form: Int8Form, images: np.ndarray | Samples, session: LiteRTSession | None = None, outputs: int = 0
) -> Observation:
    """Return what images give at the tensors of a graph.

    Args:
        form: What `for_int8` returned.
        images: Preprocessed images, or other samples, float32.
        session: What runs the float file. None: a session of its own.
        outputs: For how many of the images, the first ones, the graph's outputs are wanted too.
    """
    ranged, multiplied, last = set(needs_range(form)), set(_multiplied(form)), form.graph.outputs if outputs else []
    seen = ranged | multiplied | set(last)
    tensors = [each for operator in form.graph.operators for each in operator.outputs if each in seen]
    largest = max(tensor.size for operator in form.graph.operators for tensor in operator.outputs)
    averaged = max(1, min(len(images), _MOST_AVERAGED, _MOST_HELD // largest))
    found: dict[Tensor, ObservedTensor] = {}
    values: dict[Tensor, np.ndarray] = {}
    inputs = dict(zip(form.graph.inputs, arrays_of(images, [each.name for each in form.graph.inputs]), strict=True))
    means = {tensor: array[:averaged].mean(0, dtype="float64") for tensor, array in inputs.items()}
    if tensors:
        content = written(float_graph(form, tensors), sum(tensor.size for tensor in tensors))
        counted, summed = ([tensor in some for tensor in tensors] for some in (ranged, multiplied))
        with running(session) as session:
            kept = [outputs if tensor in last else 0 for tensor in tensors]
            seen = session.observe(content, images, counted, summed, averaged, kept)
        for tensor, each in zip(tensors, seen, strict=True):
            found[tensor] = ObservedTensor(each["lowest"], each["highest"], each.get("counts"))
            if "sum" in each:
                means[tensor] = each["sum"] / averaged
            if "values" in each:
                values[tensor] = each["values"]
    mean_outputs = {
        operator.output: _mean_outputs(operator, means[operator.source])
        for operator in form.whole
        if operator.kind in CHANNEL_AXES
    }
    ends = {tensor: range_of(array) for tensor, array in inputs.items()}
    return Observation(found, mean_outputs, averaged, ends, [values[tensor] for tensor in last])


def written(graph: Graph, elements: int) -> bytes:
    """Return a file that takes several images at a time, if the graph can.

    Args:
        graph: The graph.
        elements: Of all tensors of an image that are in memory at a time.
    """
    with contextlib.suppress(InputError):  # an operator that holds for one image alone
        return write(graph, batch=max(1, min(_MOST_IMAGES, _MOST_TOGETHER // elements)))
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
    return ranges | observed.inputs


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


def _mean_outputs(operator: Operator, mean: np.ndarray) -> np.ndarray:
    """Return the mean of each output channel of a layer from the mean of its input over the images.

    As a convolution is linear, its mean output is that of the means of what lies under its windows.
    """
    kernel, bias = operator.kernel.data, operator.bias.data
    if operator.kind == "FULLY_CONNECTED":
        return kernel.astype("float64") @ mean.reshape(-1, mean.shape[-1]).mean(0) + bias
    if operator.kind == "TRANSPOSE_CONV":
        return transposed_sums(operator, kernel, mean[None]).mean((0, 1, 2)) + bias
    windows = Windows(operator, kernel.shape[1:3])
    padded = windows.padded(mean[None], 0)
    under = np.stack([part.mean((0, 1, 2)) for part in windows.parts(padded)])  # places of the kernel, channels
    if operator.kind == "DEPTHWISE_CONV_2D":
        under = np.repeat(under, kernel.shape[3] // under.shape[1], axis=1)
        return (kernel.reshape(under.shape) * under).sum(0) + bias
    groups = under.shape[1] // kernel.shape[3]
    outputs = kernel.reshape(groups, len(kernel) // groups, len(under), -1)
    return np.einsum("goks,kgs->go", outputs, under.reshape(len(under), groups, -1)).reshape(-1) + bias
