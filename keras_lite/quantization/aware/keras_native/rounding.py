"""Rounding whose gradients go straight through, and the limits and factors of int8, on any backend.

Whole numbers are held in float32. What is divided by or divides a constant is written with a `one` that is computed:
compilers turn `x / 127` and `1 / x` into products of rounded reciprocals, which is not what the file has.
"""

import numpy as np
from keras import ops

from keras_lite.litert.scheme import HIGHEST, LOWEST

# Between what numbers a fused activation cuts, None where it does not.
CUTS = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
# A bias has at most 30 bits beside its sign, so that sums have the rest.
_BIAS_STEPS = 2.0**30
_TINY = float(np.finfo("float32").tiny)


@ops.custom_gradient
def rounded(values, low, high):
    """Return values rounded to whole numbers, halves to even, and cut off; what was cut off has a gradient of zero.

    Args:
        values: A tensor.
        low: The lowest whole number, a tensor of one number.
        high: The highest.
    """
    whole = ops.round(values)
    cut = ops.minimum(ops.maximum(whole, low), high)
    # A tensor of its own: PyTorch never frees an output that its gradient holds.
    kept = ops.equal(whole, cut)

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        return ops.where(kept, upstream, ops.zeros_like(upstream)), ops.zeros_like(low), ops.zeros_like(high)

    return cut, gradient


def _straight_through(function):
    """Return a function of a tensor whose gradient is that of the tensor itself."""

    @ops.custom_gradient
    def compute(values):
        def gradient(*arguments, upstream=None):
            return arguments[0] if upstream is None else upstream

        return function(values), gradient

    return compute


# Whole numbers next to those of a tensor, halves away from zero, with the gradient of the tensor itself.
rounded_away = _straight_through(lambda values: ops.sign(values) * ops.floor(ops.abs(values) + 0.5))
# The same, halves up.
rounded_up = _straight_through(lambda values: ops.floor(values + 0.5))


def one_of(scale):
    """Return 1.0, computed from a scale, which is above zero."""
    return ops.sign(scale)


def limits(activation: str, scale, zero_point):
    """Return the lowest and the highest number of steps from zero that int8 and an activation let through.

    Args:
        activation: The fused one: `"NONE"`, `"RELU"`, ...
        scale: Of the output.
        zero_point: Of the output.
    """
    ends = []
    for value, end in zip(CUTS[activation], (float(LOWEST), float(HIGHEST)), strict=True):
        if value is not None:
            end = ops.round(value * one_of(scale) / scale + zero_point)
            end = ops.minimum(ops.maximum(end, float(LOWEST)), float(HIGHEST))
        ends.append(end - zero_point)
    return ends


def kernel_scales(kernel, bias, source_scale, axes: tuple[int, ...]):
    """Return the scale of each channel of a kernel, as `keras_lite.litert.quantize_weights` chooses it.

    Args:
        kernel: The kernel, with the output channels last.
        bias: A number for each of them, in the shape that the kernel has there.
        source_scale: The scale of what is multiplied with the kernel.
        axes: Those of the kernel that are no output channels.
    """
    kernel, bias, source_scale = (ops.stop_gradient(each) for each in (kernel, bias, source_scale))
    largest = ops.maximum(ops.max(kernel, axes), -ops.min(kernel, axes))
    least = ops.abs(bias) / (source_scale * _BIAS_STEPS)
    scales = ops.maximum(largest / (float(HIGHEST) * one_of(source_scale)), least)
    return ops.where(scales < _TINY, ops.ones_like(scales), scales)


def whole_weights(kernel, bias, source_scale, axes: tuple[int, ...]):
    """Return a kernel and a bias as whole numbers, and the scales of the kernel's channels.

    The whole numbers have the gradients of the numbers they stand for, the scales have none.

    Args:
        kernel: As for `kernel_scales`.
        bias: As for `kernel_scales`.
        source_scale: As for `kernel_scales`.
        axes: As for `kernel_scales`.
    """
    scales = kernel_scales(kernel, bias, source_scale, axes)
    whole = rounded_away(kernel * (one_of(source_scale) / scales))
    return whole, rounded_away(bias / (source_scale * scales)), scales
