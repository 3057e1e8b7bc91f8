"""Channels whose output is a constant: their scale in an int8 file would be one that XNNPACK can't run."""

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.graph.view import WEIGHTED, View

# A channel is dead if its weights are below this share of the layer's largest, or of its own offset, which must fit
# into 32 bits in steps as wide as theirs; mended, it has one weight of the other share.
_DEAD, _MENDED = 1e-5, 1e-4


def mend_dead_channels(flat: keras.Model) -> list[str]:
    """Give each dead channel one weight that is too small to change an output, in place.

    Pruning and weight decay leave channels whose kernel, or whose factor in the batch normalization behind it, is next
    to zero. The output of such a channel, a constant, moves into the bias or the batch normalization.

    Args:
        flat: A flattened model, on any backend.

    Returns:
        `"LAYER (channels INDEX, ...)"` for each layer that was mended.

    Raises:
        InputError: If a weight is not a finite number; the message names the layer.
    """
    _check_finite(flat)
    return [text for layer, user in _weighted_layers(flat) if (text := _mend(layer, user))]


def _check_finite(flat: keras.Model) -> None:
    for layer in flat.layers:
        if not all(np.isfinite(values).all() for values in layer.get_weights()):
            raise InputError(f"Expected finite weights, received inf or nan in layer {layer.name}.")


def _weighted_layers(flat: keras.Model):
    """Yield each convolution or dense layer, and the batch normalization that alone takes its output, or None."""
    view = View(flat, layers_only=True)
    for layer, _, [output] in view.calls:
        if type(layer).__name__ in WEIGHTED:
            behind = view.only_consumer(output)
            linear = layer.activation is None or layer.activation is keras.activations.linear
            yield layer, behind if type(behind).__name__ == "BatchNormalization" and linear else None


def _mend(layer: keras.layers.Layer, norm: keras.layers.Layer | None) -> str | None:
    [kernel, *rest] = layer.get_weights()
    shape = kernel.shape
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    # One column a channel.
    columns = kernel.reshape(shape[0] * shape[1], -1) if depthwise else kernel.reshape(-1, shape[-1])
    factor, offset = _factor_and_offset(norm, rest, columns.shape[1])
    sizes = np.abs(columns).max(axis=0) * np.abs(factor)
    sound = np.maximum(sizes.max(), np.abs(offset))
    dead = sizes <= _DEAD * sound
    if not dead.any():
        return None
    columns[:, dead] = 0.0
    columns[0, dead] = _MENDED * np.where(sound > 0.0, sound, 1.0)[dead]
    if norm is None:
        layer.set_weights([columns.reshape(shape), *rest])
    else:
        # With bias, the offset has it already.
        layer.set_weights([columns.reshape(shape), *(np.where(dead, 0.0, bias) for bias in rest)])
        if norm.scale:
            norm.gamma.assign(np.where(dead, 1.0, norm.gamma))
        if norm.center:
            norm.beta.assign(np.where(dead, 0.0, norm.beta))
        norm.moving_variance.assign(np.where(dead, 1.0 - norm.epsilon, norm.moving_variance))
        norm.moving_mean.assign(np.where(dead, -offset, norm.moving_mean))
    return f"{layer.name} (channels {', '.join(map(str, np.flatnonzero(dead)))})"


def _factor_and_offset(norm: keras.layers.Layer | None, biases: list, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the outputs of the kernel are multiplied by, and what is added then."""
    bias = np.asarray(biases[0]) if biases else np.zeros(count)
    if norm is None:
        return np.ones(count), bias
    factor = 1.0 / np.sqrt(np.asarray(norm.moving_variance, "float64") + norm.epsilon)
    if norm.scale:
        factor = factor * np.asarray(norm.gamma)
    offset = (bias - np.asarray(norm.moving_mean)) * factor
    return factor, offset + np.asarray(norm.beta) if norm.center else offset
