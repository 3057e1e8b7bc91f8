"""Fewer operators that compute the same: hard-swish, leaky ReLU, folded numbers, fused activations, fewer reshapes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_lite.litert import Operator, Tensor
from keras_lite.quantization.lower.simplifying.editor import Editor
from keras_lite.quantization.lower.simplifying.folding import fold_numbers, number_of
from keras_lite.quantization.lower.simplifying.reversals import fold_reversals

_FUSED = {"RELU": "RELU", "RELU6": "RELU6"}
FUSING = ("ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "DIV", "FULLY_CONNECTED", "MUL", "SUB", "TRANSPOSE_CONV")
_REDUCING = ("MEAN", "REDUCE_MAX")
_COMPARED = 4096  # constants with more values are equal only if they are one object


def simplify(operators: Sequence[Operator], outputs: Sequence[Tensor]) -> list[Operator]:
    """Return operators that compute the same outputs, in order.

    Args:
        operators: The operators. They are changed.
        outputs: What must be computed.

    Example:

    >>> x, y, z = (Tensor(name, (1, 4)) for name in "xyz")
    >>> sum_of = Operator("ADD", [x, x], [y], {"fused_activation_function": "NONE"})
    >>> [operator.kind for operator in simplify([sum_of, Operator("RELU", [y], [z])], [z])]
    ['ADD']
    """
    editor = Editor(operators, outputs)
    _compute_once(editor)
    _slice_channels(editor)
    _find_hard_swish(editor)
    _find_leaky_relu(editor)
    fold_reversals(editor)
    _pad_in_convolutions(editor)
    fold_numbers(editor)
    _fuse_activations(editor)
    _simplify_reshapes(editor)
    for operator in reversed(editor):
        if not editor.is_used(operator):
            editor.remove(operator)
    return list(editor)


def _compute_once(editor: Editor) -> None:
    seen: dict[Any, Operator] = {}
    for operator in editor:
        key = (operator.kind, tuple(map(_identity, operator.inputs)), tuple(sorted(operator.options.items())))
        first = seen.setdefault(key, operator)
        if first is not operator and not editor.is_output(operator.output):
            editor.replace(operator.output, first.output)
            editor.remove(operator)


def _identity(tensor: Tensor) -> Any:
    if not tensor.is_constant or tensor.size > _COMPARED:
        return id(tensor)
    return tensor.dtype, tensor.shape, tensor.data.tobytes()


def _find_hard_swish(editor: Editor) -> None:
    """x * (relu6(x + 3) / 6) and x * relu6(x + 3) / 6, written out, are HARD_SWISH."""
    for operator in editor:
        if operator.kind != "MUL" or operator.options["fused_activation_function"] != "NONE":
            continue
        by_sixth, rest = number_of(operator), operator.inputs[0]
        if by_sixth is not None and abs(by_sixth - 1.0 / 6.0) < 1e-6:
            product = editor.made_for(rest, "MUL", operator)
            found = product and _gated(editor, product, product, [product])
        else:
            found = _gated_by_sixth(editor, operator)
        if found:
            x, inside = found
            operator.kind, operator.options = "HARD_SWISH", {}
            editor.set_inputs(operator, [x])
            for each in inside:
                editor.remove(each)


def _find_leaky_relu(editor: Editor) -> None:
    """The larger of x and a share of it is LEAKY_RELU."""
    for operator in editor:
        for x, share in (operator.inputs, operator.inputs[::-1]) if operator.kind == "MAXIMUM" else ():
            product = None if share.is_constant else editor.producer(share)
            slope = number_of(product) if product is not None and product.kind == "MUL" else None
            plain = slope is not None and product.options["fused_activation_function"] == "NONE"
            if plain and 0.0 <= slope <= 1.0 and product.inputs[0] is x:
                operator.kind, operator.options = "LEAKY_RELU", {"alpha": slope}
                editor.set_inputs(operator, [x])
                break


def _gated_by_sixth(editor: Editor, product: Operator) -> tuple[Tensor, list[Operator]] | None:
    """Return x and the operators in between, if `product` is x * (relu6(x + 3) / 6)."""
    for gate in product.inputs:
        scaled = editor.made_for(gate, "MUL", product)
        number = None if scaled is None else number_of(scaled)
        if number is not None and abs(number - 1.0 / 6.0) < 1e-6:
            return _gated(editor, scaled, product, [scaled], scaled.inputs[0])
    return None


def _gated(
    editor: Editor, consumer: Operator, product: Operator, inside: list[Operator], gate: Tensor | None = None
) -> tuple[Tensor, list[Operator]] | None:
    """Return x and the operators in between, if a gate of `product` is relu6(x + 3) and its other input x."""
    for cut in [gate] if gate is not None else product.inputs:
        relu6 = editor.made_for(cut, "RELU6", consumer)
        shifted = relu6 and editor.made_for(relu6.inputs[0], "ADD", relu6)
        if shifted and number_of(shifted) == 3.0 and any(each is shifted.inputs[0] for each in product.inputs):
            return shifted.inputs[0], [*inside, relu6, shifted]
    return None


def _pad_in_convolutions(editor: Editor) -> None:
    """Zeros around an image that are those which `"SAME"` puts there are left to the convolution."""
    for operator in editor:
        padding = editor.producer(operator.inputs[0])
        if operator.options.get("padding") != "VALID" or operator.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            continue
        if padding is None or padding.kind != "PAD":
            continue
        image, widths = padding.inputs[0], padding.inputs[1].data.tolist()
        if widths == [[0, 0], *_same_padding(operator, image.shape), [0, 0]]:
            operator.options["padding"] = "SAME"
            editor.set_inputs(operator, [image, *operator.inputs[1:]])
            if not editor.is_used(padding):
                editor.remove(padding)


def _same_padding(operator: Operator, shape: tuple[int, ...]) -> list[list[int]]:
    """Return how many rows and columns of zeros `"SAME"` puts before and behind an image."""
    widths = []
    for axis, side in ((1, "h"), (2, "w")):
        stride = operator.options[f"stride_{side}"]
        reach = (operator.inputs[1].shape[axis] - 1) * operator.options[f"dilation_{side}_factor"] + 1
        total = max(0, (-(-shape[axis] // stride) - 1) * stride + reach - shape[axis])
        widths.append([total // 2, total - total // 2])
    return widths


def _fuse_activations(editor: Editor) -> None:
    for operator in editor:
        if operator.kind not in _FUSED:
            continue
        maker = editor.producer(operator.inputs[0])
        free = maker is not None and maker.options.get("fused_activation_function") == "NONE"
        if free and maker.kind in FUSING and editor.only_consumer(maker.output) is operator:
            maker.options["fused_activation_function"] = _FUSED[operator.kind]
            editor.take_over(maker, operator)


def _slice_channels(editor: Editor) -> None:
    """Channels that are sliced between two reshapes, as a Keras layer has to, are sliced where they are."""
    for operator in editor:
        if operator.kind != "SLICE" or len(operator.output.shape) != 4:
            continue
        unfold, fold = editor.producer(operator.inputs[0]), editor.only_consumer(operator.output)
        if not (unfold and unfold.kind == "RESHAPE" and fold and fold.kind == "RESHAPE"):
            continue
        image, begin = unfold.inputs[0], operator.inputs[1].data
        _, height, width, channels = image.shape if len(image.shape) == 4 else (0, 0, 0, 0)
        count = operator.output.shape[2]
        whole = (unfold.output.shape, operator.output.shape, fold.output.shape) == (
            (1, height * width, channels, 1),
            (1, height * width, count, 1),
            (1, height, width, count),
        )
        if whole:
            name = fold.name
            values = [begin[[0, 1, 3, 2]], operator.inputs[2].data.copy()]
            values[1][:] = fold.output.shape
            constants = [
                Tensor(f"{name}/{role}", (4,), value) for role, value in zip(("begin", "size"), values, strict=True)
            ]
            editor.set_inputs(operator, [image, *constants])
            editor.take_over(operator, fold)


def _simplify_reshapes(editor: Editor) -> None:
    for operator in editor:
        if operator.kind == "TRANSPOSE" and _moves_nothing(operator):
            operator.kind, shape = "RESHAPE", np.array(operator.output.shape, "int32")
            editor.set_inputs(operator, [operator.inputs[0], Tensor(f"{operator.name}/shape", shape.shape, shape)])
    for operator in editor:
        if operator.kind != "RESHAPE":
            continue
        before = editor.producer(operator.inputs[0])
        alone = before is not None and editor.only_consumer(operator.inputs[0]) is operator
        if alone and before.kind == "RESHAPE":
            editor.set_inputs(operator, [before.inputs[0], operator.inputs[1]])
            editor.remove(before)
            before = editor.producer(operator.inputs[0])
            alone = before is not None and editor.only_consumer(operator.inputs[0]) is operator
        if operator.inputs[0].shape == operator.output.shape:
            _leave_out(editor, operator, before if alone else None)
        elif alone and before.kind in _REDUCING and not before.options["keep_dims"] and _keeps_axes(before, operator):
            before.options["keep_dims"] = True
            editor.take_over(before, operator)
        else:
            _flatten_in_dense(editor, operator)


def _moves_nothing(transpose: Operator) -> bool:
    """Return whether a transposition moves only axes of length 1."""
    shape = transpose.inputs[0].shape
    kept = [axis for axis in transpose.inputs[1].data.tolist() if shape[axis] > 1]
    return kept == sorted(kept)


def _leave_out(editor: Editor, operator: Operator, before: Operator | None) -> None:
    if before is not None:
        editor.take_over(before, operator)
    elif not editor.is_output(operator.output):
        editor.replace(operator.output, operator.inputs[0])
        editor.remove(operator)


def _keeps_axes(reducing: Operator, reshape: Operator) -> bool:
    axes = set(reducing.inputs[1].data.tolist())
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(reducing.inputs[0].shape))
    return reshape.output.shape == kept


def _flatten_in_dense(editor: Editor, operator: Operator) -> None:
    """A dense layer flattens a map of one pixel itself."""
    dense = editor.only_consumer(operator.output)
    source = operator.inputs[0]
    if dense is None or dense.kind != "FULLY_CONNECTED" or dense.options["keep_num_dims"]:
        return
    if source.shape[-1] == math.prod(source.shape) == dense.inputs[1].shape[1]:
        editor.set_inputs(dense, [source, *dense.inputs[1:]])
        editor.remove(operator)
