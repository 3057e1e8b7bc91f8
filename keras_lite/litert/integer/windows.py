"""The windows of convolutions and pooling."""

from collections.abc import Iterator

import numpy as np

from keras_lite.litert.integer.rounding import BLOCK
from keras_lite.litert.operators import Operator


class Windows:
    """Where the windows of a convolution or pooling lie: sizes, strides, dilations, and the padding they need."""

    def __init__(self, operator: Operator, size: tuple[int, int]):
        options, shape = operator.options, operator.inputs[0].shape
        self.size = size
        self.strides = options.get("stride_h", 1), options.get("stride_w", 1)
        self.dilations = options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)
        self.reach = tuple((each - 1) * step + 1 for each, step in zip(size, self.dilations, strict=True))
        self.outputs = operator.output.shape[1:3]
        same = options.get("padding", "SAME") == "SAME"
        self.padding = []
        for axis in (0, 1):
            needed = (self.outputs[axis] - 1) * self.strides[axis] + self.reach[axis]
            total = max(needed - shape[1 + axis], 0) if same else 0
            self.padding.append((total // 2, total - total // 2))

    def blocks(self, images: np.ndarray, each: int, filling: int, dtype: np.dtype) -> Iterator[tuple]:
        """Yield parts of images, padded and in another type: which images, which rows of the output, and the values.

        Args:
            images: Of shape (images, height, width, channels).
            each: Elements of work for a place of the output.
            filling: The integer to pad with.
            dtype: The type of the values.
        """
        rows, columns = self.outputs
        height = max(1, min(rows, BLOCK // (columns * each)))
        count = max(1, BLOCK // (rows * columns * each)) if height == rows else 1
        (top, _), (left, right) = self.padding
        stride, reach = self.strides[0], self.reach[0]
        for at in range(0, len(images), count):
            some = images[at : at + count]
            for row in range(0, rows, height):
                end = min(row + height, rows)
                first, last = row * stride - top, (end - 1) * stride + reach - top
                part = some[:, max(first, 0) : last]
                before, width = max(-first, 0), left + part.shape[2] + right
                values = np.full((len(some), last - first, width, part.shape[3]), filling, dtype)
                values[:, before : before + part.shape[1], left : left + part.shape[2]] = part
                yield slice(at, at + len(some)), slice(row, end), values

    def padded(self, images: np.ndarray, filling: int) -> np.ndarray:
        """Return whole images padded with an integer."""
        return np.pad(images, [(0, 0), *self.padding, (0, 0)], constant_values=filling)

    def parts(self, padded: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each place of a window what lies there, of shape (images, *outputs, channels)."""
        (rows, columns), (down, right), (below, beside) = self.outputs, self.strides, self.dilations
        for y, x in np.ndindex(*self.size):
            yield padded[:, y * below :: down, x * beside :: right][:, :rows, :columns]
