"""What int8 operators compute that hand numbers on, in steps from zero: turned, mirrored, taken, reduced.

Each function takes a `Call`, which says how, and a `Steps`, as those in `computations` do.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_lite.quantization.aware.keras_native.rounding import product


def _places(call: Any, source: Any) -> tuple[int, ...]:
    return tuple(sorted({int(axis) % len(source.steps.shape) for axis in call.integers[0].ravel()}))


def _extreme(function: Callable) -> Callable:
    return lambda call, source: ops.reshape(function(source.steps, _places(call, source)), (-1, *call.shape))


def _reverse(call: Any, source: Any):
    return ops.flip(source.steps, _places(call, source))


def _gather(call: Any, source: Any):
    axis = call.options.get("axis", 0) % (len(call.shape) + 1)
    return ops.take(source.steps, call.integers[0], axis)


def _mirror_pad(call: Any, source: Any):
    # Not by ops.pad: on PyTorch Keras 3.15.1 repeats the edge where it is asked for "symmetric".
    steps = source.steps
    for axis, amounts in enumerate(call.integers[0].tolist()):
        if any(amounts):
            places = np.pad(np.arange(steps.shape[axis]), amounts, call.options["mode"].lower())
            steps = ops.take(steps, places, axis)
    return steps


def _strided_slice(call: Any, source: Any):
    begins, ends, steps = (each.tolist()[1:] for each in call.integers)
    return source.steps[(slice(None), *map(slice, begins, ends, steps))]


def _depth_to_space(call: Any, source: Any):
    size, (height, width, channels) = call.options["block_size"], source.steps.shape[1:]
    squares = ops.reshape(source.steps, (-1, height, width, size, size, channels // size**2))
    return ops.reshape(ops.transpose(squares, (0, 1, 3, 2, 4, 5)), (-1, *call.shape))


def _space_to_depth(call: Any, source: Any):
    size, (height, width, channels) = call.options["block_size"], source.steps.shape[1:]
    squares = ops.reshape(source.steps, (-1, height // size, size, width // size, size, channels))
    return ops.reshape(ops.transpose(squares, (0, 1, 3, 2, 4, 5)), (-1, *call.shape))


def total(call: Any, source: Any, divided: bool = False):
    """Compute SUM, or MEAN if `divided`."""
    axes = _places(call, source)
    count = math.prod(source.steps.shape[axis] for axis in axes)
    factor = source.scale / call.scale
    if divided:
        factor = factor * float(np.float32(1.0) / np.float32(count))
    # As XNNPACK sums: the integers themselves, whose zero point is taken away afterwards.
    zeros = product(source.zero_point, float(count))
    sums, offset = ops.sum(source.steps, axes) + zeros, call.zero_point - product(zeros, factor)
    return ops.reshape(call.rounded_with_zero_point(product(sums, factor) + offset), (-1, *call.shape))


MOVING: dict[str, Callable] = {
    "DEPTH_TO_SPACE": _depth_to_space,
    "GATHER": _gather,
    "MIRROR_PAD": _mirror_pad,
    "REDUCE_MAX": _extreme(ops.max),
    "REDUCE_MIN": _extreme(ops.min),
    "REVERSE_V2": _reverse,
    "SPACE_TO_DEPTH": _space_to_depth,
    "STRIDED_SLICE": _strided_slice,
    "SUM": total,
}
