"""Folding what multiplies and adds constants into each other and into the convolutions and dense layers around it."""

import numpy as np

from keras_lite.litert import Operator, Tensor
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.lower.simplifying.editor import Editor

# Operators with weights that lowering makes: input, kernel, bias.
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def fold_numbers(editor: Editor) -> None:
    """Fold products with constants and sums with constants, first into what is before them, then into what is behind.

    Products move before sums, so that of each chain at most one product and one sum are left.
    """
    while _merge(editor):
        pass
    for operator in editor:
        if _is_number(operator, "MUL") or _is_number(operator, "ADD"):
            _fold_back(editor, operator)
    for operator in reversed(editor):
        if _is_number(operator, "ADD"):
            _fold_sum_forward(editor, operator)
        elif _is_number(operator, "MUL"):
            _fold_product_forward(editor, operator)


def number_of(operator: Operator) -> float | None:
    """Return the one number that an operator multiplies by or adds; None if there is none."""
    if len(operator.inputs) != 2 or not operator.inputs[1].is_constant or operator.inputs[1].size != 1:
        return None
    return float(operator.inputs[1].data.reshape(()))


def _is_number(operator: Operator, kind: str) -> bool:
    """Return whether an operator multiplies by a constant, or adds one, and does not change the shape."""
    return (
        operator.kind == kind
        and operator.options["fused_activation_function"] == "NONE"
        and operator.inputs[1].is_constant
        and operator.inputs[0].shape == operator.output.shape
    )


def _merge(editor: Editor) -> bool:
    """Merge or swap constants that follow one another; return whether there were any."""
    changed = False
    for operator in editor:
        behind = editor.only_consumer(operator.output)
        if behind is None or behind.inputs[0] is not operator.output:
            continue
        kinds = [next((kind for kind in ("MUL", "ADD") if _is_number(each, kind)), "") for each in (operator, behind)]
        if "" in kinds or kinds == ["MUL", "ADD"]:
            continue
        changed = True
        first, second = operator.inputs[1], behind.inputs[1]
        if kinds[0] == kinds[1]:
            values = _double(first) * _double(second) if kinds[0] == "MUL" else _double(first) + _double(second)
            editor.set_inputs(operator, [operator.inputs[0], _constant(second.name, values)])
            editor.take_over(operator, behind)
        else:
            # (x + a) b is x b + a b.
            operator.kind, behind.kind = "MUL", "ADD"
            editor.set_inputs(operator, [operator.inputs[0], _constant(second.name, _double(second))])
            values = _double(first) * _double(second)
            editor.set_inputs(behind, [operator.output, _constant(first.name, values)])
    return changed


def _fold_back(editor: Editor, operator: Operator) -> None:
    """Fold a constant into the kernel and bias of what is before it."""
    maker = editor.producer(operator.inputs[0])
    if maker is None or maker.kind not in WEIGHTED or editor.only_consumer(maker.output) is not operator:
        return
    values = _by_channel(operator.inputs[1], maker.output.shape[-1])
    if values is None or maker.options["fused_activation_function"] != "NONE":
        return
    kernel, bias = maker.kernel, maker.bias
    if operator.kind == "MUL":
        axes = [1] * len(kernel.shape)
        axes[CHANNEL_AXES[maker.kind]] = -1
        kernel = _scaled(kernel, values.reshape(axes))
        bias = _constant(bias.name, _double(bias) * values)
    else:
        bias = _constant(bias.name, _double(bias) + values)
    editor.set_inputs(maker, maker.weighted_inputs(maker.source, kernel, bias))
    editor.take_over(maker, operator)


def _fold_product_forward(editor: Editor, operator: Operator) -> None:
    """Fold a factor into the kernel of what is behind it; where it pads, it pads with zeros, which stay zeros."""
    taker = editor.only_consumer(operator.output)
    factors = _values_for(operator, taker)
    if factors is not None:
        kernel = _scaled(taker.kernel, _by_input(taker, factors))
        editor.set_inputs(taker, taker.weighted_inputs(operator.inputs[0], kernel, taker.bias))
        editor.remove(operator)


def _fold_sum_forward(editor: Editor, operator: Operator) -> None:
    """Fold a summand into the bias of what is behind it, if that pads nothing."""
    taker = editor.only_consumer(operator.output)
    summands = _values_for(operator, taker)
    if summands is None or not _pads_nothing(taker):
        return
    _, kernel, bias = taker.inputs
    axes = tuple(axis for axis in range(len(kernel.shape)) if axis != CHANNEL_AXES[taker.kind])
    added = (_double(kernel) * _by_input(taker, summands)).sum(axes)
    editor.set_inputs(taker, [operator.inputs[0], kernel, _constant(bias.name, _double(bias) + added)])
    editor.remove(operator)


def _pads_nothing(operator: Operator) -> bool:
    if operator.kind == "TRANSPOSE_CONV":
        return False  # pixels at the edge add fewer products
    pixel = operator.kind != "FULLY_CONNECTED" and operator.kernel.shape[1:3] == (1, 1)
    return pixel or operator.options.get("padding", "VALID") == "VALID"


def _values_for(operator: Operator, taker: Operator | None) -> np.ndarray | None:
    """Return a constant as a value for each channel that `taker` takes, if it can take it in."""
    if taker is None or taker.kind not in WEIGHTED or taker.source is not operator.output:
        return None
    channels = operator.output.shape[-1]
    if taker.kind == "FULLY_CONNECTED" and taker.kernel.shape[1] != channels:
        return None
    return _by_channel(operator.inputs[1], channels)


def _by_input(taker: Operator, values: np.ndarray) -> np.ndarray:
    """Return values of input channels so that they fit the kernel."""
    kernel = taker.kernel.shape
    if taker.kind == "DEPTHWISE_CONV_2D":
        return np.repeat(values, kernel[3] // len(values))
    inside = kernel[-1]  # the channels of a group
    groups = len(values) // inside
    by_group = np.repeat(values.reshape(groups, inside), kernel[0] // groups, axis=0)
    return by_group.reshape(kernel[0], *(len(kernel) - 2) * (1,), inside)


def _by_channel(constant: Tensor, channels: int) -> np.ndarray | None:
    if constant.size != 1 and (constant.size != channels or constant.shape[-1:] != (channels,)):
        return None
    return np.broadcast_to(_double(constant).reshape(-1), (channels,))


def _scaled(kernel: Tensor, factors: np.ndarray) -> Tensor:
    """Return a kernel times factors of float64, each product rounded once, without a copy of the kernel in float64."""
    values = np.empty(kernel.shape, "float32")
    np.multiply(kernel.data, factors, out=values, casting="same_kind")
    return Tensor(kernel.name, values.shape, values)


def _double(tensor: Tensor) -> np.ndarray:
    return tensor.data.astype("float64")


def _constant(name: str, values: np.ndarray) -> Tensor:
    # float64 until all is folded, so that each is rounded once.
    values = np.ascontiguousarray(values, "float64")
    return Tensor(name, values.shape, values)
