"""Multiply-accumulates of one layer."""

import inspect
import math
import re
from typing import Any

import keras

layers = keras.layers

BETWEEN_ACTIVATIONS = "products between activations"
UNKNOWN = "anything"

_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
WITH_KERNEL = (*_CONVOLUTIONS, *_DEPTHWISE, *_SEPARABLE, *_TRANSPOSED, layers.Dense)
_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)
# Whose products are between activations alone.
_PRODUCTS = frozenset(
    (
        "Attention", "AdditiveAttention", "StridedAttention", "DotProductAttention", "Dot", "Matmul", "Einsum",
        "Tensordot", "Vdot", "Inner", "Outer", "Kron", "Cross", "Correlate",
    )
)  # fmt: skip
# Layers and operations without multiply-accumulates: by the places where Keras keeps them, with what is none there.
_WITHOUT = re.compile(
    r"keras_lite\.layers\."
    r"|keras\.src\.layers\.(activations|pooling|normalization|regularization|merging|reshaping|preprocessing)\."
    r"|keras\.src\.layers\.core\.(embedding|identity|masking|input_layer)"
    r"|keras\.src\.applications\."  # what scales or drops channels
    r"|keras\.src\.ops\.(numpy|nn|core|math|image|einops)"
)
_NOT_WITHOUT = frozenset(
    (
        "SpectralNormalization", "STFTSpectrogram", "MelSpectrogram", "Conv", "DepthwiseConv", "SeparableConv",
        "ConvTranspose", "GaussianBlur", "CDist", "STFT", "ISTFT", "Map", "Scan", "AssociativeScan", "WhileLoop",
        "ForiLoop", "Cond", "Switch", "VectorizedMap",
    )
)  # fmt: skip


def multiply_accumulates(operation: keras.Operation, node: Any) -> tuple[int, str]:
    """Return the multiply-accumulates with a layer's weights for one image, without bias, and what is not counted.

    Args:
        operation: A layer, or an operation that is none.
        node: The use of it in a functional model.

    Returns:
        The number, and `""`, `BETWEEN_ACTIVATIONS` or `UNKNOWN` for what it leaves out.
    """
    kind = type(operation).__name__
    if isinstance(operation, (*WITH_KERNEL, *_ATTENTION, layers.EinsumDense)):
        inputs = [tuple(tensor.shape[1:]) for tensor in node.input_tensors]
        outputs = tuple(node.outputs[0].shape[1:])
        if any(None in shape for shape in inputs):
            return 0, UNKNOWN
        if isinstance(operation, _ATTENTION):
            return _of_attention(operation, node), BETWEEN_ACTIVATIONS
        if isinstance(operation, layers.EinsumDense):
            return _of_einsum(operation, inputs[0])
        return _with_kernel(operation, math.prod(inputs[0]), math.prod(outputs)), ""
    if kind in _PRODUCTS:
        return 0, BETWEEN_ACTIVATIONS
    is_without = _WITHOUT.match(type(operation).__module__) and kind not in _NOT_WITHOUT
    return 0, "" if is_without else UNKNOWN


def _with_kernel(layer: keras.layers.Layer, inputs: int, outputs: int) -> int:
    """Count a layer of `WITH_KERNEL`, given how many numbers it takes and gives."""
    if isinstance(layer, layers.Dense):
        return inputs * layer.units
    if isinstance(layer, _SEPARABLE):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return kernels * (outputs // layer.filters)
    kernel = layer.kernel.shape
    if isinstance(layer, _TRANSPOSED):  # each input position meets the whole kernel
        return math.prod(kernel) * (inputs // kernel[-1])
    channels = math.prod(kernel[-2:]) if isinstance(layer, _DEPTHWISE) else layer.filters
    return math.prod(kernel) * (outputs // channels)


def _of_einsum(layer: keras.layers.EinsumDense, input_shape: tuple[int, ...]) -> tuple[int, str]:
    """Count the product of an input and a kernel: each combination of the equation's indices is one."""
    taken, kernel = layer.equation.replace(" ", "").partition("->")[0].split(",")
    front, dots, back = taken.partition("...")
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    shape = (1, *input_shape)  # one image
    if "..." in kernel or len(sizes) != len(kernel):
        return 0, UNKNOWN
    middle = shape[len(front) : len(shape) - len(back)] if dots else ()
    sizes |= dict(zip(front + back, (*shape[: len(front)], *shape[len(shape) - len(back) :]), strict=True))
    return math.prod(sizes.values()) * math.prod(middle), ""


def _of_attention(layer: keras.layers.Layer, node: Any) -> int:
    """Count the dense layers of queries, keys, values and outputs."""
    given = inspect.signature(layer.call).bind(*node.arguments.args, **node.arguments.kwargs).arguments
    query, value = given["query"], given["value"]
    key = given.get("key")
    positions = {"key": value if key is None else key, "value": value}
    total = 0
    for weight in layer.weights:
        *_, role, name = weight.path.split("/")
        if name == "kernel":
            total += math.prod(weight.shape) * math.prod(positions.get(role, query).shape[1:-1])
    return total
