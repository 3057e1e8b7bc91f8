"""Sums, products, requantizing and softmax in whole numbers, as XNNPACK and LiteRT's kernels compute them."""

from collections.abc import Callable

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer.rounding import (
    BLOCK,
    Compute,
    Rounding,
    all_integers,
    check_same_scheme,
    doubled_high,
    fits_parts,
    in_parts,
    lookup,
    scale_of,
    steps_from_zero,
    times,
    times_each,
    zero_of,
)
from keras_lite.litert.operators import Operator

# XNNPACK adds by factors of so many bits.
_SUM_BITS = 20
# Where a step of an input is less than the first in steps of the output, or reaches the last, it leaves a sum or a
# product to LiteRT's kernels. Those for ADD and MUL compute in 16 bits, which overflow where it is that large.
_SMALLEST_ADDED, _SMALLEST_MULTIPLIED, _TOO_LARGE = 2.0**-10, 2.0**-16, 2.0**8
_TOO_LARGE_BESIDE_SMALL = 2.0**7
# What the greatest power is in LiteRT's softmax for ARM64.
_LARGEST_POWER = np.float32(65535.0)
# Bits that LiteRT's own sum has below a step.
_SHIFT = 20


def add(operator: Operator) -> Compute:
    """Compute ADD."""
    return _sum(operator, (1, 1))


def sub(operator: Operator) -> Compute:
    """Compute SUB."""
    return _sum(operator, (1, -1))


def mul(operator: Operator, doubled: bool = False) -> Compute:
    """Compute MUL; `doubled`: XNNPACK's factor is one in fixed point, as on ARM64 (see `doubled_high`)."""
    first, second = operator.inputs
    scale = scale_of(operator.output)
    factor = scale_of(first) * scale_of(second) / scale
    _check_factor(operator, factor, _TOO_LARGE)
    if factor < _SMALLEST_MULTIPLIED:
        exact = float(scale_of(first)) * float(scale_of(second)) / float(scale)
        rounding = Rounding(operator, delegated=False)

        def slowly(one: np.ndarray, other: np.ndarray, output: np.ndarray) -> None:
            product = steps_from_zero(first, one, "int64") * steps_from_zero(second, other, "int64")
            rounding.store(times(product, exact), output)

        return _of_two(operator, slowly)
    rounding = Rounding(operator)

    def compute(one: np.ndarray, other: np.ndarray, output: np.ndarray) -> None:
        product = steps_from_zero(first, one) * steps_from_zero(second, other)
        if doubled:
            rounding.store(doubled_high(product.astype("int64"), factor), output)
        else:
            product *= factor
            rounding.store(np.rint(product, out=product), output)

    return _of_two(operator, compute)


def _check_factor(operator: Operator, factor: np.float32, limit: float) -> None:
    if factor >= limit:
        steps = f"steps of {operator.name} for a step of what goes into it"
        why = f"received {float(factor):.4g}, for which LiteRT's answers are wrong: they overflow"
        raise InputError(f"Expected less than {limit:.0f} {steps}, {why}.")


def _sum(operator: Operator, signs: tuple[int, int]) -> Compute:
    rounding = Rounding(operator)
    factors = [scale_of(tensor) / rounding.scale for tensor in operator.inputs]
    small = min(factors) < _SMALLEST_ADDED
    if operator.kind == "ADD":
        _check_factor(operator, max(factors), _TOO_LARGE_BESIDE_SMALL if small else _TOO_LARGE)
    if small or max(factors) >= _TOO_LARGE:
        return _own_sum(operator, signs)
    shift = _SUM_BITS - (int(np.frexp(max(factors))[1]) - 1)
    first, second = (sign * int(np.rint(np.ldexp(factor, shift))) for sign, factor in zip(signs, factors, strict=True))
    zeros = [zero_of(tensor) for tensor in operator.inputs]
    offset = (1 << (shift - 1)) - first * zeros[0] - second * zeros[1]

    def compute(one: np.ndarray, other: np.ndarray, output: np.ndarray) -> None:
        total = np.multiply(one, np.int32(first), dtype="int32") + np.multiply(other, np.int32(second), dtype="int32")
        total += np.int32(offset)
        total >>= shift
        rounding.store(total, output)

    return _of_two(operator, compute)


def _own_sum(operator: Operator, signs: tuple[int, int]) -> Compute:
    """Compute a sum as LiteRT's own kernel does."""
    first, second = operator.inputs
    rounding = Rounding(operator, delegated=False)
    scales = [float(scale_of(tensor)) for tensor in operator.inputs]
    unit = 2.0 * max(scales)
    factor = unit / (2.0**_SHIFT * float(rounding.scale))

    def compute(one: np.ndarray, other: np.ndarray, output: np.ndarray) -> None:
        total = np.int64(0)
        for sign, scale, tensor, integers in zip(signs, scales, (first, second), (one, other), strict=True):
            total = total + sign * times(steps_from_zero(tensor, integers, "int64") << _SHIFT, scale / unit)
        rounding.store(times(total, factor), output)

    return _of_two(operator, compute)


def _of_two(operator: Operator, function: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> Compute:
    """Return what computes an operator of two tensors that are broadcast, some images at a time."""
    output, rank = operator.output, len(operator.output.shape)
    varying = [tensor for tensor in operator.inputs if not (tensor.is_constant and tensor.size == 1)]
    if len(varying) == 1 and varying[0].dtype == "int8" and not varying[0].is_constant:
        every, answers = all_integers(varying[0]), np.empty(256, output.dtype)
        function(*(each.data.ravel() if each.is_constant else every for each in operator.inputs), answers)
        return lambda *inputs: lookup(answers)(inputs[operator.inputs.index(varying[0])])
    count = max(1, BLOCK // output.size)

    def compute(*inputs: np.ndarray) -> np.ndarray:
        images = max(len(each) for each in inputs)
        # What has fewer axes gets the missing ones behind that of the images.
        inputs = [each.reshape(len(each), *[1] * (rank + 1 - each.ndim), *each.shape[1:]) for each in inputs]
        answers = np.empty((images, *output.shape), output.dtype)
        for at in range(0, images, count):
            some = slice(at, at + count)
            function(*(each[some] if len(each) > 1 else each for each in inputs), answers[some])
        return answers

    return compute


def quantize(operator: Operator) -> Compute:
    """Compute QUANTIZE, of floats or of integers in another scale or type."""
    [source], target = operator.inputs, operator.output
    rounding = Rounding(operator)
    if source.dtype == "float32":
        factor = np.float32(1.0) / rounding.scale
        return lambda values: rounding.integers(np.rint(values * factor))
    if source.dtype != target.dtype and scale_of(source) == rounding.scale:
        return lambda integers: rounding.integers(steps_from_zero(source, integers))
    whole = steps_from_zero(source, all_integers(source), "int64")
    factor = scale_of(source) / rounding.scale
    if source.dtype == target.dtype and fits_parts(factor):
        return lookup(rounding.integers(in_parts(whole, factor)))
    exact = float(scale_of(source)) / float(rounding.scale)
    return lookup(rounding.integers(times(whole, exact, halves_up=True)))


def dequantize(operator: Operator) -> Compute:
    """Compute DEQUANTIZE."""
    [source] = operator.inputs
    return lambda integers: steps_from_zero(source, integers) * scale_of(source)


def softmax(operator: Operator) -> Compute:
    """Compute SOFTMAX over the last axis."""
    rounding, powers = Rounding(operator, delegated=False), _powers(operator)

    def compute(integers: np.ndarray) -> np.ndarray:
        below = integers.max(-1, keepdims=True).astype("int16") - integers
        each = powers[below]
        total = each.cumsum(-1, dtype="float32")[..., -1:]  # one after the other, as the kernel adds
        each *= np.float32(1.0) / (total * rounding.scale)
        each += np.float32(0.5)
        return rounding.integers(np.floor(each, out=each))

    return compute


def softmax_arm64(operator: Operator) -> Compute:
    """Compute SOFTMAX over the last axis as LiteRT's kernel for ARM64 does: powers and sum in whole numbers."""
    rounding = Rounding(operator, delegated=False)
    powers = np.floor((_powers(operator) * _LARGEST_POWER).astype("float64") + 0.5).astype("int64")

    def compute(integers: np.ndarray) -> np.ndarray:
        below = integers.max(-1, keepdims=True).astype("int16") - integers
        each = powers[below]
        shares = np.float32(1.0) / (each.sum(-1, keepdims=True).astype("float32") * rounding.scale)
        return rounding.integers(times_each(each, shares))

    return compute


def _powers(operator: Operator) -> np.ndarray:
    """Return the exponential function of every difference from the greatest, 0 to 255 steps."""
    factor = -scale_of(operator.inputs[0]) * np.float32(operator.options.get("beta", 1.0))
    return np.exp((factor * np.arange(256, dtype="float32")).astype("float64")).astype("float32")


def maximum(operator: Operator) -> Compute:
    """Compute MAXIMUM."""
    return _greater(operator, np.maximum)


def minimum(operator: Operator) -> Compute:
    """Compute MINIMUM."""
    return _greater(operator, np.minimum)


def _greater(operator: Operator, function: np.ufunc) -> Compute:
    for tensor in operator.inputs:
        check_same_scheme(operator, tensor)
    return _of_two(operator, lambda one, other, output: function(one, other, out=output))
