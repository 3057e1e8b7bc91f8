"""How sums become the integers of an output: cuts, tables, and multiplication by a fixed-point factor."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.operators import Operator, Tensor
from keras_lite.litert.scheme import round_away

# What computes an operator: it takes an array for each input, of shape (images, *tensor.shape), those of constants with
# one image, and returns an array for its output; a tuple if there are several.
Compute = Callable[..., Any]

# Up to here float32 holds every whole number.
EXACT = 2.0**24
# Elements of float32 that are worked on at a time, so that they stay in the processor's cache.
BLOCK = 1 << 17
# Between what values a fused activation cuts.
_CUTS = {
    "NONE": (-math.inf, math.inf),
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


class Rounding:
    """The integers of an operator's output: type, scale, zero point, and between which of them it cuts.

    Args:
        operator: The operator.
        delegated: Whether XNNPACK computes it. It rounds the ends of an activation with the zero point added, halves to
            even; LiteRT's own kernels round without it, halves away from zero.

    Raises:
        InputError: If the operator has a fused activation that is no cut.
    """

    def __init__(self, operator: Operator, delegated: bool = True):
        tensor = operator.output
        self.dtype = np.dtype(tensor.dtype)
        self.scale, self.zero = scale_of(tensor), zero_of(tensor)
        activation = operator.options.get("fused_activation_function", "NONE")
        if activation not in _CUTS:
            allowed = ", ".join(_CUTS)
            raise InputError(f"Expected {operator.name} with one of the activations {allowed}, received {activation}.")
        limits = np.iinfo(self.dtype)
        self.low, self.high = (self._end(value, delegated, limits) for value in _CUTS[activation])

    def _end(self, value: float, delegated: bool, limits: np.iinfo) -> int:
        steps = np.float32(value) / self.scale
        rounded = np.rint(steps + np.float32(self.zero)) if delegated else round_away(steps) + self.zero
        return int(np.clip(rounded, limits.min, limits.max))

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return an array for the output's integers."""
        return np.empty(shape, self.dtype)

    def store(self, steps: np.ndarray, output: np.ndarray) -> None:
        """Cut whole numbers of steps from zero, in place, and write them as the output's integers."""
        np.clip(steps, self.low - self.zero, self.high - self.zero, out=steps)
        np.add(steps, steps.dtype.type(self.zero), out=output, casting="unsafe")

    def integers(self, steps: np.ndarray) -> np.ndarray:
        """Return whole numbers of steps from zero, which may be changed, as the output's integers."""
        output = self.empty(steps.shape)
        self.store(steps, output)
        return output


def scale_of(tensor: Tensor) -> np.float32:
    """Return the one scale of a tensor of integers.

    Raises:
        InputError: If it has none, or several.
    """
    if tensor.quantization is None or len(tensor.quantization.scales) != 1:
        raise InputError(f"Expected one scale and zero point for {tensor.name}, received {tensor.quantization}.")
    return tensor.quantization.scale


def zero_of(tensor: Tensor) -> int:
    """Return the one zero point of a tensor of integers."""
    scale_of(tensor)
    return tensor.quantization.zero_point


def same_scheme(first: Tensor, second: Tensor) -> bool:
    """Return whether integers of two tensors stand for the same numbers."""
    return first.dtype == second.dtype and first.quantization == second.quantization


def check_same_scheme(operator: Operator, source: Tensor) -> None:
    """Check that an input of an operator has the scale and zero point of its outputs.

    Raises:
        InputError: If they differ.
    """
    for target in operator.outputs:
        if not same_scheme(source, target):
            schemes = f"received {source.quantization} and {target.quantization}"
            raise InputError(f"Expected input and output of {operator.name} in one scale, {schemes}.")


def steps_from_zero(tensor: Tensor, integers: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """Return integers of a tensor less its zero point, in another type."""
    steps = integers.astype(dtype)
    steps -= steps.dtype.type(zero_of(tensor))
    return steps


def all_integers(tensor: Tensor) -> np.ndarray:
    """Return all 256 integers that a tensor may hold, in the order of the bytes that they are."""
    return np.arange(256, dtype="uint8").view(tensor.dtype)


def lookup(table: np.ndarray) -> Compute:
    """Return what looks integers up in a table, which has an answer for each byte from 0 to 255."""
    answers, dtype = table.tobytes(), table.dtype

    def compute(integers: np.ndarray) -> np.ndarray:
        found = bytearray(integers.tobytes().translate(answers))
        return np.frombuffer(found, dtype).reshape(integers.shape)

    return compute


def fixed_point(factor: float) -> tuple[int, int]:
    """Return a positive factor as LiteRT's kernels have it: `number * 2**(exponent - 31)`, the number of 31 bits.

    Example:

    >>> fixed_point(0.75)
    (1610612736, 0)
    """
    share, exponent = math.frexp(factor)
    number = math.floor(share * 2.0**31 + 0.5)
    if number == 2**31:
        number, exponent = number // 2, exponent + 1
    return (0, 0) if exponent < -31 else (number, exponent)


def times(whole: np.ndarray, factor: float, halves_up: bool = False) -> np.ndarray:
    """Return whole numbers times a factor as LiteRT's kernels compute it, rounded twice.

    First to 31 bits below the leading one of the factor, halves up; then to whole numbers, halves away from zero.

    Args:
        whole: int64, within 32 bits.
        factor: A factor, in double precision.
        halves_up: Whether halves go up at the end too, as where LiteRT requantizes.

    Example:

    >>> times(np.array([6, -6, 5]), 0.25).tolist()
    [2, -2, 2]
    """
    number, exponent = fixed_point(factor)
    product = ((whole << max(exponent, 0)) * number + (1 << 30)) >> 31
    shift = max(-exponent, 0)
    if halves_up:
        return (product + ((1 << shift) >> 1)) >> shift
    return divided(product, shift)


def times_each(whole: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return whole numbers times factors of their own, which are broadcast, rounded twice as `times` rounds.

    Args:
        whole: int64, 0 at least.
        factors: Positive, below 1.

    Example:

    >>> times_each(np.array([6, 6, 5]), np.array([0.25, 0.5, 0.3]))
    array([2, 3, 2])
    """
    shares, exponents = np.frexp(factors.astype("float64"))
    numbers = np.floor(shares * 2.0**31 + 0.5).astype("int64")
    product = (whole * numbers + (1 << 30)) >> 31
    return (product + ((np.int64(1) << -exponents) >> 1)) >> -exponents


def divided(whole: np.ndarray, bits: int) -> np.ndarray:
    """Return whole numbers by a power of two, halves away from zero.

    Example:

    >>> divided(np.array([6, -6, 5]), 2).tolist()
    [2, -2, 1]
    """
    return np.sign(whole) * ((np.abs(whole) + ((1 << bits) >> 1)) >> bits)


def fits_parts(factor: np.float32) -> bool:
    """Return whether XNNPACK brings numbers to another scale by a factor; beyond, LiteRT's own kernels do."""
    return 2.0**-8 <= factor <= 2.0**7


def in_parts(whole: np.ndarray, factor: np.float32) -> np.ndarray:
    """Return whole numbers times a factor as XNNPACK computes it: in so many 256th parts, halves rounded up."""
    return (whole * int(np.rint(np.float32(256.0) * factor)) + 128) >> 8


def doubled_high(whole: np.ndarray, factor: np.float32) -> np.ndarray:
    """Return whole numbers times a factor as ARM64's vector instructions compute it for XNNPACK.

    The upper half of twice the product with the factor's 31 bits, cut off; then a shift to the right, halves up.

    Args:
        whole: int64, within 32 bits.
        factor: From 2**-32 to 2**8.

    Example:

    >>> doubled_high(np.array([6, -6, 5]), np.float32(0.25)).tolist()
    [2, -1, 1]
    """
    share, exponent = math.frexp(float(factor))
    number = int(share * 2.0**31)  # exact: a float32 has 24 bits
    shift = max(-exponent, 1)
    before = np.clip(whole << (shift + exponent), -(2**31), 2**31 - 1)
    return (((before * number * 2) >> 32) + (1 << (shift - 1))) >> shift


def fused_multiply_add(values: np.ndarray, factor: np.float32, added: np.float32) -> np.ndarray:
    """Return float32 numbers times a factor plus another, rounded once to float32.

    Example:

    >>> fused_multiply_add(np.array([1.1], "float32"), np.float32(5.0), np.float32(-5.5))
    array([1.1920929e-07], dtype=float32)
    """
    # float64 holds a product of two float32 exactly, and rounds its own sum far below a float32's last bit.
    return (values.astype("float64") * float(factor) + float(added)).astype("float32")
