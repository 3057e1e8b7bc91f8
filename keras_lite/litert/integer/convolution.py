"""Convolutions and dense layers in whole numbers, as XNNPACK computes them."""

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer.rounding import BLOCK, EXACT, Compute, Rounding, scale_of, zero_of
from keras_lite.litert.integer.windows import Windows
from keras_lite.litert.operators import Operator

# XNNPACK runs no convolution whose input scale * kernel scale / output scale reaches this.
_LARGEST_FACTOR = np.float32(256.0)
_LARGEST_INTEGER = 128


class Sums:
    """What turns sums of products of integers into an output's integers.

    The sums are of the integers as they are. What the input's zero point adds to each is known, and is in the offsets.
    A sum is exact in any order of adding, as all that is added up to it is a whole number that the type holds. Sums of
    a transposed convolution are of steps from zero.
    """

    def __init__(self, operator: Operator, axis: int):
        source, kernel, bias = operator.source, operator.kernel, operator.bias
        if not kernel.is_constant or kernel.dtype != "int8" or kernel.quantization is None:
            raise InputError(f"Expected constant int8 values with scales as {kernel.name}, received {kernel}.")
        self.rounding = Rounding(operator)
        self.zero = zero_of(source)
        self.factors = scale_of(source) * kernel.quantization.scales / self.rounding.scale
        if not (self.factors < _LARGEST_FACTOR).all():
            largest = f"received {float(self.factors.max()):.4g}"
            raise InputError(
                f"Expected less than 256 output steps for a step of the sums in {operator.name}, {largest}."
            )
        if kernel.quantization.zero_points.any():
            raise InputError(f"Expected zero points of 0 for {kernel.name}, received others.")
        others = tuple(each for each in range(kernel.data.ndim) if each != axis)
        transposed = operator.kind == "TRANSPOSE_CONV"
        offsets = (0 if transposed else -self.zero) * kernel.data.sum(others, dtype="int64")
        if bias is None and operator.kind != "FULLY_CONNECTED":
            raise InputError(
                f"Expected a bias in {operator.name}, received none: LiteRT runs no {operator.kind} without."
            )
        if bias is not None:
            scales = () if bias.quantization is None else bias.quantization.scales
            if len(scales) != len(self.factors):
                counts = f"{len(self.factors)}, received {len(scales)}"
                raise InputError(f"Expected as many scales for {bias.name} as for {kernel.name}, {counts}.")
            offsets = offsets + bias.data
        largest = np.abs(kernel.data.astype("int64")).sum(others).max() * _LARGEST_INTEGER * (2 if transposed else 1)
        self.dtype = np.dtype("float32" if max(largest, np.abs(offsets).max()) <= EXACT else "float64")
        self.offsets = offsets.astype(self.dtype)

    def store(self, sums: np.ndarray, output: np.ndarray) -> None:
        """Round sums, which are changed, to the integers of the output; channels are the last axis."""
        sums += self.offsets  # rounded once, as the whole number is on its way to float32
        sums = sums.astype("float32", copy=False)
        sums *= self.factors
        self.rounding.store(np.rint(sums, out=sums), output)


def conv_2d(operator: Operator) -> Compute:
    """Compute CONV_2D: dilated, grouped, padded or not."""
    sums, kernel = Sums(operator, 0), operator.inputs[1].data
    outputs, *size, depth = kernel.shape
    groups = operator.inputs[0].shape[3] // depth
    matrices = np.ascontiguousarray(kernel.reshape(groups, outputs // groups, -1).swapaxes(1, 2), sums.dtype)
    if size == [1, 1] and groups == 1:
        step = operator.options.get("stride_h", 1), operator.options.get("stride_w", 1)
        return lambda images, *_: _rows(operator, sums, matrices[0], images[:, :, :: step[0], :: step[1]])
    windows = Windows(operator, tuple(size))

    def compute(images: np.ndarray, *_: np.ndarray) -> np.ndarray:
        images = images.reshape(-1, *images.shape[2:])
        answers = sums.rounding.empty((len(images), *operator.output.shape[1:]))
        for some, rows, values in windows.blocks(images, matrices.shape[1] * groups, sums.zero, sums.dtype):
            count, height, width = len(values), rows.stop - rows.start, windows.outputs[1]
            total = np.empty((count * height * width, outputs), sums.dtype)
            for group, matrix in enumerate(matrices):
                part = values[..., group * depth : (group + 1) * depth] if groups > 1 else values
                place = slice(group * matrix.shape[1], (group + 1) * matrix.shape[1])
                np.matmul(_patches(part, windows, height), matrix, out=total[:, place])
            sums.store(total.reshape(count, height, width, outputs), answers[some, rows])
        return answers.reshape(-1, *operator.output.shape)

    return compute


def _patches(values: np.ndarray, windows: Windows, height: int) -> np.ndarray:
    """Return what lies under each window, a row each."""
    count, channels, width = len(values), values.shape[3], windows.outputs[1]
    image, row, column, channel = values.strides
    (down, right), (below, beside) = windows.strides, windows.dilations
    view = np.lib.stride_tricks.as_strided(
        values,
        (count, height, width, *windows.size, channels),
        (image, down * row, right * column, below * row, beside * column, channel),
        writeable=False,
    )
    return view.reshape(count * height * width, -1)


def _rows(operator: Operator, sums: Sums, matrix: np.ndarray, integers: np.ndarray) -> np.ndarray:
    """Return the product of integers, of which each last axis is a row, and a matrix."""
    integers = integers.reshape(-1, len(matrix))
    answers = sums.rounding.empty((len(integers), matrix.shape[1]))
    count = max(1, BLOCK // max(matrix.shape))
    for at in range(0, len(integers), count):
        some = slice(at, at + count)
        sums.store(integers[some].astype(sums.dtype) @ matrix, answers[some])
    return answers.reshape(-1, *operator.output.shape)


def fully_connected(operator: Operator) -> Compute:
    """Compute FULLY_CONNECTED."""
    sums = Sums(operator, 0)
    matrix = np.ascontiguousarray(operator.inputs[1].data.T, sums.dtype)
    return lambda integers, *_: _rows(operator, sums, matrix, integers)


def depthwise_conv_2d(operator: Operator) -> Compute:
    """Compute DEPTHWISE_CONV_2D, as a product and a sum over all of an image for each place of the kernel."""
    sums, kernel = Sums(operator, 3), operator.inputs[1].data[0]
    windows = Windows(operator, kernel.shape[:2])
    channels = kernel.shape[2]
    multiplier = channels // operator.inputs[0].shape[3]
    width = windows.outputs[1]
    # For each place of the kernel its numbers for a whole row of the output, as rows are worked on in one piece.
    places = np.tile(kernel.astype(sums.dtype), (1, 1, width))
    (down, right), (below, beside) = windows.strides, windows.dilations

    def compute(images: np.ndarray, *_: np.ndarray) -> np.ndarray:
        images = images.reshape(-1, *images.shape[2:])
        answers = sums.rounding.empty((len(images), *operator.output.shape[1:]))
        for some, rows, values in windows.blocks(images, channels * right, sums.zero, sums.dtype):
            if multiplier > 1:
                values = np.repeat(values, multiplier, axis=3)
            count, height = len(values), rows.stop - rows.start
            # Columns that a window steps over are set apart, so that those of a row lie side by side.
            phases = [_flat(values[:, :, phase::right]) for phase in range(min(right, values.shape[2]))]
            total, product = np.zeros((2, count, height, width * channels), sums.dtype)
            for (y, x), factors in ((place, places[place]) for place in np.ndindex(*windows.size)):
                column = x * beside // right * channels
                phase = phases[x * beside % right]
                part = phase[:, y * below :: down][:, :height, column : column + width * channels]
                np.multiply(part, factors, out=product)
                total += product
            sums.store(total.reshape(count, height, width, channels), answers[some, rows])
        return answers.reshape(-1, *operator.output.shape)

    return compute


def _flat(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(*values.shape[:2], -1)
