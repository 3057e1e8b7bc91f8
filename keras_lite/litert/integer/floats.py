"""Operators of an int8 graph that stay in floats, computed in float32: within rounding of what XNNPACK computes.

XNNPACK adds in another order and has exponentials of its own, so that a number may differ in its last digits.
"""

import math
from collections.abc import Callable

import numpy as np

from keras_lite.litert.integer import movement
from keras_lite.litert.integer.rounding import Compute
from keras_lite.litert.operators import Operator

_CUTS = {
    "NONE": lambda x: x,
    "RELU": lambda x: np.maximum(x, np.float32(0.0)),
    "RELU6": lambda x: np.clip(x, np.float32(0.0), np.float32(6.0)),
    "RELU_N1_TO_1": lambda x: np.clip(x, np.float32(-1.0), np.float32(1.0)),
}
_erf = np.frompyfunc(math.erf, 1, 1)


def _unary(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Operator], Compute]:
    return lambda operator: lambda x: function(x).astype("float32")


def _binary(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Operator], Compute]:
    """Return what computes a function of two tensors that are broadcast, and the activation behind it."""

    def build(operator: Operator) -> Compute:
        cut, rank = _CUTS[operator.options.get("fused_activation_function", "NONE")], len(operator.output.shape)

        def compute(*inputs: np.ndarray) -> np.ndarray:
            # What has fewer axes gets the missing ones behind that of the images.
            inputs = [each.reshape(len(each), *[1] * (rank + 1 - each.ndim), *each.shape[1:]) for each in inputs]
            return cut(function(*inputs))

        return compute

    return build


def _reduction(function: Callable[..., np.ndarray]) -> Callable[[Operator], Compute]:
    def build(operator: Operator) -> Compute:
        source, axes = operator.inputs
        along = tuple(int(axis) % len(source.shape) + 1 for axis in axes.data.reshape(-1))
        keep = bool(operator.options.get("keep_dims", False))
        return lambda x, _: function(x, axis=along, keepdims=keep).astype("float32", copy=False)

    return build


def _batch_matmul(operator: Operator) -> Compute:
    turn_first, turn_second = (bool(operator.options.get(name, False)) for name in ("adj_x", "adj_y"))

    def compute(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        first = first.swapaxes(-1, -2) if turn_first else first
        return first @ (second.swapaxes(-1, -2) if turn_second else second)

    return compute


def _softmax(operator: Operator) -> Compute:
    beta = np.float32(operator.options.get("beta", 1.0))

    def compute(x: np.ndarray) -> np.ndarray:
        powers = np.exp((x - x.max(-1, keepdims=True)) * beta)
        return powers / powers.sum(-1, keepdims=True)

    return compute


def _log_softmax(operator: Operator) -> Compute:
    def compute(x: np.ndarray) -> np.ndarray:
        less = x - x.max(-1, keepdims=True)
        return less - np.log(np.exp(less).sum(-1, keepdims=True))

    return compute


def _unit_length(operator: Operator) -> Compute:
    shortest = np.float32(1e-6)
    return lambda x: x / np.maximum(np.sqrt(np.square(x).sum(-1, keepdims=True)), shortest)


def _gelu(operator: Operator) -> Compute:
    if operator.options.get("approximate", False):
        return lambda x: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return lambda x: (0.5 * x * (1.0 + _erf(x * math.sqrt(0.5)).astype("float32"))).astype("float32")


def _leaky_relu(operator: Operator) -> Compute:
    slope = np.float32(operator.options.get("alpha", 0.0))
    return lambda x: np.where(x < 0.0, x * slope, x)


def _cast(operator: Operator) -> Compute:
    dtype = operator.output.dtype
    return lambda x: x.astype(dtype)


KINDS: dict[str, Callable[[Operator], Compute]] = {
    "ABS": _unary(np.abs),
    "ADD": _binary(np.add),
    "BATCH_MATMUL": _batch_matmul,
    "CAST": _cast,
    "CEIL": _unary(np.ceil),
    "CONCATENATION": movement.concatenation,
    "COS": _unary(np.cos),
    "DIV": _binary(np.divide),
    "ELU": _unary(lambda x: np.where(x < 0.0, np.expm1(np.minimum(x, 0.0)), x)),
    "EXP": _unary(np.exp),
    "FLOOR": _unary(np.floor),
    "GELU": _gelu,
    "GREATER": _binary(np.greater),
    "HARD_SWISH": _unary(lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0),
    "L2_NORMALIZATION": _unit_length,
    "LEAKY_RELU": _leaky_relu,
    "LESS": _binary(np.less),
    "LOG": _unary(np.log),
    "LOG_SOFTMAX": _log_softmax,
    "LOGISTIC": _unary(lambda x: 1.0 / (1.0 + np.exp(-x))),
    "MAXIMUM": _binary(np.maximum),
    "MEAN": _reduction(np.mean),
    "MINIMUM": _binary(np.minimum),
    "MUL": _binary(np.multiply),
    "NEG": _unary(np.negative),
    "PAD": movement.pad,
    "POW": _binary(np.power),
    "PRELU": _binary(lambda x, slopes: np.where(x < 0.0, x * slopes, x)),
    "REDUCE_MAX": _reduction(np.max),
    "RELU": _unary(_CUTS["RELU"]),
    "RELU6": _unary(_CUTS["RELU6"]),
    "RELU_0_TO_1": _unary(lambda x: np.clip(x, 0.0, 1.0)),
    "RESHAPE": movement.reshape,
    "RSQRT": _unary(lambda x: 1.0 / np.sqrt(x)),
    "SIN": _unary(np.sin),
    "SLICE": movement.slice_,
    "SOFTMAX": _softmax,
    "SPLIT": movement.split,
    "SQRT": _unary(np.sqrt),
    "SQUARE": _unary(np.square),
    "SQUARED_DIFFERENCE": _binary(lambda x, y: np.square(x - y)),
    "STRIDED_SLICE": movement.strided_slice,
    "SUB": _binary(np.subtract),
    "SUM": _reduction(np.sum),
    "TANH": _unary(np.tanh),
    "TRANSPOSE": movement.transpose,
}
