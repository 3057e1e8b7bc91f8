"""Numbers that multiply and add along one axis, wherever it is, as depthwise convolutions: the most exact in int8."""

import math

import numpy as np

from keras_lite.litert import Operator, Tensor
from keras_lite.quantization.lower.int8.state import State


def channel_axis(operator: Operator) -> int | None:
    """Return the one axis along which an operator has a number for each index; None if there is none."""
    x, other = operator.inputs
    rank = len(operator.output.shape)
    if not other.is_constant or x.shape != operator.output.shape or rank > 4:
        return None
    shape = (*[1] * (rank - len(other.shape)), *other.shape)
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    return axes[0] if len(axes) == 1 and axes[0] else None


def along_axis(state: State, operator: Operator, x: Tensor, scale: np.ndarray, offset: np.ndarray) -> Tensor:
    """Add what multiplies and adds along the one axis of an operator: as an image whose channels are that axis."""
    name, build, axis, rank = operator.name, state.build, channel_axis(operator), len(x.shape)
    order = [*(each for each in range(rank) if each != axis), axis]
    y = x if axis == rank - 1 else build.transpose(x, order, f"{name}/turned")
    turned = y.shape
    y = build.reshape(y, (1, math.prod(turned[1:-1]), 1, turned[-1]), f"{name}/image")
    y = state.channelwise(y, scale, offset, f"{name}/channels")
    kind = operator.options["fused_activation_function"]
    y = y if kind == "NONE" else build.add(kind, [y], y.shape, f"{name}/activation")
    y = build.reshape(y, turned, name if axis == rank - 1 else f"{name}/back")
    return y if axis == rank - 1 else build.transpose(y, np.argsort(order), name)
