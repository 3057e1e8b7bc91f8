"""Operators that hand numbers on as they are: to another place, in another shape, or several times."""

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer.rounding import Compute, check_same_scheme, same_scheme, zero_of
from keras_lite.litert.operators import Operator


def reshape(operator: Operator) -> Compute:
    """Compute RESHAPE, and what else keeps the order of all numbers."""
    check_same_scheme(operator, operator.inputs[0])
    return lambda integers, *_: integers.reshape(-1, *operator.output.shape)


def transpose(operator: Operator) -> Compute:
    """Compute TRANSPOSE."""
    check_same_scheme(operator, operator.inputs[0])
    order = [0, *(int(axis) + 1 for axis in operator.inputs[1].data)]
    return lambda integers, *_: np.ascontiguousarray(integers.transpose(order))


def pad(operator: Operator) -> Compute:
    """Compute PAD, which pads with the zero point."""
    check_same_scheme(operator, operator.inputs[0])
    amounts = [(0, 0), *operator.inputs[1].data.tolist()]
    filling = 0 if operator.output.quantization is None else zero_of(operator.output)
    return lambda integers, *_: np.pad(integers, amounts, constant_values=filling)


def mirror_pad(operator: Operator) -> Compute:
    """Compute MIRROR_PAD, which repeats the pixel at the edge if it is symmetric."""
    check_same_scheme(operator, operator.inputs[0])
    amounts, mode = [(0, 0), *operator.inputs[1].data.tolist()], operator.options["mode"].lower()
    return lambda integers, *_: np.pad(integers, amounts, mode=mode)


def reverse_v2(operator: Operator) -> Compute:
    """Compute REVERSE_V2."""
    check_same_scheme(operator, operator.inputs[0])
    axes = tuple(int(axis) % len(operator.output.shape) + 1 for axis in operator.inputs[1].data.ravel())
    return lambda integers, *_: np.ascontiguousarray(np.flip(integers, axes))


def gather(operator: Operator) -> Compute:
    """Compute GATHER of places that are constant."""
    source, places = operator.inputs
    check_same_scheme(operator, source)
    axis = operator.options.get("axis", 0) % len(source.shape) + 1
    return lambda integers, *_: np.take(integers, places.data, axis)


def slice_(operator: Operator) -> Compute:
    """Compute SLICE."""
    check_same_scheme(operator, operator.inputs[0])
    begins, sizes = (tensor.data.tolist() for tensor in operator.inputs[1:])
    places = tuple(
        slice(begin, None if size == -1 else begin + size) for begin, size in zip(begins, sizes, strict=True)
    )
    return lambda integers, *_: np.ascontiguousarray(integers[(slice(None), *places)])


def strided_slice(operator: Operator) -> Compute:
    """Compute STRIDED_SLICE; its masks say which ends are left out, and which axes are dropped."""
    check_same_scheme(operator, operator.inputs[0])
    if operator.options.get("ellipsis_mask", 0) or operator.options.get("new_axis_mask", 0):
        raise InputError(f"Expected {operator.name} without ellipsis and new axes, received {operator.options}.")
    masks = [operator.options.get(f"{name}_mask", 0) for name in ("begin", "end", "shrink_axis")]
    places: list[slice | int] = [slice(None)]
    for axis, (begin, end, step) in enumerate(zip(*(each.data.tolist() for each in operator.inputs[1:]), strict=True)):
        no_begin, no_end, dropped = (mask >> axis & 1 for mask in masks)
        places.append(begin if dropped else slice(None if no_begin else begin, None if no_end else end, step))
    return lambda integers, *_: np.ascontiguousarray(integers[tuple(places)])


def depth_to_space(operator: Operator) -> Compute:
    """Compute DEPTH_TO_SPACE: a square of pixels from the channels of each."""
    check_same_scheme(operator, operator.inputs[0])
    size = operator.options["block_size"]
    _, height, width, channels = operator.inputs[0].shape
    parts = (height, width, size, size, channels // size**2)

    def compute(integers: np.ndarray) -> np.ndarray:
        squares = integers.reshape(len(integers), *parts).transpose(0, 1, 3, 2, 4, 5)
        return np.ascontiguousarray(squares).reshape(-1, *operator.output.shape)

    return compute


def space_to_depth(operator: Operator) -> Compute:
    """Compute SPACE_TO_DEPTH: the pixels of a square as channels of one."""
    check_same_scheme(operator, operator.inputs[0])
    size = operator.options["block_size"]
    _, height, width, channels = operator.inputs[0].shape
    parts = (height // size, size, width // size, size, channels)

    def compute(integers: np.ndarray) -> np.ndarray:
        squares = integers.reshape(len(integers), *parts).transpose(0, 1, 3, 2, 4, 5)
        return np.ascontiguousarray(squares).reshape(-1, *operator.output.shape)

    return compute


def split(operator: Operator) -> Compute:
    """Compute SPLIT."""
    axis, source = operator.inputs
    check_same_scheme(operator, source)
    place = int(axis.data.item()) % len(source.shape) + 1
    return lambda _, integers: tuple(map(np.ascontiguousarray, np.split(integers, len(operator.outputs), place)))


def concatenation(operator: Operator) -> Compute:
    """Compute CONCATENATION of tensors in the output's scale; LiteRT runs no others in int8."""
    for tensor in operator.inputs:
        if not same_scheme(tensor, operator.output):
            schemes = f"{operator.output.quantization} for {operator.name}, received {tensor.quantization}"
            raise InputError(f"Expected {tensor.name} in the output's scale, {schemes}. Put a QUANTIZE before it.")
    axis = operator.options.get("axis", 0) % len(operator.output.shape) + 1

    def compute(*inputs: np.ndarray) -> np.ndarray:
        images = max(len(each) for each in inputs)
        return np.concatenate([np.broadcast_to(each, (images, *each.shape[1:])) for each in inputs], axis)

    return compute
