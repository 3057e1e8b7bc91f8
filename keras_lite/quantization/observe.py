"""Ranges of the tensors of a graph, from what images give there."""

import tempfile
from pathlib import Path

import numpy as np

from keras_lite.litert import FloatGraph, Operator, Tensor, write
from keras_lite.quantization.lower.builder import constant
from keras_lite.quantization.lower.for_int8 import Int8Form
from keras_lite.quantization.quantized_graph import needs_range
from keras_lite.quantization.ranges import EMPTY, Estimator, least_error_range
from keras_lite.runtime.observation import observe_outputs

# An activation that is (next to) always zero has a range of (next to) no width: a scale that XNNPACK can't run.
# It is opened this far: in narrower steps a large bias behind it would not fit into 32 bits.
_OPENED = 1.0

Ranges = dict[Tensor, tuple[float, float]]


def ranges_from(form: Int8Form, images: np.ndarray, estimator: Estimator = least_error_range) -> Ranges:
    """Return the range of each tensor that needs one, the input's included.

    Args:
        form: What `for_int8` returned.
        images: Preprocessed images, float32.
        estimator: Chooses a range from a histogram. The input's range is that of the images.

    Example:

    ```python
    form = for_int8(lower(flatten(model)))
    graph = quantize(form, ranges_from(form, images))
    ```
    """
    tensors = [tensor for tensor in needs_range(form) if tensor not in form.fixed]
    watched = _watched(form, tensors)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{form.graph.name or 'model'}.tflite")
        path.write_bytes(write(watched))
        observed = observe_outputs(path, images)
    ranges = dict(form.fixed)
    for tensor, seen in zip(tensors, observed, strict=True):
        low, high = estimator(seen.counts, seen.lowest, seen.highest)
        ranges[tensor] = (low, low + _OPENED) if high - low < EMPTY else (low, high)
    [image] = form.graph.inputs
    ranges[image] = (min(float(images.min()), 0.0), max(float(images.max()), 0.0))
    return ranges


def _watched(form: Int8Form, tensors: list[Tensor]) -> FloatGraph:
    """Return the graph with all those tensors as outputs, cut off where the int8 one cuts them off."""
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
    return FloatGraph(form.graph.name, form.graph.inputs, tensors, operators)
