"""Activations as operators, inside a layer and alone."""

from collections.abc import Callable

import keras
import numpy as np

from keras_lite.errors import InputError
from keras_lite.graph.view import activation_name
from keras_lite.litert import Tensor
from keras_lite.quantization.lower.builder import Builder, constant

_LEAKY_SLOPE = 0.2  # of Keras' activation leaky_relu


def activation(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Activation`."""
    return activate(build, layer, inputs[0], build.name)


def activate(build: Builder, layer: keras.layers.Layer, tensor: Tensor, name: str) -> Tensor:
    """Add the activation that a layer has; nothing where it is linear.

    Raises:
        InputError: If there are no operators for it.
    """
    kind = activation_name(layer)
    if kind == "linear":
        return tensor
    if not isinstance(kind, str) or kind not in _ACTIVATIONS or keras.activations.get(kind) is not layer.activation:
        raise InputError(
            f"Expected an activation among {sorted(_ACTIVATIONS)}, received {kind!r} in layer {build.name}."
        )
    return _ACTIVATIONS[kind](build, tensor, name)


def before_activation(build: Builder, layer: keras.layers.Layer) -> str:
    """Return the name of what a layer computes before its activation."""
    return build.name if activation_name(layer) == "linear" else f"{build.name}/linear"


def relu(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `ReLU` in all its forms."""
    [x] = inputs
    name, slope, threshold = build.name, float(layer.negative_slope), float(layer.threshold)
    highest = None if layer.max_value is None else float(layer.max_value)
    if threshold:
        return _with_threshold(build, x, name, slope=slope, threshold=threshold, highest=highest)
    if not slope and highest in (6.0, 1.0):
        return build.add("RELU6" if highest == 6.0 else "RELU_0_TO_1", [x], x.shape, name)
    below = name if highest is None else f"{name}/rectified"
    y = build.add("LEAKY_RELU", [x], x.shape, below, alpha=slope) if slope else build.add("RELU", [x], x.shape, below)
    return y if highest is None else build.arithmetic("MINIMUM", y, highest, name)


def _with_threshold(
    build: Builder, x: Tensor, name: str, *, slope: float, threshold: float, highest: float | None
) -> Tensor:
    """Add x where it is above the threshold, else slope (x - threshold), and no more than `highest`."""
    limit = constant(f"{name}/threshold", threshold)
    above = build.add("GREATER", [x, limit], x.shape, f"{name}/above", dtype="bool")
    kept = build.add("CAST", [above], x.shape, f"{name}/kept", in_data_type="BOOL", out_data_type="FLOAT32")
    names = [f"{name}/passed", f"{name}/sum", f"{name}/limited"]
    last = max(0, (slope != 0.0) + (highest is not None))
    names = [*names[:last], name]
    y = build.arithmetic("MUL", x, kept, names.pop(0))
    if slope:
        below = build.arithmetic("SUB", x, threshold, f"{name}/below")
        below = build.arithmetic("MINIMUM", below, 0.0, f"{name}/below_only")
        y = build.arithmetic("ADD", y, build.arithmetic("MUL", below, slope, f"{name}/leak"), names.pop(0))
    return y if highest is None else build.arithmetic("MINIMUM", y, highest, names.pop(0))


def leaky_relu(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `LeakyReLU`."""
    return build.add("LEAKY_RELU", inputs, shape, build.name, alpha=float(layer.negative_slope))


def prelu(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `PReLU`."""
    return build.add("PRELU", [inputs[0], constant(f"{build.name}/alpha", layer.alpha)], shape, build.name)


def elu(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `ELU`: TFLite's has an alpha of 1, so another one is put on the part below zero."""
    alpha, name = float(layer.alpha), build.name
    if alpha == 1.0:
        return build.add("ELU", inputs, shape, name)
    above = build.add("RELU", inputs, shape, f"{name}/above")
    below = build.arithmetic("MINIMUM", inputs[0], 0.0, f"{name}/negative")
    below = build.add("ELU", [below], shape, f"{name}/below")
    return build.arithmetic("ADD", above, build.arithmetic("MUL", below, alpha, f"{name}/scaled"), name)


def _plain(kind: str, **options) -> Callable[[Builder, Tensor, str], Tensor]:
    return lambda build, x, name: build.add(kind, [x], x.shape, name, **options)


def _silu(build: Builder, x: Tensor, name: str) -> Tensor:
    return build.arithmetic("MUL", x, build.add("LOGISTIC", [x], x.shape, f"{name}/sigmoid"), name)


def _hard_sigmoid(build: Builder, x: Tensor, name: str) -> Tensor:
    shifted = build.arithmetic("ADD", x, 3.0, f"{name}/shifted")
    cut = build.add("RELU6", [shifted], x.shape, f"{name}/relu6")
    return build.arithmetic("MUL", cut, np.float32(1.0 / 6.0), name)


def _softmax(build: Builder, x: Tensor, name: str) -> Tensor:
    return build.add("SOFTMAX", [x], x.shape, name, beta=1.0)


_ACTIVATIONS: dict[str, Callable[[Builder, Tensor, str], Tensor]] = {
    "elu": _plain("ELU"),
    "exponential": _plain("EXP"),
    "gelu": _plain("GELU", approximate=False),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _plain("HARD_SWISH"),
    "leaky_relu": _plain("LEAKY_RELU", alpha=_LEAKY_SLOPE),
    "relu": _plain("RELU"),
    "relu6": _plain("RELU6"),
    "sigmoid": _plain("LOGISTIC"),
    "silu": _silu,
    "softmax": _softmax,
    "tanh": _plain("TANH"),
}
