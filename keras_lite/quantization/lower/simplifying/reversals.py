"""Turned channels, as where colors are swapped: given to the kernel that takes them, or handed on to one."""

import numpy as np

from keras_lite.litert import Operator, Tensor
from keras_lite.quantization.lower.simplifying.editor import Editor

# Kinds that treat all channels alike: what turns the channels before them may as well do so behind.
_ALIKE = frozenset(
    (
        "ABS", "AVERAGE_POOL_2D", "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "PAD",
        "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "TANH",
    )
)  # fmt: skip


def fold_reversals(editor: Editor) -> None:
    """Leave out operators that turn the channels, where a convolution or dense layer can have its kernel turned.

    On the way numbers by channel are turned. Where no kernel takes the channels, they are turned at the last place that
    can do so.
    """
    for operator in editor:
        if operator.kind != "REVERSE_V2" or operator.inputs[1].data.tolist() != [len(operator.output.shape) - 1]:
            continue
        _go_on(editor, operator)


def _go_on(editor: Editor, reversal: Operator) -> None:
    """Take a reversal into what is behind it, or bring it behind that, where it is met again."""
    takers = editor.consumers(reversal.output)
    if takers and all(_takes_in(each, reversal) for each in takers):
        for each in dict.fromkeys(takers):
            inputs = each.weighted_inputs(reversal.inputs[0], _turned(each.kernel), each.bias)
            editor.set_inputs(each, inputs)
        editor.remove(reversal)
        return
    taker = editor.only_consumer(reversal.output)
    if taker is None or taker.source is not reversal.output:
        return
    channels = reversal.output.shape[-1]
    if taker.kind == "REVERSE_V2" and np.array_equal(taker.inputs[1].data, reversal.inputs[1].data):
        if not editor.is_output(taker.output):
            editor.replace(taker.output, reversal.inputs[0])
            editor.remove(taker)
            editor.remove(reversal)
    elif taker.kind in ("ADD", "MUL", "SUB") and taker.inputs[1].is_constant and taker.output.shape[-1] == channels:
        number = taker.inputs[1]
        number = _turned(number) if number.shape[-1:] == (channels,) else number
        _behind(editor, reversal, taker, [reversal.inputs[0], number])
    elif taker.kind == "DEPTHWISE_CONV_2D" and taker.output.shape[-1] == channels:
        _behind(editor, reversal, taker, [reversal.inputs[0], _turned(taker.kernel), _turned(taker.bias)])
    elif taker.kind in _ALIKE and taker.output.shape[-1] == channels and _keeps_channels(taker):
        _behind(editor, reversal, taker, [reversal.inputs[0], *taker.inputs[1:]])


def _takes_in(taker: Operator, reversal: Operator) -> bool:
    """Return whether an operator can have its kernel turned instead."""
    weighted = taker.kind in ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED") and taker.source is reversal.output
    return weighted and taker.kernel.is_constant and taker.kernel.shape[-1] == reversal.output.shape[-1]


def _keeps_channels(operator: Operator) -> bool:
    return operator.kind != "PAD" or not operator.inputs[1].data[-1].any()


def _behind(editor: Editor, reversal: Operator, taker: Operator, inputs: list[Tensor]) -> None:
    """Have an operator compute on channels that are not turned yet, and turn what it makes."""
    axes = reversal.inputs[1]
    # The two change places in the list by changing what they are.
    first, behind = (Operator(each.kind, [], [], dict(each.options), each.layer) for each in (taker, reversal))
    editor.set_inputs(reversal, inputs)
    between = reversal.output
    between.shape, between.name = taker.output.shape, f"{taker.name}/unturned"
    editor.set_inputs(taker, [between, axes])
    for operator, new in ((reversal, first), (taker, behind)):
        operator.kind, operator.options, operator.layer = new.kind, new.options, new.layer


def _turned(tensor: Tensor) -> Tensor:
    """Return a constant with its last axis turned; the kernel's last axis is that of the channels it takes."""
    values = np.ascontiguousarray(tensor.data[..., ::-1])
    return Tensor(tensor.name, tensor.shape, values)
