"""int8 arithmetic in whole numbers, rounded as XNNPACK's kernels for x86 round, and LiteRT's own where it has none."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.runtime.litert_worker import to_model_type

LOWEST, HIGHEST = -128, 127
# Up to here float32 holds every whole number.
_EXACT = 2.0**24
# XNNPACK brings int8 numbers to another scale by a factor in so many parts, halves rounded up.
_PARTS = np.float32(256.0)
# It leaves a leaky ReLU to LiteRT's own kernel where a factor is below one part, or beyond this.
_LARGEST_FACTOR = np.float32(128.0)
# XNNPACK adds int8 numbers by factors of so many bits, and not where scales differ more than this.
_SUM_BITS, _SUM_RATIOS = 20, (2.0**-10, 2.0**8)


@dataclasses.dataclass(frozen=True)
class Int8Range:
    """How a tensor is rounded: the width of a step, and the int8 number that stands for zero."""

    step: np.float32
    zero: int

    @classmethod
    def between(cls, lowest: Any, highest: Any) -> "Int8Range":
        """Return the range of all int8 numbers between two values, which float32 holds."""
        lowest, highest = float(np.float32(lowest)), float(np.float32(highest))
        step = (highest - lowest) / (HIGHEST - LOWEST)
        zero = np.floor(LOWEST - lowest / step + 0.5)  # halves go up
        return cls(np.float32(step), int(np.clip(zero, LOWEST, HIGHEST)))

    def cut_off(self, whole: np.ndarray, lowest: float | None = None, highest: float | None = None) -> "Int8Tensor":
        """Return whole numbers of steps as a tensor, those outside of the range, or of given values, cut off."""
        low, high = LOWEST - self.zero, HIGHEST - self.zero
        if lowest is not None:
            low = max(low, int(np.rint(lowest / self.step)))
        if highest is not None:
            high = min(high, int(np.rint(highest / self.step)))
        return Int8Tensor(np.clip(whole, low, high).astype("float32"), self)


UNROUNDED = Int8Range(np.float32(1.0), 0)


@dataclasses.dataclass(frozen=True)
class Int8Tensor:
    """Whole numbers of steps, zero at 0, as float32, which holds them exactly."""

    whole: np.ndarray
    range: Int8Range

    @property
    def values(self) -> np.ndarray:
        """What the whole numbers stand for."""
        return self.whole * self.range.step


def channel_axis(kind: str, kernel: np.ndarray) -> int:
    """Return which axis of a layer's kernel has the channels that it answers."""
    return 2 if kind == "DepthwiseConv2D" else kernel.ndim - 1


def convolution(layer: Any, whole: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return sums of products of whole numbers, exactly, as float64."""
    tensorflow = import_extra("tensorflow", "quantization")
    kind = type(layer).__name__
    others = tuple(each for each in range(kernel.ndim) if each != channel_axis(kind, kernel))
    largest = np.abs(kernel).sum(others).max() * np.abs(whole).max()
    dtype = "float32" if largest < _EXACT else "float64"
    whole, kernel = whole.astype(dtype), kernel.astype(dtype)
    if kind == "DepthwiseConv2D":
        kernel = kernel.reshape(*kernel.shape[:2], whole.shape[-1], -1)
    if kind == "Dense":
        return (whole @ kernel).astype("float64")
    options = {"padding": layer.padding.upper(), "dilations": layer.dilation_rate}
    if kind == "DepthwiseConv2D":
        sums = tensorflow.nn.depthwise_conv2d(whole, kernel, (1, *layer.strides, 1), **options)
    else:
        sums = tensorflow.nn.conv2d(whole, kernel, layer.strides, **options)
    return sums.numpy().astype("float64")


def quantize(images: np.ndarray, target: Int8Range) -> Int8Tensor:
    """Round images as an int8 file's input is rounded."""
    details = {"dtype": np.int8, "quantization": (target.step, target.zero)}
    return Int8Tensor(to_model_type(images, details).astype("float32") - target.zero, target)


def add(
    inputs: list[Int8Tensor],
    target: Int8Range,
    lowest: float | None,
    highest: float | None,
    signs: Iterable[int] = (1, 1),
) -> Int8Tensor:
    """Return the sum of two tensors, each taken by its sign, cut off between two values."""
    factors = [tensor.range.step / target.step for tensor in inputs]
    if not all(_SUM_RATIOS[0] <= factor < _SUM_RATIOS[1] for factor in factors):
        total = sum(sign * tensor.values.astype("float64") for sign, tensor in zip(signs, inputs, strict=True))
        return target.cut_off(np.rint(total / target.step), lowest, highest)
    shift = _SUM_BITS - (int(np.frexp(max(factors))[1]) - 1)
    total = np.int64(1) << (shift - 1)
    for sign, factor, tensor in zip(signs, factors, inputs, strict=True):
        total = total + sign * int(np.rint(np.ldexp(factor, shift))) * tensor.whole.astype("int64")
    return target.cut_off(total >> shift, lowest, highest)


def multiply(inputs: list[Int8Tensor], target: Int8Range, lowest: float | None, highest: float | None) -> Int8Tensor:
    """Return the product of two tensors, cut off between two values."""
    first, second = inputs
    factor = first.range.step * second.range.step / target.step
    return target.cut_off(np.rint(first.whole * second.whole * factor), lowest, highest)


def mean(source: Int8Tensor, target: Int8Range, keepdims: bool) -> Int8Tensor:
    """Return the mean over height and width."""
    pixels = np.float32(source.whole.shape[1] * source.whole.shape[2])
    # XNNPACK sums the int8 numbers themselves, and takes their zero away in floats.
    factor = source.range.step / target.step * (np.float32(1.0) / pixels)
    zero = np.float32(source.range.zero) * pixels
    sums = source.whole.sum((1, 2), keepdims=keepdims, dtype="float64").astype("float32") + zero
    numbers = np.rint(sums * factor + (np.float32(target.zero) - zero * factor))
    return target.cut_off(numbers - target.zero)


def matrix_product(inputs: list[Int8Tensor], target: Int8Range, transposed: bool) -> Int8Tensor:
    """Return the product of two batches of matrices, the second ones transposed if `transposed`."""
    first, second = (tensor.whole.astype("float64") for tensor in inputs)
    sums = first @ (second.swapaxes(-1, -2) if transposed else second)
    # Not XNNPACK's, but LiteRT's own kernel.
    steps = float(inputs[0].range.step) * float(inputs[1].range.step) / float(target.step)
    return target.cut_off(_times(sums, steps))


def leaky_relu(source: Int8Tensor, target: Int8Range, slope: float) -> Int8Tensor:
    """Return a leaky ReLU.

    XNNPACK's one operator has a factor in 256 parts for each side of zero, so that it errs by a quarter of a step more
    at most below zero, and by a half above. Written out instead, as relu(x) - relu(-a x) or a x + (1 - a) relu(x), it
    takes three operators and rounds more often: over five convolutions with slopes of 0.01, 0.1 and 0.3 the root mean
    square error was 2 to 5% larger. Only two convolutions in place of one err less, by a sixth, at twice the work.
    """
    above = source.range.step / target.step
    below = above * np.float32(slope)
    whole = source.whole.astype("float64")
    if all(1.0 / _PARTS <= factor <= _LARGEST_FACTOR for factor in (above, below)):
        return target.cut_off(_in_parts(whole, np.where(whole < 0.0, below, above)))
    # Not XNNPACK's, but LiteRT's own kernel.
    steps = float(source.range.step) / float(target.step)
    leaking = float(source.range.step) * float(np.float32(slope)) / float(target.step)
    return target.cut_off(np.where(whole < 0.0, _times(whole, leaking), _times(whole, steps)))


def softmax(source: Int8Tensor, target: Int8Range) -> Int8Tensor:
    """Return the softmax over the last axis."""
    powers = np.exp((source.whole - source.whole.max(-1, keepdims=True)) * source.range.step)
    total = powers.cumsum(-1, dtype="float32")[..., -1:]  # one after the other, as the kernel adds
    factor = np.float32(1.0) / (total * target.step)
    return target.cut_off(np.floor(powers * factor + np.float32(0.5)))


def sigmoid(source: Int8Tensor, target: Int8Range) -> Int8Tensor:
    """Return the sigmoid."""
    answers = np.float32(1.0) / (np.float32(1.0) + np.exp(-source.values))
    return target.cut_off(np.rint(answers / target.step))


def concatenate(inputs: list[Int8Tensor], target: Int8Range, axis: int) -> Int8Tensor:
    """Return tensors concatenated, all brought to one range."""
    return Int8Tensor(np.concatenate([requantized(tensor, target).whole for tensor in inputs], axis), target)


def requantized(tensor: Int8Tensor, target: Int8Range) -> Int8Tensor:
    """Return a tensor in another range; in the same one as it is."""
    if tensor.range == target:
        return tensor
    return target.cut_off(_in_parts(tensor.whole, tensor.range.step / target.step))


def number(value: float) -> Int8Tensor:
    """Return one number as a file has it: all the steps of a range from zero."""
    steps = float(HIGHEST - LOWEST)
    whole = np.float32(np.sign(value) * steps)
    return Int8Tensor(whole, Int8Range(np.float32(abs(value) / steps), 0))


def _in_parts(whole: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Multiply as XNNPACK does where it brings numbers to another scale."""
    return np.floor((whole * np.rint(_PARTS * factor) + _PARTS / 2) / _PARTS)


def _times(whole: np.ndarray, factor: float) -> np.ndarray:
    """Multiply as LiteRT's kernels do: by a factor of 31 bits, and what comes of it is rounded once more."""
    share, exponent = np.frexp(factor)
    whole = np.ldexp(whole, max(int(exponent), 0))
    product = np.floor(whole * np.rint(np.ldexp(share, 31)) / 2.0**31 + 0.5)
    return np.sign(product) * np.floor(np.ldexp(np.abs(product), min(int(exponent), 0)) + 0.5)
