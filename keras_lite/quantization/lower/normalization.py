"""Normalization layers as operators: by statistics that are known, or by those of what is at hand."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_lite.litert import Tensor
from keras_lite.quantization.lower.arithmetic import affine
from keras_lite.quantization.lower.builder import Builder, array_of, integers

# What Keras takes a length for that is next to nothing.
_SHORTEST = 1e-12


def batch_normalization(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `BatchNormalization` to a product and a sum, which a convolution before or behind it takes in."""
    scale = 1.0 / np.sqrt(array_of(layer.moving_variance) + layer.epsilon)
    if layer.scale:
        scale *= array_of(layer.gamma)
    offset = -array_of(layer.moving_mean) * scale
    if layer.center:
        offset += array_of(layer.beta)
    axis = layer.axis % len(shape)
    return affine(build, inputs[0], *(_along(values, axis, len(shape)) for values in (scale, offset)), build.name)


def layer_normalization(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `LayerNormalization`: over one axis or several, with the mean taken out or, if `rms_scaling`, left in."""
    axes = _axes(layer.axis, len(shape))
    weights = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    scale, offset = (
        None if variable is None else array_of(variable).reshape(weights) for variable in (layer.gamma, layer.beta)
    )
    if layer.rms_scaling:  # what is divided by the deviation has its mean still, and nothing is added
        deviation = _reciprocal_deviation(build, _centered(build, inputs[0], axes), axes, layer.epsilon)
        return _scaled(build, build.arithmetic("MUL", inputs[0], deviation, f"{build.name}/unit"), scale, None)
    return _scaled(build, _unit(build, inputs[0], axes, layer.epsilon), scale, offset)


def group_normalization(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `GroupNormalization`; with a group for each channel it is instance normalization."""
    axis, name = layer.axis % len(shape), build.name
    size, groups = shape[axis] // layer.groups, layer.groups
    variables = (layer.gamma if layer.scale else None, layer.beta if layer.center else None)
    scale, offset = (None if each is None else _along(array_of(each), axis, len(shape)) for each in variables)
    if size == 1:  # each channel is a group
        axes = [each for each in range(1, len(shape)) if each != axis]
        return _scaled(build, _unit(build, inputs[0], axes, layer.epsilon), scale, offset)
    # What is before the groups; the channels of a group with what is behind them.
    before, behind = (math.prod(sizes) for sizes in (shape[1:axis], shape[axis + 1 :]))
    divided = build.reshape(inputs[0], (1, before, groups, size * behind), f"{name}/groups")
    unit = _unit(build, divided, [1, 3], layer.epsilon)
    return _scaled(build, build.reshape(unit, shape, f"{name}/normalized"), scale, offset)


def rms_normalization(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `RMSNormalization`."""
    axes = _axes(layer.axis, len(shape))
    scale = None if layer.scale is None else array_of(layer.scale)
    deviation = _reciprocal_deviation(build, inputs[0], axes, layer.epsilon)
    return _scaled(build, build.arithmetic("MUL", inputs[0], deviation, f"{build.name}/unit"), scale, None)


def unit_normalization(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `UnitNormalization`; TFLite has an operator for the last axis."""
    axes, name, [x] = _axes(layer.axis, len(shape)), build.name, inputs
    if axes == [len(shape) - 1]:
        return build.add("L2_NORMALIZATION", inputs, shape, name, fused_activation_function="NONE")
    total = _reduced(build, "SUM", build.arithmetic("MUL", x, x, f"{name}/squares"), axes, f"{name}/sum")
    total = build.arithmetic("MAXIMUM", total, _SHORTEST, f"{name}/at_least")
    return build.arithmetic("MUL", x, _plain(build, "RSQRT", total, f"{name}/reciprocal"), name)


def _axes(axis: Any, rank: int) -> list[int]:
    return sorted(each % rank for each in (axis if isinstance(axis, Sequence) else [axis]))


def _along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Return values of an axis so that they are broadcast to `rank` axes."""
    return values.reshape(-1, *[1] * (rank - 1 - axis))


def _unit(build: Builder, x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    """Add what has mean 0 and deviation 1 over some axes."""
    centered = _centered(build, x, axes)
    deviation = _reciprocal_deviation(build, centered, axes, epsilon)
    return build.arithmetic("MUL", centered, deviation, f"{build.name}/unit")


def _centered(build: Builder, x: Tensor, axes: list[int]) -> Tensor:
    mean = _reduced(build, "MEAN", x, axes, f"{build.name}/mean")
    return build.arithmetic("SUB", x, mean, f"{build.name}/centered")


def _reciprocal_deviation(build: Builder, x: Tensor, axes: list[int], epsilon: float) -> Tensor:
    """Add 1 / sqrt(mean of the squares + epsilon)."""
    name = build.name
    variance = _reduced(build, "MEAN", build.arithmetic("MUL", x, x, f"{name}/squares"), axes, f"{name}/variance")
    variance = build.arithmetic("ADD", variance, float(epsilon), f"{name}/at_least")
    return _plain(build, "RSQRT", variance, f"{name}/reciprocal")


def _reduced(build: Builder, kind: str, x: Tensor, axes: list[int], name: str) -> Tensor:
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    return build.add(kind, [x, integers(f"{name}/axes", axes)], shape, name, keep_dims=True)


def _plain(build: Builder, kind: str, x: Tensor, name: str) -> Tensor:
    return build.add(kind, [x], x.shape, name)


def _scaled(build: Builder, x: Tensor, scale: np.ndarray | None, offset: np.ndarray | None) -> Tensor:
    """Add what is trained, factors and summands, where there is any. The last operator has the layer's own name."""
    scale, offset = np.ones(1) if scale is None else scale, np.zeros(1) if offset is None else offset
    y = affine(build, x, scale, offset, build.name)
    if y is x:
        x.name = build.name
    return y
