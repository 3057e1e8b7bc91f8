"""A float graph with smaller weights: in float16, or in int8."""

import dataclasses

import numpy as np

from keras_lite.litert.operators import FloatGraph, Operator, Tensor
from keras_lite.litert.scheme import CHANNEL_AXES, quantize_kernel

# Below this a constant takes less room than the operator that would widen it.
_SMALLEST_FLOAT16 = 64
# TensorFlow's converter leaves smaller kernels in float, too.
_SMALLEST_INT8 = 1024
# Kinds that multiply int8 kernels with a float input, which they round to 8 bits on the way.
_HYBRID = ("CONV_2D", "FULLY_CONNECTED")


def with_float16_weights(graph: FloatGraph) -> FloatGraph:
    """Return a graph whose weights are float16 constants; it computes in float32.

    Each float32 constant of 64 values and more that float16 can hold (up to 65,504) goes through a DEQUANTIZE operator,
    which XNNPACK runs once, at the start.

    Example:

    >>> x, kernel = Tensor("x", (1, 8)), Tensor("dense/kernel", (8, 8), np.ones((8, 8), "float32"))
    >>> y = Tensor("dense", (1, 8))
    >>> graph = FloatGraph("small", [x], [y], [Operator("FULLY_CONNECTED", [x, kernel], [y])])
    >>> with_float16_weights(graph).constants
    [Tensor(dense/kernel_float16: float16 (8, 8), constant)]
    """
    wide: dict[Tensor, Tensor] = {}
    operators = []
    for operator in graph.operators:
        inputs = []
        for tensor in operator.inputs:
            if tensor not in wide and _fits_float16(tensor):
                values = tensor.data.astype("float16")
                operators.append(_dequantize(Tensor(f"{tensor.name}_float16", tensor.shape, values), tensor.name))
                wide[tensor] = operators[-1].output
            inputs.append(wide.get(tensor, tensor))
        operators.append(dataclasses.replace(operator, inputs=inputs))
    return dataclasses.replace(graph, operators=operators)


def with_int8_weights(graph: FloatGraph) -> FloatGraph:
    """Return a graph whose kernels of 1,024 values and more are int8, with a scale for each output channel.

    Convolutions and dense layers take them as they are and round their float inputs to 8 bits on the way (dynamic range
    quantization). All others (depthwise and transposed convolutions, products with a constant matrix) take them through
    a DEQUANTIZE operator, which XNNPACK runs once, at the start: nothing is rounded on the way, and it is no slower.

    Example:

    >>> x, kernel = Tensor("x", (1, 64)), Tensor("dense/kernel", (16, 64), np.ones((16, 64), "float32"))
    >>> y = Tensor("dense", (1, 16))
    >>> graph = FloatGraph("small", [x], [y], [Operator("FULLY_CONNECTED", [x, kernel], [y])])
    >>> with_int8_weights(graph).constants
    [Tensor(dense/kernel: int8 (16, 64), constant)]
    """
    narrow: dict[tuple[Tensor, int], Tensor] = {}
    wide: dict[Tensor, Tensor] = {}
    operators = []
    for operator in graph.operators:
        axis = _channel_axis(operator)
        if axis is None or not _is_float(kernel := operator.inputs[1]) or kernel.size < _SMALLEST_INT8:
            operators.append(operator)
            continue
        if (kernel, axis) not in narrow:
            narrow[kernel, axis] = _quantized(kernel, axis)
        small, options = narrow[kernel, axis], operator.options
        if operator.kind not in _HYBRID:
            if small not in wide:
                operators.append(_dequantize(small, f"{kernel.name}_float32"))
                wide[small] = operators[-1].output
            small = wide[small]
        elif operator.kind == "FULLY_CONNECTED":
            # Its inputs are rounded from their minimum to their maximum, as XNNPACK rounds those of all kinds.
            options = {**options, "asymmetric_quantize_inputs": True}
        inputs = [operator.inputs[0], small, *operator.inputs[2:]]
        operators.append(dataclasses.replace(operator, inputs=inputs, options=options))
    return dataclasses.replace(graph, operators=operators)


def _channel_axis(operator: Operator) -> int | None:
    if operator.kind == "BATCH_MATMUL":
        return len(operator.inputs[1].shape) - (2 if operator.options.get("adj_y") else 1)
    return CHANNEL_AXES.get(operator.kind)


def _quantized(kernel: Tensor, axis: int) -> Tensor:
    values, parameters = quantize_kernel(kernel.data, axis, exact=True)
    return Tensor(kernel.name, kernel.shape, values, quantization=parameters)


def _dequantize(narrow: Tensor, name: str) -> Operator:
    return Operator("DEQUANTIZE", [narrow], [Tensor(name, narrow.shape)])


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_constant and tensor.dtype == "float32"


def _fits_float16(tensor: Tensor) -> bool:
    large_enough = _is_float(tensor) and tensor.size >= _SMALLEST_FLOAT16
    return large_enough and bool(np.abs(tensor.data).max() <= np.finfo("float16").max)
