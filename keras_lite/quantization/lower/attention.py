"""Attention as operators."""

import keras
import numpy as np

from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, array_of, constant


def strided_attention(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `keras_lite.layers.StridedAttention`: softmax(q k^T / sqrt(channels) + bias) v, in several heads."""
    name = build.name
    queries, keys, values = (
        _by_head(build, tensor, layer.heads, f"{name}/{role}")
        for tensor, role in zip(inputs, ("queries", "keys", "values"), strict=True)
    )
    (_, heads, count, channels), positions = queries.shape, keys.shape[2]
    matmul = {"adj_x": False, "asymmetric_quantize_inputs": False}
    scores = build.add(
        "BATCH_MATMUL", [queries, keys], (1, heads, count, positions), f"{name}/products", adj_y=True, **matmul
    )
    scores = build.arithmetic("MUL", scores, np.float32(channels**-0.5), f"{name}/scaled")
    biases = constant(f"{name}/biases", array_of(layer.biases)[None, :, layer.distances])
    scores = build.arithmetic("ADD", scores, biases, f"{name}/scores")
    weights = build.add("SOFTMAX", [scores], scores.shape, f"{name}/weights", beta=1.0)
    mixed = (1, heads, count, values.shape[3])
    outputs = build.add("BATCH_MATMUL", [weights, values], mixed, f"{name}/by_head", adj_y=False, **matmul)
    return build.reshape(build.transpose(outputs, (0, 2, 1, 3), f"{name}/by_position"), shape, name)


def _by_head(build: Builder, x: Tensor, heads: int, name: str) -> Tensor:
    """Add what makes (1, height, width, heads * n) into (1, heads, height * width, n)."""
    _, height, width, channels = x.shape
    divided = build.reshape(x, (1, height * width, heads, channels // heads), f"{name}_divided")
    return build.transpose(divided, (0, 2, 1, 3), name)
