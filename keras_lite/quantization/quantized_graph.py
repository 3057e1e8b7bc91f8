"""From a graph of floats and the ranges of its tensors to the int8 graph."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from keras_lite.litert import (
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    quantize_values,
    quantize_weights,
)
from keras_lite.litert.scheme import CHANNEL_AXES, FIXED_PARAMETERS, HIGHEST
from keras_lite.quantization.lower.for_int8 import Int8Form

# Operators that hand on numbers of their input, whose scale their output has.
HANDING_ON = (
    "DEPTH_TO_SPACE", "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PAD", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPACE_TO_DEPTH", "STRIDED_SLICE", "TRANSPOSE",
)  # fmt: skip
# Those whose int8 operators have one scale for all models.
OWN_PARAMETERS = {**FIXED_PARAMETERS, "TANH": QuantizationParameters(1.0 / 128.0, 0)}
# One range for several tensors is at most so many times as wide as that of each. A stem whose values feed all of
# MobileNetV3-Large had twice the steps otherwise, and its outputs four times the divergence.
_WIDENED = 1.25


def needs_range(form: Int8Form) -> list[Tensor]:
    """Return the tensors whose range decides a scale, but for the input."""
    shared, leaving = in_concatenations(form), _leaving_floats(form)
    return [
        operator.output
        for operator in form.graph.operators
        if (
            operator.output in leaving
            if operator.output in form.floats
            else operator.kind not in (*HANDING_ON, *OWN_PARAMETERS)
        )
        and operator.output not in shared
    ]


def _leaving_floats(form: Int8Form) -> set[Tensor]:
    """Return what is made in floats and goes on in int8."""
    taken = {tensor for operator in form.whole for tensor in operator.inputs}
    return form.floats & (taken | set(form.graph.outputs))


def quantize(
    form: Int8Form,
    ranges: Mapping[Tensor, tuple[float, float]],
    one_range: bool = False,
    scales: Mapping[Tensor, np.ndarray] | None = None,
) -> QuantizedGraph:
    """Return the int8 graph.

    What is only concatenated has the range of the whole; what is concatenated and used elsewhere too, or has a scale
    that can't change, is brought to it by a QUANTIZE operator. What stays in floats has a DEQUANTIZE in front and a
    QUANTIZE behind it.

    Args:
        form: What `for_int8` returned.
        ranges: The range of the input and of each tensor that `needs_range` returns.
        one_range: Whether what is concatenated and used elsewhere too has the range of the whole as well, and so have
            concatenations that hand it on to one another, where these ranges are much alike: no operator brings it
            there.
        scales: Of kernels that are rounded already, the scales of their output channels.

    Raises:
        InputError: If a bias needs more than 32 bits.
    """
    shared = in_concatenations(form)
    if one_range:
        ranges = {**ranges, **_united(form, ranges, shared)}
    ends = _Ends(form, ranges)
    for operator in form.graph.operators:
        if operator.output in form.floats:
            ends.in_floats(operator)
            continue
        inputs = [ends.quantized(tensor, operator) for tensor in operator.inputs]
        if operator.kind in HANDING_ON:
            parameters = ends.quantized(operator.source).quantization
        elif operator.kind in OWN_PARAMETERS:
            parameters = OWN_PARAMETERS[operator.kind]
        else:
            parameters = QuantizationParameters.between(*ranges[shared.get(operator.output, operator.output)])
        output = _int8(operator.output, parameters)
        if operator.kind == "CONCATENATION":
            inputs = [
                _constant(each, quantize_values(each.data, parameters), parameters)
                if each.is_constant
                else _brought_to(each, output, ends.operators)
                for each in inputs
            ]
        elif operator.kind in CHANNEL_AXES:
            source = ends.quantized(operator.source)
            found = (scales or {}).get(operator.kernel)
            weights = with_weights([source, operator.kernel, operator.bias], CHANNEL_AXES[operator.kind], found)
            inputs = operator.weighted_inputs(*weights)
        else:
            inputs = [_number(each) if each.is_constant and each.dtype == "float32" else each for each in inputs]
        ends.operators.append(Operator(operator.kind, inputs, [output], operator.options, operator.layer))
        ends.whole[operator.output] = output
    outputs = [ends.quantized(tensor) for tensor in form.graph.outputs]
    return QuantizedGraph(form.graph.name, [ends.whole[each] for each in form.graph.inputs], outputs, ends.operators)


class _Ends:
    """The operators of an int8 graph so far, and of each tensor the int8 one and the one in floats, where it has both.

    Attributes:
        operators: The operators.
        whole: The int8 tensors.
    """

    def __init__(self, form: Int8Form, ranges: Mapping[Tensor, tuple[float, float]]) -> None:
        self.operators: list[Operator] = []
        self.whole = {each: _int8(each, QuantizationParameters.between(*ranges[each])) for each in form.graph.inputs}
        self._floats: dict[Tensor, Tensor] = {}
        self._ranges = ranges

    def quantized(self, tensor: Tensor, taker: Operator | None = None) -> Tensor:
        """Return the int8 tensor, after a QUANTIZE of what is in floats; what `taker` concatenates it brings itself."""
        if tensor.is_constant:
            return tensor
        if tensor not in self.whole:
            if taker is not None and taker.kind == "CONCATENATION":
                return self._floats[tensor]
            self.whole[tensor] = _int8(tensor, QuantizationParameters.between(*self._ranges[tensor]))
            self.operators.append(Operator("QUANTIZE", [self._floats[tensor]], [self.whole[tensor]]))
        return self.whole[tensor]

    def in_floats(self, operator: Operator) -> None:
        """Add an operator in floats, each int8 tensor that it takes after a DEQUANTIZE."""
        for tensor in operator.inputs:
            if not tensor.is_constant and tensor not in self._floats:
                self._floats[tensor] = _in_floats(tensor)
                self.operators.append(Operator("DEQUANTIZE", [self.whole[tensor]], [self._floats[tensor]]))
        inputs = [self._floats.get(tensor, tensor) for tensor in operator.inputs]
        self._floats[operator.output] = _in_floats(operator.output)
        self.operators.append(
            Operator(operator.kind, inputs, [self._floats[operator.output]], operator.options, operator.layer)
        )


def _in_floats(tensor: Tensor) -> Tensor:
    return Tensor(f"{tensor.name}/float", tensor.shape, dtype=tensor.dtype)


def in_concatenations(form: Int8Form) -> dict[Tensor, Tensor]:
    """Return the outermost concatenation of each tensor that is only concatenated and may have any scale."""
    uses: dict[Tensor, list[Operator]] = {}
    for operator in form.graph.operators:
        for tensor in operator.inputs:
            uses.setdefault(tensor, []).append(operator)
    free = {
        operator.output
        for operator in form.whole
        if operator.kind not in (*HANDING_ON, *OWN_PARAMETERS) and operator.output not in form.fixed
    }
    free = (free | form.floats) - set(form.graph.outputs)
    shared: dict[Tensor, Tensor] = {}
    for operator in reversed(form.whole):
        if operator.kind == "CONCATENATION":
            for tensor in operator.inputs:
                if tensor in free and len(uses[tensor]) == 1:
                    shared[tensor] = shared.get(operator.output, operator.output)
    return shared


def _united(
    form: Int8Form, ranges: Mapping[Tensor, tuple[float, float]], shared: dict[Tensor, Tensor]
) -> dict[Tensor, tuple[float, float]]:
    """Return the common ranges of what is concatenated and of the concatenation, where they are much alike."""
    makers = {operator.output: operator for operator in form.whole}
    groups: dict[Tensor, _Group] = {}

    def group(tensor: Tensor) -> _Group:
        tensor = shared.get(tensor, tensor)
        if tensor not in groups:
            low, high = ranges[tensor]
            groups[tensor] = _Group([tensor], low, high, high - low)
        return groups[tensor]

    for operator in form.whole:
        for tensor in operator.inputs if operator.kind == "CONCATENATION" else []:
            while tensor in makers and makers[tensor].kind in HANDING_ON:
                tensor = makers[tensor].source
            if tensor in makers and makers[tensor].kind not in OWN_PARAMETERS and tensor not in form.fixed:
                first, second = group(operator.output), group(tensor)
                low, high = min(first.low, second.low), max(first.high, second.high)
                narrowest = min(first.narrowest, second.narrowest)
                if first is not second and high - low <= _WIDENED * narrowest:
                    both = _Group([*first.members, *second.members], low, high, narrowest)
                    groups.update(dict.fromkeys(both.members, both))
    return {tensor: (found.low, found.high) for tensor, found in groups.items()}


class _Group(NamedTuple):
    """Tensors with one range, and the width of the narrowest range that one of them has by itself."""

    members: list[Tensor]
    low: float
    high: float
    narrowest: float


def _brought_to(tensor: Tensor, output: Tensor, operators: list[Operator]) -> Tensor:
    if tensor.quantization == output.quantization:
        return tensor
    brought = _int8(tensor, output.quantization, f"{tensor.name}/as_{output.name.replace('/', '_')}")
    operators.append(Operator("QUANTIZE", [tensor], [brought]))
    return brought


def with_weights(inputs: list[Tensor], axis: int, scales: np.ndarray | None = None) -> list[Tensor]:
    """Return the inputs of a layer with weights in int8.

    Args:
        inputs: The int8 tensor that they multiply; the kernel and the bias in floats.
        axis: The kernel's output channels.
        scales: Theirs, where the kernel is rounded already.
    """
    source, kernel, bias = inputs
    weights = quantize_weights(kernel.data, bias.data, axis, source.quantization, scales)
    return [source, *(_constant(each, *made) for each, made in zip((kernel, bias), weights, strict=True))]


def _number(tensor: Tensor) -> Tensor:
    """Return a constant as int8: one number as an end of a range from zero, others symmetrically."""
    largest = float(np.abs(tensor.data).max())
    if tensor.size == 1 and largest:
        value = float(tensor.data.reshape(()))
        parameters = QuantizationParameters.between(min(value, 0.0), max(value, 0.0))
    else:
        parameters = QuantizationParameters((largest or 1.0) / HIGHEST, 0)
    return _constant(tensor, quantize_values(tensor.data, parameters), parameters)


def _constant(tensor: Tensor, integers: np.ndarray, parameters: QuantizationParameters) -> Tensor:
    return Tensor(tensor.name, tensor.shape, integers, quantization=parameters)


def _int8(tensor: Tensor, parameters: QuantizationParameters, name: str | None = None) -> Tensor:
    return Tensor(name or tensor.name, tensor.shape, dtype="int8", quantization=parameters)
