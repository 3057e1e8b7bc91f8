"""Folding layers that scale a model's input into others, so that they cost nothing in int8.

A model that takes pixels from 0 to 255 and starts with `Rescaling` or `Normalization` multiplies and adds; so does its
first convolution. A factor always goes into the kernel. What is added goes into the bias, if the convolution pads
nothing: padding is zero behind the scaling, not before. Otherwise the scaling becomes a 1x1 depthwise convolution. In
both cases the file takes the pixels themselves, and its input's scale and zero point are theirs.
"""

import collections

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.graph.cloning import clone, copy_layer
from keras_lite.graph.view import IDLE, View

layers = keras.layers

_SCALING = ("Normalization", "Rescaling")


def fold_input_scaling(flat: keras.Model) -> keras.Model:
    """Return a model with the same outputs without layers that scale the input.

    Args:
        flat: A flattened model with one input, on any backend. It is not changed.

    Returns:
        A functional model in which the layers that hold the scale are not trainable.

    Raises:
        InputError: If a scaling layer's numbers differ along another axis than the channels.
    """
    chain, users = _scaling_layers(flat)
    found = _scaling_by(chain, flat.inputs[0].shape[-1])
    if found is None:
        return flat
    scale, offset = found
    inside = {layer.name for layer in chain}
    if users and all(_takes(user, offset) for user in users):
        return _scale_kernels(flat, inside, {user.name: user for user in users}, scale=scale, offset=offset)
    if len(flat.inputs[0].shape) != 4:
        return flat
    return _scale_by_convolution(flat, chain, scale, offset)


def input_scaling(flat: keras.Model) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what a model multiplies its input by and adds to it before anything else, a number a channel each.

    Args:
        flat: A flattened model with one input.

    Returns:
        Factors and summands; None if the model does not scale its input.

    Raises:
        InputError: If a scaling layer's numbers differ along another axis than the channels.
    """
    chain, _ = _scaling_layers(flat)
    return _scaling_by(chain, flat.inputs[0].shape[-1])


def scale_and_offset(layer: keras.layers.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return what a Rescaling or Normalization multiplies by and adds: two numbers, or two for each channel.

    Raises:
        InputError: If the numbers differ along another axis than the channels.
    """
    if type(layer).__name__ == "Rescaling":
        scale, offset = (np.asarray(value, "float64") for value in (layer.scale, layer.offset))
    else:
        mean, variance = (np.asarray(keras.ops.convert_to_numpy(x), "float64") for x in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
        scale, offset = (deviation, mean) if layer.invert else (1.0 / deviation, -mean / deviation)
    if any(values.size not in (1, values.shape[-1]) for values in (scale, offset) if values.ndim):
        raise InputError(
            f"Expected numbers for the whole image or for each channel, received layer {layer.name} "
            f"({type(layer).__name__}) with an array of shape {scale.shape}."
        )
    return tuple(values.reshape(-1) if values.size > 1 else values.reshape(()) for values in (scale, offset))


def _scaling_by(chain: list[keras.layers.Layer], channels: int) -> tuple[np.ndarray, np.ndarray] | None:
    scaling = [layer for layer in chain if type(layer).__name__ in _SCALING]
    scale, offset = np.ones(channels), np.zeros(channels)
    for layer in scaling:
        factor, summand = scale_and_offset(layer)
        scale, offset = scale * factor, offset * factor + summand
    return (scale, offset) if scaling else None


def _scaling_layers(flat: keras.Model) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Return the layers between the input and the first that is more than scaling, and the layers behind those."""
    view = View(flat, layers_only=True)
    uses = collections.Counter(call.operation.name for call in view.calls)
    chain: list[keras.layers.Layer] = []
    tensor = flat.inputs[0]
    while tensor is not flat.outputs[0]:
        behind = view.consumers(tensor)
        passes = len(behind) == 1 and type(behind[0].operation).__name__ in (*_SCALING, *IDLE)
        if not passes or uses[behind[0].operation.name] > 1:
            break
        [(layer, _, [tensor])] = behind
        chain.append(layer)
    last = [call.operation for call in view.consumers(tensor)]
    return chain, last if all(uses[layer.name] == 1 for layer in last) and tensor is not flat.outputs[0] else []


def _takes(layer: keras.layers.Layer, offset: np.ndarray) -> bool:
    """Return whether a layer can scale its input itself."""
    kind = type(layer).__name__
    if kind == "Dense":
        return len(layer.input.shape) == 2
    if kind not in ("Conv2D", "DepthwiseConv2D") or getattr(layer, "groups", 1) != 1:
        return False
    return not offset.any() or layer.padding == "valid" or tuple(layer.kernel_size) == (1, 1)


def _scale_kernels(
    flat: keras.Model,
    left_out: set[str],
    users: dict[str, keras.layers.Layer],
    *,
    scale: np.ndarray,
    offset: np.ndarray,
) -> keras.Model:
    copies = {}

    def copy(layer):
        if layer.name not in users or not offset.any():
            copied = copy_layer(layer)
        else:
            copied = type(layer).from_config({**layer.get_config(), "use_bias": True})
        if layer.name in users:
            copies[layer.name] = copied
        return copied

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in left_out else layer(*args, **kwargs)

    folded = clone(flat, call, copy, new={*users, *left_out})
    for name, layer in users.items():
        kernel, *bias = (np.asarray(values, "float64") for values in layer.get_weights())
        # The axis of the input's channels: second from the end in every kernel here.
        added = (kernel * offset[:, None]).reshape(-1, kernel.shape[-2], kernel.shape[-1]).sum(axis=0)
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        added = added.reshape(-1) if depthwise else added.sum(axis=0)
        weights = [kernel * scale[:, None]]
        if copies[name].use_bias:
            weights.append(added + bias[0] if bias else added)
        copies[name].set_weights(weights)
        copies[name].trainable = False
    return folded


def _scale_by_convolution(
    flat: keras.Model, chain: list[keras.layers.Layer], scale: np.ndarray, offset: np.ndarray
) -> keras.Model:
    inside = {layer.name for layer in chain}
    convolution = layers.DepthwiseConv2D(1, name=chain[-1].name)

    def call(layer, *args, **kwargs):
        if layer.name == convolution.name:
            return convolution(args[0])
        return args[0] if layer.name in inside else layer(*args, **kwargs)

    folded = clone(flat, call, new=inside)
    convolution.set_weights([scale.reshape(1, 1, -1, 1), offset])
    convolution.trainable = False
    return folded
