"""Rounding whose gradients go straight through, and the limits and factors of int8, on any backend.

Whole numbers are held in float32. What is divided by or divides a constant is written with a `one` that is computed:
compilers turn `x / 127` and `1 / x` into products of rounded reciprocals, which is not what the file has. Likewise a
product that something is added to is a `product`.
"""

import functools
import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_lite.errors import import_extra
from keras_lite.litert.scheme import HIGHEST, LOWEST

# Between what numbers a fused activation cuts, None where it does not.
CUTS = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}
# A bias has at most 30 bits beside its sign, so that sums have the rest; if its scale is given, as many as int32 has.
_BIAS_STEPS = 2.0**30
_MOST_BIAS_STEPS = float(np.nextafter(np.float32(2.0**31), np.float32(0.0)))
_TINY = float(np.finfo("float32").tiny)
# Below all products.
_LOWEST_PRODUCT = -3e38
# Numbers of an image, or of a kernel, from which on it pays to start a compiled function.
_LARGE = 1 << 14


def in_one_pass(function: Callable) -> Callable:
    """Return a function of tensors that goes over memory once, and has no gradient.

    TensorFlow computes operation by operation unless all is compiled, which does not pay for convolutions on a CPU. So
    that function alone is compiled. JAX does so by itself.

    Args:
        function: Takes and returns tensors.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    tf = import_extra("tensorflow", "tensorflow")
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def compute(*tensors):
        size = math.prod(each for each in tensors[0].shape if each is not None)
        if size < _LARGE or tf.executing_eagerly():  # what is called once is not worth compiling
            return function(*tensors)
        return compiled(*map(tf.stop_gradient, tensors))

    return compute


def cut_off(whole, low, high):
    """Return numbers cut off at two ends, and where they were not.

    The second is a tensor of its own for gradients to hold: PyTorch never frees an output that its gradient holds.
    """
    cut = ops.minimum(ops.maximum(whole, low), high)
    return cut, ops.equal(whole, cut)


@in_one_pass
def _rounded(values, low, high, factor):
    return cut_off(ops.round(values * factor), low, high)


@in_one_pass
def through(kept, upstream, factor):
    """Return the gradient of what was multiplied by a factor and rounded: zero where it was cut off.

    Args:
        kept: Where it was not.
        upstream: The gradient of the outcome.
        factor: One number, or one for each channel.
    """
    return ops.where(kept, upstream, ops.zeros_like(upstream)) * factor


@ops.custom_gradient
def _rounded_product(values, low, high, factor):
    cut, kept = _rounded(values, low, high, factor)

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        return through(kept, upstream, factor), *(ops.zeros_like(each) for each in (low, high, factor))

    return cut, gradient


def rounded(values, low, high, factor=1.0, learned: bool = False):
    """Return values times a factor, rounded to whole numbers, halves to even, and cut off.

    Gradients go straight through, but what was cut off has a gradient of zero.

    Args:
        values: A tensor.
        low: The lowest whole number, a tensor of one number.
        high: The highest.
        factor: One number, or one for each channel.
        learned: Whether the factor and the ends have gradients too, which takes longer.
    """
    factor = ops.convert_to_tensor(factor)
    if not learned:
        return _rounded_product(values, low, high, factor)
    cut, _ = _rounded(*map(ops.stop_gradient, (values, low, high, factor)))
    return in_place_of(ops.minimum(ops.maximum(values * factor, low), high), cut)


@in_one_pass
def _rounded_sums(sums, bias, low, high, factor):
    return cut_off(ops.round((sums + bias) * factor), low, high)


@ops.custom_gradient
def rounded_sums(sums, bias, low, high, factor):
    """Return what `rounded` makes of the sum of a tensor and a bias.

    Args:
        sums: A tensor, channels last.
        bias: A number for each channel.
        low: As for `rounded`.
        high: As for `rounded`.
        factor: One number for each channel.
    """
    cut, kept = _rounded_sums(sums, bias, low, high, factor)

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        with_sums = through(kept, upstream, factor)
        with_bias = ops.sum(with_sums, tuple(range(len(with_sums.shape) - 1)))
        return with_sums, with_bias, *(ops.zeros_like(each) for each in (low, high, factor))

    return cut, gradient


@ops.custom_gradient
def _stand_in(values, whole, factor):
    """Return whole numbers, with gradients as if they were values times a factor."""

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        return upstream * factor, ops.zeros_like(whole), ops.zeros_like(factor)

    return whole + 0.0, gradient


def rounded_up(values):
    """Return values rounded to whole numbers, halves up, with the gradient of the values themselves."""
    return in_place_of(values, ops.stop_gradient(ops.floor(values + 0.5)))


def in_place_of(values, rounded_values):
    """Return rounded values, with the gradient of the values themselves."""
    return _stand_in(values, rounded_values, ops.ones(()))


def one_of(scale):
    """Return 1.0, computed from a scale, which is above zero."""
    return ops.sign(scale)


def divided(values, scale):
    """Return values divided by one number. Unless that has their shape, XLA multiplies by its reciprocal instead."""
    return values / (scale * ops.sign(ops.abs(values) + 1.0))


def product(values, factor):
    """Return a product that is rounded before it is added to something, or multiplied on.

    Compilers round a product and its sum once, and multiply constants of two products first. What comes between keeps
    them from that.
    """
    return ops.maximum(values * factor, _LOWEST_PRODUCT)


def limits(activation: str, scale, zero_point, learned: bool = False):
    """Return the lowest and the highest number of steps from zero that int8 and an activation let through.

    Args:
        activation: The fused one: `"NONE"`, `"RELU"`, ...
        scale: Of the output.
        zero_point: Of the output.
        learned: Whether the scale has a gradient.
    """
    ends = []
    for value, end in zip(CUTS[activation], (float(LOWEST), float(HIGHEST)), strict=True):
        if value is not None:
            exact = value * one_of(scale) / scale + zero_point
            end = ops.round(exact)
            if learned:
                end = in_place_of(exact, ops.stop_gradient(end))
            end = ops.minimum(ops.maximum(end, float(LOWEST)), float(HIGHEST))
        ends.append(end - zero_point)
    return ends


def whole_weights(kernel, bias, source_scale, axes: tuple[int, ...], scales=None, learned: bool = False):
    """Return a kernel and a bias as whole numbers, and the kernel's scales, as the file has them.

    The whole numbers have the gradients of the numbers they stand for. See `keras_lite.litert.quantize_weights` for the
    rule.

    Args:
        kernel: The kernel, with the output channels last.
        bias: A number for each of them, in the shape that the kernel has there.
        source_scale: The scale of what is multiplied with the kernel.
        axes: Those of the kernel that are no output channels.
        scales: The kernel's, in the shape of the bias; what does not fit in is cut off and has a gradient of zero.
            None: such that the largest number of each channel just fits in.
        learned: Whether the scales have a gradient.
    """
    kernel, bias = ops.convert_to_tensor(kernel), ops.convert_to_tensor(bias)
    values = [ops.stop_gradient(each) for each in (kernel, bias, source_scale)]
    if scales is None:
        whole, whole_bias, scales, inverse, bias_inverse = _whole_weights(axes)(*values)
        return _stand_in(kernel, whole, inverse), _stand_in(bias, whole_bias, bias_inverse), scales
    one, fixed = one_of(values[2]), ops.stop_gradient(scales)
    inverse, steps = one / fixed, values[2] * fixed
    whole_bias, _ = cut_off(_away(values[1] / steps), -_MOST_BIAS_STEPS, _MOST_BIAS_STEPS)
    if not learned:
        kernel = ops.reshape(kernel, kernel.shape)  # on TensorFlow a tensor of what still is a variable
        return _rounded_away(kernel, inverse), _stand_in(bias, whole_bias, one / steps), scales
    whole, kept = _whole_by_factor(values[0], inverse)
    # Not by minimum and maximum: at the very ends JAX and PyTorch give half a gradient.
    exact = ops.where(kept, kernel * (one / scales), ops.stop_gradient(whole))
    return in_place_of(exact, whole), in_place_of(bias * (one / (source_scale * scales)), whole_bias), scales


@in_one_pass
def _whole_by_factor(kernel, factor):
    return cut_off(_away(kernel * factor), -float(HIGHEST), float(HIGHEST))


@ops.custom_gradient
def _rounded_away(kernel, factor):
    """Return a kernel times a factor in whole numbers, whose gradient is zero where they were cut off."""
    whole, kept = _whole_by_factor(kernel, factor)

    def gradient(*arguments, upstream=None):
        upstream = arguments[0] if upstream is None else upstream
        return through(kept, upstream, factor), ops.zeros_like(factor)

    return whole, gradient


@functools.cache
def _whole_weights(axes: tuple[int, ...]) -> Callable:
    @in_one_pass
    def compute(kernel, bias, source_scale):
        one = one_of(source_scale)
        largest = ops.maximum(ops.max(kernel, axes), -ops.min(kernel, axes))
        # So wide that the bias fits in.
        least = ops.abs(bias) / (source_scale * _BIAS_STEPS)
        scales = ops.maximum(divided(largest, float(HIGHEST) * one), least)
        scales = ops.where(scales < _TINY, ops.ones_like(scales), scales)
        inverse, steps = one / scales, source_scale * scales
        return _away(kernel * inverse), _away(bias / steps), scales, inverse, one / steps

    return compute


def _away(values):
    """Return values rounded to whole numbers, halves away from zero, as `keras_lite.litert.scheme.round_away` does."""
    sizes = ops.abs(values)
    whole = ops.floor(sizes)
    return ops.sign(values) * (whole + ops.cast(ops.greater_equal(sizes - whole, 0.5), sizes.dtype))
