"""What int8 operators compute, in whole numbers of steps from zero held in float32, one function a kind.

Each takes a `Call`, which says how, and a `Steps` for each input that is no list of integers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_lite.litert.integer.resizing import nearest_places, places_between
from keras_lite.quantization.aware.keras_native.moving import MOVING, total
from keras_lite.quantization.aware.keras_native.rounding import (
    cut_off,
    in_one_pass,
    in_place_of,
    limits,
    one_of,
    product,
    rounded,
    rounded_up,
    through,
)


class Steps(NamedTuple):
    """Numbers as steps from zero: integers of int8 less their zero point.

    Args:
        steps: The numbers divided by the scale, whole, held in float32.
        scale: A tensor of one number.
        zero_point: A tensor of one number.
    """

    steps: Any
    scale: Any
    zero_point: Any


class Call(NamedTuple):
    """What an operator is computed with.

    Args:
        options: The operator's options.
        shape: Of its output, without the batch.
        integers: Its constants of int32, as arrays.
        scale: Of its output.
        zero_point: Of its output.
        number: The place of the input that is constant; None if none is.
        learned: Whether scales have gradients.
    """

    options: dict[str, Any]
    shape: tuple[int, ...]
    integers: list[np.ndarray]
    scale: Any
    zero_point: Any
    number: int | None
    learned: bool = False

    def limits(self):
        """Return the lowest and the highest number of steps that the output's range and activation let through."""
        activation = self.options.get("fused_activation_function", "NONE")
        return limits(activation, self.scale, self.zero_point, self.learned)

    def rounded(self, steps, factor=1.0):
        """Return steps times a factor, rounded to the output's, cut off by its range and activation."""
        return rounded(steps, *self.limits(), factor, self.learned)

    def rounded_with_zero_point(self, integers):
        """Return the output's steps from integers that hold its zero point and are not yet rounded."""
        ends = (end + self.zero_point for end in self.limits())
        return rounded(integers, *ends, learned=self.learned) - self.zero_point


# XNNPACK adds by factors of so many bits.
_SUM_BITS = 20
# Factors are between 2 to the first and to the last of these.
_EXPONENTS = np.arange(-20, 12)


def _exponent(factor):
    """Return the largest power of two that a factor reaches, as int32: 3 of 8.0 to 15.9."""
    reached = ops.greater_equal(factor, ops.convert_to_tensor(2.0**_EXPONENTS, "float32"))
    return ops.sum(ops.cast(reached, "int32")) + int(_EXPONENTS[0] - 1)


def _power(exponent):
    """Return 2.0 to an exponent from -31 to 31."""
    return ops.take(ops.convert_to_tensor(2.0 ** np.arange(-31, 32), "float32"), exponent + 31)


def _sum(sign: int) -> Callable:
    def compute(call: Call, first: Steps, second: Steps):
        factors = [each.scale / call.scale for each in (first, second)]
        # 2^shift is what brings the larger factor to 21 bits, where 32 bits hold the sums.
        shift = ops.minimum(_SUM_BITS - _exponent(ops.maximum(*factors)), 30)
        whole = [ops.cast(ops.round(factor * _power(shift)), "int32") for factor in (factors[0], sign * factors[1])]
        half = ops.left_shift(ops.ones_like(shift), shift - 1)
        ends = call.limits()
        one, other = first.steps, second.steps
        if call.number is None and one.shape[1:] != other.shape[1:]:
            one, other = one + ops.zeros_like(other), other + ops.zeros_like(one)
        if call.learned:
            cut, _ = _whole_sum(*map(ops.stop_gradient, (one, other, *whole, half, shift, *ends)))
            exact = one * factors[0] + sign * (other * factors[1])
            return in_place_of(ops.minimum(ops.maximum(exact, ends[0]), ends[1]), cut)

        @ops.custom_gradient
        def total(one, other):
            cut, kept = _whole_sum(one, other, *whole, half, shift, *ends)

            def gradient(*arguments, upstream=None):
                upstream = arguments[0] if upstream is None else upstream
                gradients = [through(kept, upstream, factor) for factor in (factors[0], sign * factors[1])]
                if call.number is not None:
                    gradients[call.number] = ops.zeros_like((one, other)[call.number])
                return tuple(gradients)

            return cut, gradient

        return total(one, other)

    return compute


@in_one_pass
def _whole_sum(one, other, first, second, half, shift, low, high):
    total = first * ops.cast(one, "int32") + second * ops.cast(other, "int32")
    return cut_off(ops.cast(ops.right_shift(total + half, shift), "float32"), low, high)


def _product(call: Call, first: Steps, second: Steps):
    return call.rounded(first.steps * second.steps, first.scale * second.scale / call.scale)


def _matrix_product(call: Call, first: Steps, second: Steps):
    turned = (call.options.get("adj_x", False), call.options.get("adj_y", False))
    one, other = (
        ops.swapaxes(each.steps, -1, -2) if turn else each.steps
        for each, turn in zip((first, second), turned, strict=True)
    )
    factor = first.scale * second.scale / call.scale
    sums = ops.matmul(one, other)
    # Where the second's zero point is not 0, LiteRT's own kernel rounds twice: first to some bits below a step.
    bits = ops.maximum(-1 - _exponent(factor), 0)
    part = _power(-bits)
    twice = rounded_up(product(sums, factor * _power(bits))) * part
    twice = twice + ops.sign(twice) * (part * 0.5)  # halves go away from zero
    return call.rounded(ops.where(ops.equal(second.zero_point, 0.0), sums * factor, twice))


def _mean(call: Call, source: Steps):
    return total(call, source, divided=True)


def _requantized(call: Call, source: Steps):
    factor = source.scale / call.scale
    return _halves_up(call, product(source.steps, ops.where(_fits_parts(factor), _in_parts(factor), factor)))


def _leaky_relu(call: Call, source: Steps):
    above = source.scale / call.scale
    below = above * float(np.float32(call.options.get("alpha", 0.0)))
    fit = ops.logical_and(_fits_parts(above), _fits_parts(ops.abs(below)))
    below, above = (ops.where(fit, _in_parts(factor), factor) for factor in (below, above))
    return _halves_up(call, product(source.steps, ops.where(source.steps < 0.0, below, above)))


def _fits_parts(factor):
    """Return whether XNNPACK brings numbers to another scale by a factor; beyond, LiteRT's own kernels do."""
    return ops.logical_and(factor >= 2.0**-8, factor <= 2.0**7)


def _in_parts(factor):
    """Return a factor in whole 256th parts, which XNNPACK multiplies by."""
    return in_place_of(factor, ops.stop_gradient(ops.round(factor * 256.0) / 256.0))


def _halves_up(call: Call, exact):
    """Round to the output's steps; halves, of numbers in 256th parts, go up."""
    return call.rounded(exact + 2.0**-10)


def _function(function: Callable) -> Callable:
    def compute(call: Call, source: Steps):
        values = function(source.steps * source.scale, call.options)
        return call.rounded_with_zero_point(product(values, one_of(call.scale) / call.scale) + call.zero_point)

    return compute


def _concatenation(call: Call, *sources: Steps):
    return ops.concatenate([each.steps for each in sources], call.options["axis"] % (len(call.shape) + 1))


def _max_pool(call: Call, source: Steps):
    options = call.options
    steps = ops.max_pool(
        source.steps,
        (options.get("filter_height", 1), options.get("filter_width", 1)),
        (options.get("stride_h", 1), options.get("stride_w", 1)),
        options.get("padding", "SAME").lower(),
        data_format="channels_last",
    )
    if options.get("fused_activation_function", "NONE") == "NONE":
        return steps
    return call.rounded(steps)


def _pad(call: Call, source: Steps):
    return ops.pad(source.steps, call.integers[0].tolist())


def _reshape(call: Call, source: Steps):
    return ops.reshape(source.steps, (-1, *call.shape))


def _slice(call: Call, source: Steps):
    begins = call.integers[0].tolist()[1:]
    places = (slice(begin, begin + size) for begin, size in zip(begins, call.shape, strict=True))
    return source.steps[(slice(None), *places)]


def _transpose(call: Call, source: Steps):
    return ops.transpose(source.steps, call.integers[0].tolist())


def _nearest(call: Call, source: Steps):
    corners, centers = (call.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    steps = source.steps
    for axis in (1, 2):
        places = nearest_places(source.steps.shape[axis], call.shape[axis - 1], corners, centers)
        steps = ops.take(steps, places.astype("int32"), axis)
    return steps


def _bilinear(call: Call, source: Steps):
    corners, centers = (call.options.get(name, False) for name in ("align_corners", "half_pixel_centers"))
    steps = source.steps
    for axis in (2, 1):
        first, second, parts = places_between(source.steps.shape[axis], call.shape[axis - 1], corners, centers)
        share = ops.convert_to_tensor((parts / 2.0**11).reshape(-1, *[1] * (3 - axis)), "float32")
        one, other = (ops.take(steps, places.astype("int32"), axis) for places in (first, second))
        steps = one + (other - one) * share
    # Halves go up; what lies next to a half may be a step off.
    return call.rounded(steps + 2.0**-16)


COMPUTATIONS: dict[str, Callable] = {
    **MOVING,
    "ADD": _sum(1),
    "BATCH_MATMUL": _matrix_product,
    "CONCATENATION": _concatenation,
    "ELU": _function(lambda values, _: ops.elu(values)),
    "EXP": _function(lambda values, _: ops.exp(values)),
    "GELU": _function(lambda values, options: ops.gelu(values, approximate=bool(options.get("approximate", False)))),
    "LEAKY_RELU": _leaky_relu,
    # As in the file, what is not above zero has the lowest number.
    "LOG": _function(lambda values, _: ops.log(ops.maximum(values, 1e-30))),
    "LOGISTIC": _function(lambda values, _: ops.sigmoid(values)),
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "MUL": _product,
    "PAD": _pad,
    "QUANTIZE": _requantized,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "SLICE": _slice,
    "SOFTMAX": _function(lambda values, options: ops.softmax(values * options.get("beta", 1.0), -1)),
    "SUB": _sum(-1),
    "TANH": _function(lambda values, _: ops.tanh(values)),
    "TRANSPOSE": _transpose,
}
