"""The activations that phones run, as stock layers."""

import keras

from keras_lite.errors import InputError

ACTIVATIONS = ("relu", "relu6", "hard_silu")


def activation_layer(activation: str, **kwargs) -> keras.layers.Layer:
    """Return the stock layer of an activation.

    Args:
        activation: `"relu"`, `"relu6"` or `"hard_silu"` (also known as h-swish: x * relu6(x + 3) / 6).
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Raises:
        InputError: If `activation` is none of those.

    Example:

    >>> keras_lite.layers.activations.activation_layer("relu6").max_value
    6.0
    """
    check_activation(activation)
    if activation == "hard_silu":
        return keras.layers.Activation("hard_silu", **kwargs)
    return keras.layers.ReLU(6.0 if activation == "relu6" else None, **kwargs)


def check_activation(activation: str) -> None:
    """Raise InputError unless `activation` is one of `ACTIVATIONS`."""
    if activation not in ACTIVATIONS:
        raise InputError(f"Expected activation to be one of {ACTIVATIONS}, received {activation!r}.")
