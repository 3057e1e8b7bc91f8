"""Stock layers in place of operations such as `x + y`, `x / 255` or `keras.ops.relu(x)` in a functional model."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lite.graph.cloning import clone

layers = keras.layers
# A layer to be called on a tensor or tensors, in the place of an operation.
_Twin = tuple[Callable[[Any], Any], Any]

_ACTIVATIONS = {
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Tanh": "tanh",
}


def operations_to_layers(model: keras.Model) -> keras.Model:
    """Return a functional model in which each operation that has a stock layer as its twin is that layer.

    The others, and constants that are no number and no value a channel, stay as they are.
    """
    if all(isinstance(operation, layers.Layer) for operation in model.operations):
        return model

    # One layer for an operation that is called twice, as in a nested model that is used twice.
    made: dict[str, Callable[[Any], Any]] = {}

    def call(operation, *args, **kwargs):
        twin = None if isinstance(operation, layers.Layer) else twin_of(operation, args, kwargs)
        if twin is None:
            return operation(*args, **kwargs)
        layer, inputs = twin
        return made.setdefault(operation.name, layer)(inputs)

    return clone(model, call)


def twin_of(operation: keras.Operation, args: tuple, kwargs: dict[str, Any]) -> _Twin | None:
    """Return the stock layer that does the same as an operation, and what it is to be called on; None if none does.

    Args:
        operation: The operation.
        args: What it is called with.
        kwargs: What it is called with by name.
    """
    kind = type(operation).__name__
    if not type(operation).__module__.startswith("keras."):
        return None
    values = inspect.signature(operation.call).bind(*args, **kwargs).arguments
    if kind in _ACTIVATIONS:
        return layers.Activation(_ACTIVATIONS[kind], name=operation.name), values["x"]
    return _TWINS[kind](operation, *values.values()) if kind in _TWINS else None


def _is_tensor(value: Any) -> bool:
    return keras.backend.is_keras_tensor(value)


def _constant(value: Any, tensor: Any) -> float | list[float] | None:
    """Return a constant as one number, or a list with one number a channel of `tensor`; None if it is neither."""
    if isinstance(value, keras.Variable):
        return None
    array = np.asarray(keras.ops.convert_to_numpy(value), "float64")
    if array.size == 1 and array.ndim <= len(tensor.shape):
        return float(array.reshape(()))
    if array.shape[-1:] == tuple(tensor.shape[-1:]) and array.size == array.shape[-1] and len(tensor.shape) > 1:
        return array.reshape(-1).tolist()
    return None


def _merged(layer_class: type) -> Callable[..., _Twin | None]:
    """Return the rule of an operation between two tensors that has a layer."""

    def rule(operation, first, second):
        shapes = [tuple(value.shape) for value in (first, second) if _is_tensor(value)]
        fits = len(shapes) == 2 and len(shapes[0]) == len(shapes[1])
        return (layer_class(name=operation.name), [first, second]) if fits else None

    return rule


def _arithmetic(layer_class: type | None, scale_and_offset: Callable[..., Any]) -> Callable[..., _Twin | None]:
    """Return the rule of an operation that is a merging layer between tensors, and with a constant a Rescaling."""

    def rule(operation, first, second):
        if _is_tensor(first) and _is_tensor(second):
            return None if layer_class is None else _merged(layer_class)(operation, first, second)
        tensor, value = (first, second) if _is_tensor(first) else (second, first)
        constant = _constant(value, tensor)
        found = None if constant is None else scale_and_offset(np.asarray(constant), tensor is first)
        if found is None:
            return None
        return layers.Rescaling(*(np.asarray(each).tolist() for each in found), name=operation.name), tensor

    return rule


def _divide(constant: np.ndarray, tensor_first: bool) -> tuple | None:
    return (1.0 / constant, 0.0) if tensor_first and np.all(constant != 0.0) else None


def _subtract(constant: np.ndarray, tensor_first: bool) -> tuple:
    return (1.0, -constant) if tensor_first else (-1.0, constant)


def _pooled(layer_class: type) -> Callable[..., _Twin | None]:
    """Return the rule of a mean or maximum that is taken over all pixels."""

    def rule(operation, tensor):
        axes = operation.axis
        over = None if axes is None else {axis % len(tensor.shape) for axis in axes}
        if len(tensor.shape) != 4 or over != {1, 2} or getattr(operation, "initial", None) is not None:
            return None
        return layer_class(keepdims=operation.keepdims, name=operation.name), tensor

    return rule


def _window(layer_class: type) -> Callable[..., _Twin | None]:
    """Return the rule of a pooling operation."""

    def rule(operation, tensor):
        if len(tensor.shape) != 4 or operation.data_format == "channels_first":
            return None
        return layer_class(operation.pool_size, operation.strides, operation.padding, name=operation.name), tensor

    return rule


def _reshape(operation: keras.Operation, tensor: Any) -> _Twin | None:
    shape = tuple(operation.compute_output_spec(tensor).shape)
    known = None not in shape[1:] and None not in tensor.shape[1:]
    if not known or shape[:1] != (None,) or math.prod(shape[1:]) != math.prod(tensor.shape[1:]):
        return None
    return layers.Reshape(shape[1:], name=operation.name), tensor


def _transpose(operation: keras.Operation, tensor: Any) -> _Twin | None:
    axes = operation.axes
    if axes is None or axes[0] != 0:
        return None
    return layers.Permute(tuple(axis % len(axes) for axis in axes[1:]), name=operation.name), tensor


def _concatenate(operation: keras.Operation, tensors: Any) -> _Twin | None:
    if not all(map(_is_tensor, tensors)):
        return None  # constants among them, as a class token is
    return layers.Concatenate(operation.axis, name=operation.name), list(tensors)


def _pad(operation: keras.Operation, tensor: Any, constant_values: Any = None) -> _Twin | None:
    widths = [tuple(width) for width in operation.pad_width]
    widths = widths * len(tensor.shape) if len(widths) == 1 else widths
    if len(widths) != 4 or operation.mode != "constant" or constant_values or {widths[0], widths[3]} != {(0, 0)}:
        return None
    return layers.ZeroPadding2D(tuple(widths[1:3]), name=operation.name), tensor


def _clip(operation: keras.Operation, tensor: Any) -> _Twin | None:
    low, high = operation.x_min, operation.x_max
    fits = isinstance(high, int | float) and isinstance(low, int | float) and low == 0 < high
    return (layers.ReLU(float(high), name=operation.name), tensor) if fits else None


def _leaky_relu(operation: keras.Operation, tensor: Any) -> _Twin | None:
    slope = operation.negative_slope
    return None if slope < 0.0 else (layers.LeakyReLU(slope, name=operation.name), tensor)


def _gelu(operation: keras.Operation, tensor: Any) -> _Twin | None:
    return None if operation.approximate else (layers.Activation("gelu", name=operation.name), tensor)


def _cast(operation: keras.Operation, tensor: Any) -> _Twin | None:
    return (lambda inputs: inputs, tensor) if operation.dtype in (None, tensor.dtype) else None


_TWINS: dict[str, Callable[..., _Twin | None]] = {
    "Add": _arithmetic(layers.Add, lambda constant, _: (1.0, constant)),
    "Amax": _pooled(layers.GlobalMaxPooling2D),
    "AveragePool": _window(layers.AveragePooling2D),
    "Cast": _cast,
    "Clip": _clip,
    "Concatenate": _concatenate,
    # Keras puts it before a nested Sequential model.
    "ConvertToTensor": _cast,
    "Divide": _arithmetic(None, _divide),
    "Elu": lambda operation, tensor: (layers.ELU(operation.alpha, name=operation.name), tensor),
    "ExpandDims": _reshape,
    "Gelu": _gelu,
    "LeakyRelu": _leaky_relu,
    "Max": _pooled(layers.GlobalMaxPooling2D),
    "MaxPool": _window(layers.MaxPooling2D),
    "Maximum": _merged(layers.Maximum),
    "Mean": _pooled(layers.GlobalAveragePooling2D),
    "Minimum": _merged(layers.Minimum),
    "Multiply": _arithmetic(layers.Multiply, lambda constant, _: (constant, 0.0)),
    "Negative": lambda operation, tensor: (layers.Rescaling(-1.0, name=operation.name), tensor),
    "Pad": _pad,
    "ReLU": lambda operation, tensor: (
        layers.ReLU(operation.max_value, operation.negative_slope, operation.threshold, name=operation.name),
        tensor,
    ),
    "Relu": lambda operation, tensor: (layers.ReLU(name=operation.name), tensor),
    "Reshape": _reshape,
    "Softmax": lambda operation, tensor: (layers.Softmax(operation.axis, name=operation.name), tensor),
    "Squeeze": _reshape,
    "Subtract": _arithmetic(layers.Subtract, _subtract),
    "Transpose": _transpose,
    "TrueDivide": _arithmetic(None, _divide),
}
