"""Sums, products and scaling as operators."""

import functools

import keras
import numpy as np

from keras_lite.graph.input_scaling import scale_and_offset
from keras_lite.graph.refusals import refused
from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, array_of, constant, integers
from keras_lite.quantization.lower.functions import along_last_axis

_KINDS = {"Add": "ADD", "Average": "ADD", "Maximum": "MAXIMUM", "Minimum": "MINIMUM", "Multiply": "MUL"}
_KINDS["Subtract"] = "SUB"


def merge(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower a layer that merges tensors, two at a time: sum, difference, product, mean, largest and smallest."""
    kind, name = type(layer).__name__, build.name
    tensors = [_with_axes(build, tensor, len(shape), name) for tensor in inputs]
    names = [f"{name}/part{number}" for number in range(1, len(tensors) - 1)]
    names += [f"{name}/sum" if kind == "Average" else name]
    first, *others = tensors
    steps = zip(others, names, strict=True)
    y = functools.reduce(lambda x, step: build.arithmetic(_KINDS[kind], x, *step), steps, first)
    return build.arithmetic("MUL", y, 1.0 / len(tensors), name) if kind == "Average" else y


def dot(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Dot`, of vectors or of sequences of them."""
    axes, name = layer.axes, build.name
    axes = [axes, axes] if isinstance(axes, int) else list(axes)
    axes = [axis % len(tensor.shape) for axis, tensor in zip(axes, inputs, strict=True)]
    ranks = [len(tensor.shape) for tensor in inputs]
    if ranks not in ([2, 2], [3, 3]):
        why = f"it takes tensors of {ranks[0]} and {ranks[1]} axes; write Reshape, so that both have two or both three"
        raise refused(*build.layer, why)
    if layer.normalize:
        inputs = [
            along_last_axis(
                build, "L2_NORMALIZATION", x, f"{name}/unit{number}", axis, fused_activation_function="NONE"
            )
            for number, (x, axis) in enumerate(zip(inputs, axes, strict=True), 1)
        ]
    if ranks == [2, 2]:
        products = build.arithmetic("MUL", *inputs, f"{name}/products")
        return build.add("SUM", [products, integers(f"{name}/axes", (1,))], shape, name, keep_dims=True)
    turned = {"adj_x": axes[0] == 1, "adj_y": axes[1] == 2, "asymmetric_quantize_inputs": False}
    return build.add("BATCH_MATMUL", inputs, shape, name, **turned)


def _with_axes(build: Builder, tensor: Tensor, rank: int, name: str) -> Tensor:
    """Return a tensor of as many axes as the others; Keras puts new ones behind the batch."""
    if len(tensor.shape) == rank:
        return tensor
    shape = (tensor.shape[0], *(rank - len(tensor.shape)) * (1,), *tensor.shape[1:])
    return build.reshape(tensor, shape, f"{name}/{tensor.name.replace('/', '_')}")


def scaling(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Rescaling` and `Normalization`."""
    return affine(build, inputs[0], *scale_and_offset(layer), build.name)


def layer_scale(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `LayerScale` of `keras.applications.convnext`."""
    return affine(build, inputs[0], array_of(layer.gamma), np.zeros(1), build.name)


def position_embedding(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `keras_lite.layers.PositionEmbedding`."""
    embedding = constant(f"{build.name}/embedding", array_of(layer.embedding)[None])
    return build.arithmetic("ADD", inputs[0], embedding, build.name)


def affine(build: Builder, x: Tensor, scale: np.ndarray, offset: np.ndarray, name: str) -> Tensor:
    """Add what multiplies and what adds, where there is something to do."""
    adds = bool(np.any(offset != 0.0))
    if np.any(scale != 1.0):
        # Both are kept in float64 until they are folded.
        x = build.arithmetic("MUL", x, exact(f"{name}/scale", scale), f"{name}/scaled" if adds else name)
    return build.arithmetic("ADD", x, exact(f"{name}/offset", offset), name) if adds else x


def exact(name: str, values: np.ndarray) -> Tensor:
    """Return a constant of float64, which folding reads; what is not folded becomes float32 in the end."""
    values = np.asarray(values, "float64")
    return Tensor(name, values.shape, values)
