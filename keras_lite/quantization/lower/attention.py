"""Attention as operators."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import Tensor
from keras_lite.quantization.lower.arithmetic import exact
from keras_lite.quantization.lower.builder import Builder, array_of, constant, integers

# What Keras takes from the scores of what must not be looked at.
_HIDDEN = -1e9


def strided_attention(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `keras_lite.layers.StridedAttention`: softmax(q k^T / sqrt(channels) + bias) v, in several heads."""
    name = build.name
    queries, keys, values = (
        _by_head(build, _in_a_row(build, tensor, f"{name}/{role}_in_a_row"), layer.heads, f"{name}/{role}")
        for tensor, role in zip(inputs, ("queries", "keys", "values"), strict=True)
    )
    scores = _products(build, queries, keys)
    scores = build.arithmetic("MUL", scores, np.float32(queries.shape[-1] ** -0.5), f"{name}/scaled")
    biases = constant(f"{name}/biases", array_of(layer.biases)[None, :, layer.distances])
    outputs = _mixed(build, build.arithmetic("ADD", scores, biases, f"{name}/scores"), values, f"{name}/by_head")
    return build.reshape(build.transpose(outputs, (0, 2, 1, 3), f"{name}/by_position"), shape, name)


def multi_head_attention(
    build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]
) -> Tensor:
    """Lower `MultiHeadAttention`, of a sequence or an image, with itself or another, with a constant mask."""
    name, given = build.name, _given(build, layer, ("query_mask", "value_mask", "key_mask", "attention_mask"))
    value = given["value"]
    query, key = given["query"], value if given.get("key") is None else given["key"]
    rank, heads = len(query.shape), layer.num_heads
    looked_along = [axis % rank for axis in layer.attention_axes]
    apart = [axis for axis in range(1, rank - 1) if axis not in looked_along]
    order = (0, *apart, *looked_along, rank - 1)
    sequences = math.prod(query.shape[axis] for axis in apart)

    def projected(x: Tensor, dense: keras.layers.Layer, role: str, factor: float = 1.0) -> Tensor:
        x = _turned(build, x, order, f"{name}/{role}_turned")
        x = _dense(build, _in_a_row(build, x, f"{name}/{role}_in_a_row"), dense, f"{name}/{role}_projected")
        return (
            x if factor == 1.0 else build.arithmetic("MUL", x, exact(f"{name}/factor", factor), f"{name}/{role}_scaled")
        )

    queries = projected(query, layer.query_dense, "queries", layer.key_dim**-0.5)
    keys, values = projected(key, layer.key_dense, "keys"), projected(value, layer.value_dense, "values")
    by_head = [
        _by_head(build, x, heads, f"{name}/{role}", sequences)
        for x, role in ((queries, "queries"), (keys, "keys"), (values, "values"))
    ]
    scores = _hidden(build, _products(build, *by_head[:2]), _mask_of_heads(build, layer, given, query, value, apart))
    mixed = _mixed(build, scores, by_head[2], f"{name}/by_head")
    y = _by_position(build, mixed, heads, sequences)
    if getattr(layer, "_use_gate", False):
        gate = projected(query, layer._gate_dense, "gate")
        gate = build.add("LOGISTIC", [gate], gate.shape, f"{name}/gate")
        y = build.arithmetic("MUL", y, gate, f"{name}/gated")
    y = _dense(build, y, layer.output_dense, f"{name}/outputs")
    outputs = shape[rank - 1 :]
    y = build.reshape(y, (1, *(query.shape[axis] for axis in (*apart, *looked_along)), *outputs), f"{name}/positions")
    back = np.argsort(order).tolist()[: rank - 1] + list(range(rank - 1, len(shape)))
    y = _turned(build, y, back, name)
    y.name = name
    return y


def attention(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Attention` and `AdditiveAttention`, with constant masks."""
    name, given = build.name, _given(build, layer, ("mask",))
    query, value, *rest = given["inputs"]
    key = rest[0] if rest else value
    scores = _scores(build, layer, query, key)
    masks = [None if each is None else np.asarray(each, bool) for each in (given.get("mask") or [None, None])]
    seen = np.ones((1, query.shape[-2], key.shape[-2]), bool)
    if masks[1] is not None:
        seen = seen & masks[1].reshape(-1, 1, key.shape[-2])
    if given.get("use_causal_mask"):
        seen = seen & np.tri(*seen.shape[-2:], dtype=bool)
    y = _mixed(build, _hidden(build, scores, seen), value, name)
    if masks[0] is None:
        return y
    return build.arithmetic("MUL", y, masks[0].reshape(-1, query.shape[-2], 1).astype("float32"), f"{name}/kept")


def softmax(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Softmax` along any axis or axes; TFLite's is along the last one, so others are brought there and back."""
    [x], name = inputs, build.name
    mask = _given(build, layer, ("mask",)).get("mask")
    if mask is not None:
        x = _hidden(build, x, np.broadcast_to(np.asarray(mask) > 0.5, shape), layer.axis)
    along = [axis % len(shape) for axis in (layer.axis if isinstance(layer.axis, Sequence) else [layer.axis])]
    order = [axis for axis in range(len(shape)) if axis not in along] + along
    last = _turned(build, x, order, f"{name}/turned")
    flat = (
        last
        if len(along) == 1
        else build.reshape(
            last,
            (*last.shape[: len(shape) - len(along)], math.prod(last.shape[len(shape) - len(along) :])),
            f"{name}/flat",
        )
    )
    y = build.add("SOFTMAX", [flat], flat.shape, f"{name}/shares", beta=1.0)
    y = y if flat is last else build.reshape(y, last.shape, f"{name}/last_axes")
    y = _turned(build, y, np.argsort(order).tolist(), name)
    y.name = name
    return y


def _given(build: Builder, layer: keras.layers.Layer, constants: tuple[str, ...]) -> dict[str, Any]:
    """Return what a layer is called with, by name.

    Args:
        build: The builder, which knows the arguments.
        layer: The layer.
        constants: Those of them that must be constant; they become arrays.
    """
    args, kwargs = build.arguments
    given = inspect.signature(layer.call).bind(*args, **kwargs).arguments
    for name in constants:
        parts = keras.tree.flatten(given.get(name))
        if any(isinstance(each, Tensor) for each in parts):
            raise InputError(
                f"Expected a constant as {name} of layer {build.name} ({type(layer).__name__}), received one that the "
                "model computes; give an array."
            )
        if given.get(name) is not None:
            given[name] = keras.tree.map_structure(
                lambda each: None if each is None else keras.ops.convert_to_numpy(each), given[name]
            )
    return given


def _mask_of_heads(
    build: Builder, layer: keras.layers.Layer, given: dict[str, Any], query: Tensor, value: Tensor, apart: list[int]
) -> np.ndarray:
    """Return which queries of a MultiHeadAttention see which keys: of shape (1, heads or 1, queries, keys)."""
    axes = [axis % len(query.shape) for axis in layer.attention_axes]
    sizes = [[tensor.shape[axis] for axis in axes] for tensor in (query, value)]
    queries, keys = (math.prod(each) for each in sizes)
    seen = np.ones((1, 1, queries, keys), bool)
    if given.get("use_causal_mask"):
        seen = seen & np.tri(queries, keys, dtype=bool)
    if getattr(layer, "_sliding_window", None) is not None:
        seen = seen & (np.abs(np.arange(queries)[:, None] - np.arange(keys)) < layer._sliding_window)
    for name, along in (("query_mask", (-1, 1)), ("value_mask", (1, -1)), ("key_mask", (1, -1))):
        if given.get(name) is not None:
            seen = seen & np.asarray(given[name], bool).reshape(1, 1, *along)
    mask = given.get("attention_mask")
    if mask is None:
        return seen
    mask = np.asarray(mask, bool)
    each = mask.shape[: max(0, mask.ndim - 2 * len(axes))]
    if len(each) > 2 or each[:1] not in ((), (1,)) or apart:
        raise InputError(
            f"Expected an attention_mask of one image, for all axes, in layer {build.name} (MultiHeadAttention), "
            f"received one of shape {mask.shape}."
        )
    mask = np.broadcast_to(mask, (*each, *sizes[0], *sizes[1]))
    return seen & mask.reshape(1, *(each[1:] or (1,)), queries, keys)


def _scores(build: Builder, layer: keras.layers.Layer, query: Tensor, key: Tensor) -> Tensor:
    """Add the scores of an Attention or AdditiveAttention."""
    name, additive = build.name, type(layer).__name__ == "AdditiveAttention"
    scale = None if layer.scale is None else array_of(layer.scale)
    if layer.score_mode == "dot" and not additive:
        scores = _products(build, query, key)
        return scores if scale is None else build.arithmetic("MUL", scores, scale, f"{name}/scaled")
    *batch, queries, channels = query.shape
    pairs = build.arithmetic(
        "ADD",
        build.reshape(query, (*batch, queries, 1, channels), f"{name}/queries"),
        build.reshape(key, (*batch, 1, key.shape[-2], channels), f"{name}/keys"),
        f"{name}/pairs",
    )
    if scale is not None and not additive:
        pairs = build.arithmetic("MUL", pairs, scale, f"{name}/pairs_scaled")
    bent = build.add("TANH", [pairs], pairs.shape, f"{name}/bent")
    if scale is not None and additive:
        bent = build.arithmetic("MUL", bent, scale, f"{name}/bent_scaled")
    axes = integers(f"{name}/axes", [len(pairs.shape) - 1])
    scores = build.add("SUM", [bent, axes], pairs.shape[:-1], f"{name}/sums", keep_dims=False)
    return (
        scores if additive else build.arithmetic("MUL", scores, array_of(layer.concat_score_weight), f"{name}/scores")
    )


def _products(build: Builder, queries: Tensor, keys: Tensor) -> Tensor:
    """Add q k^T, of shape (..., queries, keys)."""
    shape = (*queries.shape[:-1], keys.shape[-2])
    options = {"adj_x": False, "adj_y": True, "asymmetric_quantize_inputs": False}
    return build.add("BATCH_MATMUL", [queries, keys], shape, f"{build.name}/products", **options)


def _hidden(build: Builder, scores: Tensor, seen: np.ndarray, axis: int | Sequence[int] = -1) -> Tensor:
    """Add what takes those scores out of play that must not be seen."""
    if seen.all():
        return scores
    if not seen.any(tuple(axis) if isinstance(axis, Sequence) else axis).all():
        raise InputError(f"Expected a mask that leaves something to see everywhere, received none in {build.name}.")
    hidden = np.where(seen, 0.0, _HIDDEN)
    hidden = hidden.reshape(hidden.shape[max(0, hidden.ndim - len(scores.shape)) :])
    return build.arithmetic("ADD", scores, hidden, f"{build.name}/seen")


def _mixed(build: Builder, scores: Tensor, values: Tensor, name: str) -> Tensor:
    """Add softmax(scores) v."""
    weights = build.add("SOFTMAX", [scores], scores.shape, f"{build.name}/weights", beta=1.0)
    shape = (*scores.shape[:-1], values.shape[-1])
    options = {"adj_x": False, "adj_y": False, "asymmetric_quantize_inputs": False}
    return build.add("BATCH_MATMUL", [weights, values], shape, name, **options)


def _dense(build: Builder, x: Tensor, layer: keras.layers.Layer, name: str) -> Tensor:
    """Add an EinsumDense of `MultiHeadAttention`: all channels with each other."""
    outputs = math.prod(layer.kernel.shape) // x.shape[-1]
    kernel = array_of(layer.kernel).reshape(x.shape[-1], outputs).T
    bias = np.zeros(outputs) if layer.bias is None else array_of(layer.bias).reshape(outputs)
    inputs = [x, constant(f"{name}/kernel", kernel), constant(f"{name}/bias", bias)]
    options = {"fused_activation_function": "NONE", "keep_num_dims": True}
    return build.add("FULLY_CONNECTED", inputs, (*x.shape[:-1], outputs), name, **options)


def _in_a_row(build: Builder, x: Tensor, name: str) -> Tensor:
    """Add what makes (1, height, width, channels) into (1, height * width, channels)."""
    return x if len(x.shape) == 3 else build.reshape(x, (1, math.prod(x.shape[1:-1]), x.shape[-1]), name)


def _turned(build: Builder, x: Tensor, order: Sequence[int], name: str) -> Tensor:
    return x if list(order) == list(range(len(order))) else build.transpose(x, order, name)


def _by_head(build: Builder, x: Tensor, heads: int, name: str, sequences: int = 1) -> Tensor:
    """Add what makes (1, sequences * positions, heads * n) into (1, sequences * heads, positions, n)."""
    _, positions, channels = x.shape
    positions, each = positions // sequences, channels // heads
    if sequences == 1:
        divided = build.reshape(x, (1, positions, heads, each), f"{name}_divided")
        return build.transpose(divided, (0, 2, 1, 3), name)
    divided = build.reshape(x, (1, sequences, positions, heads, each), f"{name}_divided")
    turned = build.transpose(divided, (0, 1, 3, 2, 4), f"{name}_by_sequence")
    return build.reshape(turned, (1, sequences * heads, positions, each), name)


def _by_position(build: Builder, x: Tensor, heads: int, sequences: int) -> Tensor:
    """Undo `_by_head`."""
    name, (_, _, positions, each) = build.name, x.shape
    if sequences > 1:
        x = build.reshape(x, (1, sequences, heads, positions, each), f"{name}/by_sequence")
    order = (0, 2, 1, 3) if sequences == 1 else (0, 1, 3, 2, 4)
    turned = build.transpose(x, order, f"{name}/by_position")
    return build.reshape(turned, (1, sequences * positions, heads * each), f"{name}/mixed")
