"""Functions of single numbers in operators that int8 has.

- The larger of a and b is b + relu(a - b), the smaller b - relu(b - a), and |x| is x + relu(-2 x).
- A PReLU is x + (1 - slope) relu(-x); where all slopes are one, a LEAKY_RELU.
- An ELU of what was cut off at zero is an ELU whose range ends there.
- What is cut off on both sides of zero is the same numbers in a range that ends there.
"""

from collections.abc import Callable

import numpy as np

from keras_lite.litert import Operator, Tensor
from keras_lite.quantization.lower.builder import constant
from keras_lite.quantization.lower.int8.state import State
from keras_lite.quantization.lower.simplifying.folding import number_of


def clipped(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """Cut off at -1 and 1."""
    return _between(state, inputs[0], -1.0, 1.0, operator.name)


def _between(state: State, x: Tensor, low: float, high: float, name: str) -> Tensor:
    y = state.same(x, name)
    state.fixed[y] = (low, high)
    return y


def _larger(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, other = inputs
    rest = state.build.add("RELU", [_less(state, x, other, f"{operator.name}/less")], operator.output.shape,
                           f"{operator.name}/rest")  # fmt: skip
    return state.build.arithmetic("ADD", rest, other, operator.name)


def _smaller(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, other = inputs
    name, shape, high = operator.name, operator.output.shape, number_of(operator)
    before = state.view.producer(operator.inputs[0])
    low = number_of(before) if before is not None and before.kind == "MAXIMUM" else None
    if high is not None and low is not None and low < 0.0 < high:
        return _between(state, state.made.get(before.inputs[0], before.inputs[0]), low, high, name)
    if not other.is_constant:
        rest = state.build.add("RELU", [_less(state, other, x, f"{name}/less")], shape, f"{name}/rest")
        return state.build.arithmetic("SUB", other, rest, name)
    turned = state.build.arithmetic("MUL", x, -1.0, f"{name}/turned")
    rest = state.build.arithmetic("ADD", turned, other, f"{name}/less")
    rest = state.build.add("RELU", [rest], shape, f"{name}/rest")
    turned = state.build.arithmetic("MUL", rest, -1.0, f"{name}/rest_turned")
    return state.build.arithmetic("ADD", turned, other, name)


def _less(state: State, x: Tensor, other: Tensor, name: str) -> Tensor:
    if other.is_constant:
        return state.build.arithmetic("ADD", x, -other.data, name)
    return state.build.arithmetic("SUB", x, other, name)


def _size(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    below = state.build.arithmetic("MUL", inputs[0], -2.0, f"{operator.name}/turned")
    below = state.build.add("RELU", [below], operator.output.shape, f"{operator.name}/below")
    return state.build.arithmetic("ADD", inputs[0], below, operator.name)


def _turned(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    return state.build.arithmetic("MUL", inputs[0], -1.0, operator.name)


def _square(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    return state.build.arithmetic("MUL", inputs[0], inputs[0], operator.name)


def _squared_difference(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    less = state.build.arithmetic("SUB", *inputs, f"{operator.name}/less")
    return state.build.arithmetic("MUL", less, less, operator.name)


def _prelu(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    x, slopes = inputs
    name, values = operator.name, slopes.data
    if (values == values.flat[0]).all() and values.flat[0] >= 0.0:
        return state.build.add("LEAKY_RELU", [x], x.shape, name, alpha=float(values.flat[0]))
    below = state.build.arithmetic("MUL", x, -1.0, f"{name}/turned")
    below = state.build.add("RELU", [below], x.shape, f"{name}/below")
    channels = x.shape[-1]
    if len(x.shape) == 4 and values.size == channels == values.shape[-1]:
        rest = state.channelwise(below, 1.0 - values.reshape(-1), np.zeros(1), f"{name}/rest")
    else:
        rest = state.build.arithmetic("MUL", below, constant(f"{name}/rest_slopes", 1.0 - values), f"{name}/rest")
    return state.build.arithmetic("ADD", x, rest, name)


def _elu(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    before = state.view.producer(operator.inputs[0])
    if before is None or before.kind != "MINIMUM" or number_of(before) != 0.0:
        return state.copy(operator, inputs)
    source = state.made.get(before.inputs[0], before.inputs[0])
    y = state.copy(operator, [source])
    state.fixed[y] = (-1.0, 0.0)
    return y


def _quotient(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """Divide by what is above zero: x exp(-log(y))."""
    added = state.view.producer(operator.inputs[1])
    before = None if added is None or added.kind != "ADD" else state.view.producer(added.inputs[0])
    if before is None or before.kind != "ABS" or not (number_of(added) or 0.0) > 0.0:
        raise state.refusal(operator)
    name, shape = operator.name, operator.output.shape
    powers = state.build.add("LOG", inputs[1:], shape, f"{name}/log")
    powers = state.build.arithmetic("MUL", powers, -1.0, f"{name}/minus_log")
    return state.build.arithmetic("MUL", inputs[0], state.build.add("EXP", [powers], shape, f"{name}/share"), name)


def _padded(state: State, operator: Operator, inputs: list[Tensor]) -> Tensor:
    """Pad with another number than zero: shifted by it, with zeros."""
    x, widths, number = inputs
    shifted = state.build.arithmetic("ADD", x, -number.data, f"{operator.name}/less")
    shifted = state.build.add("PAD", [shifted, widths], operator.output.shape, f"{operator.name}/padded")
    return state.build.arithmetic("ADD", shifted, number, operator.name)


FUNCTIONS: dict[str, Callable[[State, Operator, list[Tensor]], Tensor]] = {
    "ABS": _size,
    "DIV": _quotient,
    "ELU": _elu,
    "MAXIMUM": _larger,
    "MINIMUM": _smaller,
    "NEG": _turned,
    "PADV2": _padded,
    "PRELU": _prelu,
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
}
