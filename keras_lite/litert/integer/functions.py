"""Functions of single numbers, as tables of the answers for all 256 integers, by XNNPACK or LiteRT's own kernels."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer.rounding import (
    Compute,
    Rounding,
    all_integers,
    divided,
    fits_parts,
    fixed_point,
    fused_multiply_add,
    in_parts,
    lookup,
    scale_of,
    steps_from_zero,
    times,
)
from keras_lite.litert.operators import Operator, Tensor
from keras_lite.litert.scheme import round_away


def _table(function: Callable[..., np.ndarray]) -> Callable[..., Compute]:
    """Return what makes a computation by table from a function that gives the answers for all 256 integers."""

    def build(operator: Operator, **options: bool) -> Compute:
        return lookup(function(operator, **options))

    build.__doc__ = function.__doc__
    return build


def _numbers(tensor: Tensor) -> np.ndarray:
    """Return what all 256 integers of a tensor stand for."""
    return steps_from_zero(tensor, all_integers(tensor)) * scale_of(tensor)


def _single(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """Return a function of numbers in double precision, rounded to float32."""
    return np.array([function(float(value)) for value in values], "float32")


@_table
def logistic(operator: Operator, fused: bool = False) -> np.ndarray:
    """Compute LOGISTIC."""
    with np.errstate(over="ignore"):  # beyond float32 the answer is 0, as in XNNPACK
        powers = np.exp(-_numbers(operator.inputs[0]).astype("float64")).astype("float32")
    answers = np.float32(1.0) / (np.float32(1.0) + powers)
    return _xnnpack_rounded(operator, answers, fused)


@_table
def tanh(operator: Operator, fused: bool = False) -> np.ndarray:
    """Compute TANH."""
    return _xnnpack_rounded(operator, _single(math.tanh, _numbers(operator.inputs[0])), fused)


@_table
def gelu(operator: Operator) -> np.ndarray:
    """Compute GELU, with the error function or, if `approximate`, with a hyperbolic tangent."""
    numbers = _numbers(operator.inputs[0])
    one, half = np.float32(1.0), np.float32(0.5)
    if operator.options.get("approximate", False):
        inner = np.float32(math.sqrt(2.0 / math.pi)) * (numbers + np.float32(0.044715) * numbers * numbers * numbers)
        answers = half * numbers * (one + _single(math.tanh, inner))
    else:
        answers = half * numbers * _single(math.erfc, numbers * np.float32(-math.sqrt(0.5)))
    return _own_rounded(operator, answers)


@_table
def elu(operator: Operator, fused: bool = False) -> np.ndarray:
    """Compute ELU."""
    numbers = _numbers(operator.inputs[0])
    return _xnnpack_rounded(operator, np.where(numbers < 0.0, _single(math.expm1, numbers), numbers), fused)


@_table
def exp(operator: Operator) -> np.ndarray:
    """Compute EXP."""
    return _own_rounded(operator, _single(math.exp, _numbers(operator.inputs[0])))


@_table
def log(operator: Operator) -> np.ndarray:
    """Compute LOG; the answer for what is not above zero is the lowest."""
    numbers = _numbers(operator.inputs[0])
    answers = _own_rounded(operator, _single(math.log, np.where(numbers > 0.0, numbers, 1.0)))
    return np.where(numbers > 0.0, answers, np.iinfo(answers.dtype).min).astype(answers.dtype)


@_table
def hard_swish(operator: Operator, neon: bool = False) -> np.ndarray:
    """Compute HARD_SWISH as LiteRT's own kernel does: in 16 bits, of which 32768 stand for 3 in what cuts.

    Its vector instructions for ARM64 (`neon`) go down at the end where its other code goes towards zero, and halves up
    where that goes away from zero.
    """
    [source], rounding = operator.inputs, Rounding(operator, delegated=False)
    fine = steps_from_zero(source, all_integers(source), "int64") << 7
    # The kernel takes these factors in floats.
    scale = np.float32(1.0 / 128.0) * scale_of(source)
    number, exponent = _factor_of_16_bits(scale / rounding.scale)
    if exponent > 0:
        steps = f"received {float(scale_of(source) / rounding.scale):.4g}"
        raise InputError(f"Expected less than 128 steps of {operator.name} for a step of what goes into it, {steps}.")
    cut, cut_exponent = _factor_of_16_bits(scale / np.float32(3.0 / 32768.0))
    share = _product_of_16_bits(_cut_to_16_bits(fine << max(cut_exponent - 1, 0)), cut)
    share = _cut_to_16_bits(share << (cut_exponent > 0))
    share = (divided(share, max(-cut_exponent, 0)) + (1 << 15)) >> 1
    product = share * _product_of_16_bits(fine, number)
    if neon:
        product >>= 15
        return rounding.integers((product + ((1 << -exponent) >> 1)) >> -exponent)
    product = np.sign(product) * (np.abs(product) >> 15)
    return rounding.integers(divided(product, -exponent))


def _factor_of_16_bits(factor: np.float32) -> tuple[int, int]:
    number, exponent = fixed_point(float(factor))
    return min((number + (1 << 15)) >> 16, 32767), exponent


def _cut_to_16_bits(whole: np.ndarray) -> np.ndarray:
    return np.clip(whole, -32768, 32767)


def _product_of_16_bits(whole: np.ndarray, number: int) -> np.ndarray:
    return (whole * number + (1 << 14)) >> 15


@_table
def relu(operator: Operator) -> np.ndarray:
    """Compute RELU, RELU6 or RELU_N1_TO_1 that is no other operator's activation, as LiteRT's own kernel does."""
    [source] = operator.inputs
    fused = dataclasses.replace(operator, options={"fused_activation_function": operator.kind})
    steps = steps_from_zero(source, all_integers(source), "int64")
    factor = float(scale_of(source)) / float(scale_of(operator.output))
    return Rounding(fused, delegated=False).integers(times(steps, factor))


def _own_rounded(operator: Operator, answers: np.ndarray) -> np.ndarray:
    """Round the answers of a table as LiteRT's own kernels do."""
    rounding = Rounding(operator, delegated=False)
    steps = answers * (np.float32(1.0) / rounding.scale)
    return rounding.integers(round_away(steps))


def _xnnpack_rounded(operator: Operator, answers: np.ndarray, fused: bool) -> np.ndarray:
    """Round the answers of a table as XNNPACK does, with the zero point added.

    Args:
        operator: The operator.
        answers: Of float32.
        fused: Whether product and sum are rounded as one, as on ARM64.
    """
    rounding = Rounding(operator)
    zero = np.float32(rounding.zero)
    multiply_add = fused_multiply_add if fused else lambda one, other, added: one * other + added
    return rounding.integers(np.rint(multiply_add(answers, np.float32(1.0) / rounding.scale, zero)) - zero)


@_table
def leaky_relu(operator: Operator) -> np.ndarray:
    """Compute LEAKY_RELU.

    XNNPACK's one operator has a factor in 256 parts for each side of zero, so that it errs by a quarter of a step more
    at most below zero, and by a half above. Written out instead, as relu(x) - relu(-a x) or a x + (1 - a) relu(x), it
    takes three operators and rounds more often: over five convolutions with slopes of 0.01, 0.1 and 0.3 the root mean
    square error was 2 to 5% larger. Only two convolutions in place of one err less, by a sixth, at twice the work.
    """
    [source] = operator.inputs
    slope, scale = np.float32(operator.options.get("alpha", 0.0)), scale_of(operator.output)
    whole = steps_from_zero(source, all_integers(source), "int64")
    above = scale_of(source) / scale
    below = above * slope
    if fits_parts(above) and fits_parts(abs(below)):
        return Rounding(operator).integers(np.where(whole < 0, in_parts(whole, below), in_parts(whole, above)))
    exact = float(scale_of(source)) / float(scale)
    leaking = float(scale_of(source)) * float(slope) / float(scale)
    steps = np.where(whole < 0, times(whole, leaking), times(whole, exact))
    return Rounding(operator, delegated=False).integers(steps)
