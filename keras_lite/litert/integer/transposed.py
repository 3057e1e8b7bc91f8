"""Transposed convolutions in whole numbers, as XNNPACK computes them."""

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer.convolution import Sums
from keras_lite.litert.integer.rounding import BLOCK, Compute
from keras_lite.litert.operators import Operator


def transpose_conv(operator: Operator) -> Compute:
    """Compute TRANSPOSE_CONV: each pixel of the input adds the kernel, times its value, to a window of the output."""
    _, height, width, _ = operator.kernel.shape
    strides = _strides(operator)
    if height < strides[0] or width < strides[1]:
        window = f"received {height} x {width} and {strides[0]} x {strides[1]}"
        raise InputError(f"Expected a kernel as large as the stride in {operator.name}, {window}; add zeros to it.")
    sums = Sums(operator, 0)
    kernel = operator.kernel.data.astype(sums.dtype)

    def compute(_: np.ndarray, __: np.ndarray, images: np.ndarray, *___: np.ndarray) -> np.ndarray:
        images = images.reshape(-1, *images.shape[2:])
        answers = sums.rounding.empty((len(images), *operator.output.shape[1:]))
        count = max(1, BLOCK // operator.output.size)
        for at in range(0, len(images), count):
            some = slice(at, at + count)
            # Less the zero point here: how many products are added differs from pixel to pixel.
            steps = images[some].astype(sums.dtype) - sums.dtype.type(sums.zero)
            sums.store(transposed_sums(operator, kernel, steps), answers[some])
        return answers.reshape(-1, *operator.output.shape)

    return compute


def transposed_sums(operator: Operator, kernel: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the sums of products of a transposed convolution, without a bias.

    Args:
        operator: The operator, for its geometry.
        kernel: Its kernel: output channels, height, width, input channels.
        images: Of shape (images, height, width, channels).
    """
    outputs, *size, _ = kernel.shape
    strides, target = _strides(operator), operator.output.shape[1:3]
    reach = [(count - 1) * step + each for count, step, each in zip(images.shape[1:3], strides, size, strict=True)]
    same = operator.options.get("padding", "SAME") == "SAME"
    before = [max(each - wanted, 0) // 2 if same else 0 for each, wanted in zip(reach, target, strict=True)]
    room = [max(each, start + wanted) for each, start, wanted in zip(reach, before, target, strict=True)]
    total = np.zeros((len(images), *room, outputs), np.result_type(kernel, images))
    spans = [(count - 1) * step + 1 for count, step in zip(images.shape[1:3], strides, strict=True)]
    for y, x in np.ndindex(*size):
        rows, columns = (
            slice(start, start + span, step) for start, span, step in zip((y, x), spans, strides, strict=True)
        )
        total[:, rows, columns] += images @ kernel[:, y, x].T
    (top, left), (height, width) = before, target
    return np.ascontiguousarray(total[:, top : top + height, left : left + width])


def _strides(operator: Operator) -> tuple[int, int]:
    return operator.options.get("stride_h", 1), operator.options.get("stride_w", 1)
