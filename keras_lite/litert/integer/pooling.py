"""Means, pooling and products of matrices in whole numbers."""

import math
from collections.abc import Callable

import numpy as np

from keras_lite.litert.integer.rounding import (
    EXACT,
    Compute,
    Rounding,
    check_same_scheme,
    fused_multiply_add,
    scale_of,
    steps_from_zero,
    times,
    zero_of,
)
from keras_lite.litert.integer.windows import Windows
from keras_lite.litert.operators import Operator


def mean(operator: Operator, fused: bool = False) -> Compute:
    """Compute MEAN; `fused`: a product and the sum behind it are rounded as one, as on ARM64."""
    return _total(operator, True, fused)


def sum_(operator: Operator, fused: bool = False) -> Compute:
    """Compute SUM; `fused` as for `mean`."""
    return _total(operator, False, fused)


def _total(operator: Operator, divided: bool, fused: bool) -> Compute:
    source, axes = operator.inputs
    rounding, rank = Rounding(operator), len(source.shape)
    reduced = tuple(sorted({int(axis) % rank for axis in axes.data.ravel()}))
    count = np.float32(math.prod(source.shape[axis] for axis in reduced))
    # XNNPACK sums the integers themselves, and takes their zero point away in floats.
    factor = scale_of(source) / rounding.scale
    if divided:
        factor *= np.float32(1.0) / count
    zero, taken = np.float32(rounding.zero), np.float32(zero_of(source)) * count
    offset = fused_multiply_add(taken, -factor, zero) if fused else zero - taken * factor

    def compute(integers: np.ndarray, *_: np.ndarray) -> np.ndarray:
        sums = integers.sum(tuple(axis + 1 for axis in reduced), dtype="int32")
        sums = sums.astype("float32")
        scaled = fused_multiply_add(sums, factor, offset) if fused else sums * factor + offset
        numbers = np.rint(scaled) - zero
        return rounding.integers(numbers).reshape(-1, *operator.output.shape)

    return compute


def reduce_max(operator: Operator) -> Compute:
    """Compute REDUCE_MAX."""
    return _extreme(operator, np.max)


def reduce_min(operator: Operator) -> Compute:
    """Compute REDUCE_MIN."""
    return _extreme(operator, np.min)


def _extreme(operator: Operator, function: Callable[..., np.ndarray]) -> Compute:
    source, axes = operator.inputs
    check_same_scheme(operator, source)
    places = tuple({int(axis) % len(source.shape) + 1 for axis in axes.data.ravel()})
    return lambda integers, *_: function(integers, places).reshape(-1, *operator.output.shape)


def max_pool_2d(operator: Operator) -> Compute:
    """Compute MAX_POOL_2D."""
    rounding, windows = _pooling(operator, delegated=True)

    def compute(images: np.ndarray) -> np.ndarray:
        images = images.reshape(-1, *images.shape[2:])
        padded = windows.padded(images, np.iinfo(rounding.dtype).min)
        parts = windows.parts(padded)
        answers = next(parts).copy()
        for part in parts:
            np.maximum(answers, part, out=answers)
        return np.clip(answers, rounding.low, rounding.high, out=answers).reshape(-1, *operator.output.shape)

    return compute


def average_pool_2d(operator: Operator) -> Compute:
    """Compute AVERAGE_POOL_2D: the mean of what lies within the image, halves away from zero."""
    rounding, windows = _pooling(operator, delegated=False)
    ones = windows.padded(np.ones((1, *operator.inputs[0].shape[1:3], 1), "int32"), 0)
    counts = sum(windows.parts(ones))

    def compute(images: np.ndarray) -> np.ndarray:
        images = images.reshape(-1, *images.shape[2:])
        sums = sum(windows.parts(windows.padded(images.astype("int32"), 0)))
        means = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
        means = np.clip(means, rounding.low, rounding.high).astype(rounding.dtype)
        return means.reshape(-1, *operator.output.shape)

    return compute


def _pooling(operator: Operator, delegated: bool) -> tuple[Rounding, Windows]:
    [source] = operator.inputs
    check_same_scheme(operator, source)
    size = operator.options.get("filter_height", 1), operator.options.get("filter_width", 1)
    return Rounding(operator, delegated), Windows(operator, size)


def batch_matmul(operator: Operator) -> Compute:
    """Compute BATCH_MATMUL, by XNNPACK where the second input's zero point is 0, by LiteRT's own kernel elsewhere."""
    first, second = operator.inputs
    turned = [bool(operator.options.get(name, False)) for name in ("adj_x", "adj_y")]
    delegated = zero_of(second) == 0
    rounding = Rounding(operator, delegated)
    depth = first.shape[-2 if turned[0] else -1]
    dtype = "float32" if depth * 255.0**2 <= EXACT else "float64"
    single = scale_of(first) * scale_of(second) / rounding.scale
    factor = float(scale_of(first)) * float(scale_of(second)) / float(rounding.scale)

    def compute(*inputs: np.ndarray) -> np.ndarray:
        ones, others = (
            steps.swapaxes(-1, -2) if turn else steps
            for turn, steps in zip(turned, map(steps_from_zero, operator.inputs, inputs, [dtype] * 2), strict=True)
        )
        # The axes of the images come first, what one of the two lacks of the others follows.
        rank = max(ones.ndim, others.ndim)
        ones, others = (each.reshape(len(each), *[1] * (rank - each.ndim), *each.shape[1:]) for each in (ones, others))
        sums = ones @ others
        if delegated:
            return rounding.integers(np.rint(sums.astype("float32") * np.float32(single)))
        return rounding.integers(times(sums.astype("int64"), factor))

    return compute
