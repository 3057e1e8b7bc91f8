"""Ranges of the tensors of a graph, from what images give there."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.litert import FloatGraph, Operator, QuantizedGraph, Tensor, write
from keras_lite.quantization.lower import Int8Form, for_int8, lower
from keras_lite.quantization.lower.builder import constant
from keras_lite.quantization.quantized_graph import needs_range, quantize
from keras_lite.quantization.ranges import EMPTY, OPENED, Estimator, least_error_range
from keras_lite.runtime.observation import observe_outputs

Ranges = dict[Tensor, tuple[float, float]]


def ranges_from(form: Int8Form, images: np.ndarray, estimator: Estimator = least_error_range) -> Ranges:
    """Return the range of each tensor that needs one, the input's included.

    Args:
        form: What `for_int8` returned.
        images: Preprocessed images, float32.
        estimator: Chooses a range from a histogram. The input's range is that of the images.

    Example:

    ```python
    form = for_int8(lower(model))
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
        ranges[tensor] = _opened(*estimator(seen.counts, seen.lowest, seen.highest))
    [image] = form.graph.inputs
    ranges[image] = _opened(min(float(images.min()), 0.0), max(float(images.max()), 0.0))
    return ranges


def _opened(low: float, high: float) -> tuple[float, float]:
    return (low, low + OPENED) if high - low < EMPTY else (low, high)


def int8_graph(model: keras.Model, images: np.ndarray, preprocessing: Preprocessing | None = None) -> QuantizedGraph:
    """Return the int8 graph of a model, without TensorFlow.

    The range of each activation is the one that rounds what the images give there with the least squared error. A
    softmax at the end is left out.

    Args:
        model: A functional or Sequential Keras 3 model of any backend, that computes in float32.
        images: Preprocessed float images of shape `(count, height, width, 3)`; a hundred are enough.
        preprocessing: What made them of pixels: the input's range is then what pixels from 0 to 255 become. `None`:
            it is the images' own.

    Raises:
        InputError: If int8 has no operators for something; the message names it, and what to write instead.
        MissingExtraError: If the extra `litert` is not installed.

    Example:

    ```python
    graph = int8_graph(model, images, info.preprocessing)
    to_tflite(graph, "model.tflite", "int8", samples=images, reference=model)
    ```
    """
    form = for_int8(lower(model))
    ranges = ranges_from(form, images)
    if preprocessing is not None:
        lows, highs = preprocessing.limits()
        ranges[form.graph.inputs[0]] = (min(float(lows.min()), 0.0), max(float(highs.max()), 0.0))
    return quantize(form, ranges)


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
