"""Rounding weights by their effect: what one weight is rounded by, those behind it make up for."""

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from keras_lite.litert import Operator, QuantizedGraph, Tensor
from keras_lite.litert.integer.windows import Windows
from keras_lite.litert.samples import Samples, arrays_of
from keras_lite.litert.scheme import CHANNEL_AXES, HIGHEST
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.observe import running, written
from keras_lite.runtime.session import LiteRTSession

_ROUNDED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# Rows of inputs that tell how weights work together; so many times as many are to choose from, out of some images.
_ROWS, _TIMES, _LEAST_IMAGES, _MOST_IMAGES = 4096, 4, 16, 128
# Integers of the images, and floats of the rows, that are in memory at a time.
_MOST_HELD, _MOST_VALUES = 1 << 25, 1 << 24
# Of the mean square of the inputs: what is added to all, so that inputs that never vary don't count for nothing.
_DAMPING = 0.01
# Weights of an output that are rounded before those behind them hear of it.
_BLOCK = 64


def round_by_effect(
    calibrated: CalibratedGraph, images: np.ndarray | Samples, session: LiteRTSession | None = None
) -> CalibratedGraph:
    """Return a graph whose kernels are rounded by their effect on the outputs.

    The weights of an output are rounded one after the other, those of the strongest inputs first; what each is moved by
    is made up for by the ones that are left, as far as their inputs go along with its own. Transposed convolutions stay
    as they are: which of their weights work together differs from pixel to pixel of a stride.

    Source: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
    ICLR 2023 (arXiv:2210.17323).

    Args:
        calibrated: A graph with ranges.
        images: The preprocessed images, or other samples, that set them, float32. Some are used.
        session: What runs the int8 file. None: a session of its own.
    """
    graph, form = calibrated.graph, calibrated.form
    floats = [operator for operator in form.whole if operator.kind in _ROUNDED]
    layers = [operator for operator in graph.operators if operator.kind in _ROUNDED and not operator.is_float]
    changed, scales = {}, dict(calibrated.scales)
    kernels = dict(zip(layers, (operator.kernel for operator in floats), strict=True))
    with running(session) as session, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for some, taken in _taken(graph, layers, images, session):
            rounded = pool.map(rounded_kernel, some, [kernels[made].data for made in some], taken)
            for made, values in zip(some, rounded, strict=True):
                kernel = kernels[made]
                changed[kernel] = Tensor(kernel.name, kernel.shape, values.astype("float32"))
                scales[changed[kernel]] = made.kernel.quantization.exact_scales
    return dataclasses.replace(calibrated, form=form.with_constants(changed), scales=scales)


def _taken(
    graph: QuantizedGraph, layers: list[Operator], images: np.ndarray | Samples, session: LiteRTSession
) -> Iterator[tuple[list[Operator], list[np.ndarray]]]:
    """Yield layers, as many as there is memory for, and what each takes for some images: more where they are small."""
    given = dict(zip(graph.inputs, arrays_of(images, [tensor.name for tensor in graph.inputs]), strict=True))
    counts = []
    for layer in layers:
        places = layer.output.size // layer.output.shape[-1]
        counts.append(min(len(images), _MOST_IMAGES, max(_LEAST_IMAGES, -(-_TIMES * _ROWS // places))))
    at = 0
    while at < len(layers):
        # As many layers at a time as there is memory for.
        held = np.cumsum([count * each.source.size for each, count in zip(layers[at:], counts[at:], strict=True)])
        end = at + max(1, int(np.searchsorted(held, _MOST_HELD, side="right")))
        some = {layer.source: count for layer, count in zip(layers[at:end], counts[at:end], strict=True)}
        inner = [tensor for tensor in some if tensor not in given]
        found = {}
        if inner:
            content = written(dataclasses.replace(graph, outputs=inner), sum(tensor.size for tensor in inner))
            found = dict(zip(inner, session.values(content, images, [some[each] for each in inner]), strict=True))
        for tensor in set(some) - set(found):
            found[tensor] = tensor.quantization.quantize(given[tensor][: some[tensor]])
        yield layers[at:end], [found[layer.source] for layer in layers[at:end]]
        at = end


def rounded_kernel(operator: Operator, kernel: np.ndarray, taken: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a kernel of floats rounded to the steps of the operator's, by its effect on the outputs.

    Args:
        operator: An int8 convolution or dense layer.
        kernel: Its kernel in floats.
        taken: The integers that it takes, of shape `(images, ...)`.
        seed: Of the places that are looked at, where there are more than needed.
    """
    axis = CHANNEL_AXES[operator.kind]
    steps = operator.kernel.quantization.scales.reshape([-1 if each == axis else 1 for each in range(kernel.ndim)])
    zero = operator.source.quantization.zero_point
    weights = kernel.astype("float64") / steps
    rng = np.random.default_rng(seed)
    if operator.kind == "FULLY_CONNECTED":
        rows = _some(taken.reshape(-1, kernel.shape[1]), rng).astype("float32") - zero
        return _round(weights[None], (rows.T @ rows)[None])[0] * steps
    rows = _patches(operator, kernel.shape[1:3], taken, zero, rng)  # rows, places, channels
    if operator.kind == "DEPTHWISE_CONV_2D":
        rows = np.repeat(rows, kernel.shape[3] // rows.shape[2], axis=2).transpose(2, 1, 0)
        found = _round(weights.reshape(-1, kernel.shape[3]).T[:, None], rows @ rows.swapaxes(1, 2))
        return found[:, 0].T.reshape(kernel.shape) * steps
    groups = rows.shape[2] // kernel.shape[3]
    rows = rows.reshape(*rows.shape[:2], groups, -1).transpose(2, 0, 1, 3).reshape(groups, len(rows), -1)
    found = _round(weights.reshape(groups, len(kernel) // groups, -1), rows.swapaxes(1, 2) @ rows)
    return found.reshape(kernel.shape) * steps


def _patches(
    operator: Operator, size: tuple[int, int], taken: np.ndarray, zero: int, rng: np.random.Generator
) -> np.ndarray:
    """Return what lies under some windows, zero point taken away: of shape (windows, places, channels)."""
    windows = Windows(operator, size)
    rows, columns = windows.outputs
    each = windows.size[0] * windows.size[1] * taken.shape[3]
    count = min(_ROWS, max(1, _MOST_VALUES // each), len(taken) * rows * columns)
    image, row, column = (
        np.sort(rng.choice(len(taken) * rows * columns, count, replace=False)).astype("int64")
        // np.array([[rows * columns], [columns], [1]])
        % np.array([[len(taken)], [rows], [columns]])
    )
    padded = windows.padded(taken, zero)
    (down, right), (below, beside) = windows.strides, windows.dilations
    parts = [padded[image, row * down + y * below, column * right + x * beside] for y, x in np.ndindex(*windows.size)]
    found = np.stack(parts, axis=1).astype("float32")
    found -= zero
    return found


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows if len(rows) <= _ROWS else rows[np.sort(rng.choice(len(rows), _ROWS, replace=False))]


def _round(weights: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Return weights as whole numbers, of shape (groups, outputs, inputs); products of the inputs with each other."""
    products = products.astype("float64")
    diagonal = np.einsum("gii->gi", products)
    # They are rounded from the last to the first: the strongest is last.
    strength = np.argsort(diagonal, axis=1)
    each = np.arange(len(products))[:, None]
    weights = weights[each, :, strength].swapaxes(1, 2).copy()
    products = products[each[:, :, None], strength[:, :, None], strength[:, None]]
    size = products.shape[1]
    products += np.maximum(_DAMPING * diagonal.mean(1), 1e-12)[:, None, None] * np.eye(size)
    factors = np.linalg.cholesky(products)
    # By how much those before it make up for a weight that is too small by one.
    factors /= np.einsum("gii->gi", factors)[:, None]
    wanted, whole, errors = weights.copy(), np.empty_like(weights), np.empty_like(weights)
    for end in range(size, 0, -_BLOCK):
        start = max(end - _BLOCK, 0)
        for at in range(end - 1, start - 1, -1):
            whole[:, :, at] = np.clip(np.rint(weights[:, :, at]), -HIGHEST, HIGHEST)
            errors[:, :, at] = wanted[:, :, at] - whole[:, :, at]
            weights[:, :, start:at] += errors[:, :, at, None] * factors[:, None, at, start:at]
        weights[:, :, :start] += errors[:, :, start:end] @ factors[:, start:end, :start]
    result = np.empty_like(whole)
    result[each, :, strength] = whole.swapaxes(1, 2)
    return result
