"""Rounding weights by their effect: what one weight is rounded by, those behind it make up for."""

import numpy as np

from keras_lite.litert import Operator
from keras_lite.litert.integer.windows import Windows
from keras_lite.litert.scheme import CHANNEL_AXES, HIGHEST

# Rows of inputs that tell how weights work together.
_ROWS = 8192
# Of the mean square of the inputs: what is added to all, so that inputs that never vary don't count for nothing.
_DAMPING = 0.01
# Weights of an output that are rounded before those behind them hear of it.
_BLOCK = 64


def round_by_effect(operator: Operator, kernel: np.ndarray, taken: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a kernel of floats rounded to the steps of the operator's, by its effect on the outputs.

    The weights of an output are rounded one after the other, those of the strongest inputs first; what each is moved by
    is made up for by the ones that are left, as far as their inputs go along with its own.

    Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
    ICLR 2023 (arXiv:2210.17323).

    Args:
        operator: An int8 convolution or dense layer.
        kernel: Its kernel in floats.
        taken: The integers that it takes, of shape `(images, 1, ...)`.
        seed: Of the places that are looked at, where there are more than needed.
    """
    axis = CHANNEL_AXES[operator.kind]
    steps = operator.kernel.quantization.scales.reshape([-1 if each == axis else 1 for each in range(kernel.ndim)])
    weights = kernel.astype("float64") / steps
    source = operator.source.quantization
    if operator.kind == "TRANSPOSE_CONV":
        # Which weights work together differs from pixel to pixel of a stride.
        return np.clip(np.rint(weights), -HIGHEST, HIGHEST) * steps
    rng = np.random.default_rng(seed)
    integers = taken.reshape(len(taken), *taken.shape[2:])
    if operator.kind == "FULLY_CONNECTED":
        rows = integers.reshape(-1, kernel.shape[1])
        rows = _some(rows, rng).astype("float32") - source.zero_point
        return _round(weights[None], (rows.T @ rows)[None])[0] * steps
    rows = _patches(operator, kernel.shape[1:3], integers, source.zero_point, rng)  # rows, places, channels
    if operator.kind == "DEPTHWISE_CONV_2D":
        rows = np.repeat(rows, kernel.shape[3] // rows.shape[2], axis=2).transpose(2, 1, 0)
        found = _round(weights.reshape(-1, kernel.shape[3]).T[:, None], rows @ rows.swapaxes(1, 2))
        return found[:, 0].T.reshape(kernel.shape) * steps
    groups = rows.shape[2] // kernel.shape[3]
    rows = rows.reshape(*rows.shape[:2], groups, -1).transpose(2, 0, 1, 3).reshape(groups, len(rows), -1)
    found = _round(weights.reshape(groups, len(kernel) // groups, -1), rows.swapaxes(1, 2) @ rows)
    return found.reshape(kernel.shape) * steps


def _patches(
    operator: Operator, size: tuple[int, int], integers: np.ndarray, zero: int, rng: np.random.Generator
) -> np.ndarray:
    """Return what lies under some windows, zero point taken away: of shape (windows, places, channels)."""
    windows = Windows(operator, size)
    rows, columns = windows.outputs
    count = min(_ROWS, len(integers) * rows * columns)
    image, row, column = (
        np.sort(rng.choice(len(integers) * rows * columns, count, replace=False)).astype("int64")
        // np.array([[rows * columns], [columns], [1]])
        % np.array([[len(integers)], [rows], [columns]])
    )
    padded = windows.padded(integers, zero)
    (down, right), (below, beside) = windows.strides, windows.dilations
    parts = [padded[image, row * down + y * below, column * right + x * beside] for y, x in np.ndindex(*windows.size)]
    return np.stack(parts, axis=1).astype("float32") - zero


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= _ROWS else rows[np.sort(rng.choice(len(rows), _ROWS, replace=False))]


def _round(weights: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Return weights as whole numbers, of shape (groups, outputs, inputs); products of the inputs with each other."""
    products = products.astype("float64")
    diagonal = np.einsum("gii->gi", products)
    strength = np.argsort(-diagonal, axis=1)
    each = np.arange(len(products))[:, None]
    weights = weights[each, :, strength].swapaxes(1, 2).copy()
    products = products[each[:, :, None], strength[:, :, None], strength[:, None]]
    size = products.shape[1]
    products += np.maximum(_DAMPING * diagonal.mean(1), 1e-6)[:, None, None] * np.eye(size)
    factors = np.linalg.cholesky(np.linalg.inv(products)).swapaxes(1, 2)
    whole, errors = np.empty_like(weights), np.empty_like(weights)
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        for at in range(start, end):
            whole[:, :, at] = np.clip(np.rint(weights[:, :, at]), -HIGHEST, HIGHEST)
            errors[:, :, at] = (weights[:, :, at] - whole[:, :, at]) / factors[:, at, at, None]
            weights[:, :, at + 1 : end] -= errors[:, :, at, None] * factors[:, None, at, at + 1 : end]
        weights[:, :, end:] -= errors[:, :, start:end] @ factors[:, start:end, end:]
    result = np.empty_like(whole)
    result[each, :, strength] = whole.swapaxes(1, 2)
    return result
