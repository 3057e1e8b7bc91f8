"""Activations as operators, inside a layer and alone."""

import keras

from keras_lite.graph.refusals import refused
from keras_lite.graph.view import activation_name
from keras_lite.litert import Tensor
from keras_lite.quantization.lower import functions
from keras_lite.quantization.lower.builder import Builder, constant
from keras_lite.quantization.lower.functions import ACTIVATIONS


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
    if not isinstance(kind, str) or kind not in ACTIVATIONS or keras.activations.get(kind) is not layer.activation:
        given = (
            kind if isinstance(kind, str) else getattr(layer.activation, "__name__", type(layer.activation).__name__)
        )
        why = f"its activation {given!r} is none of those that have operators; write one of {', '.join(ACTIVATIONS)}"
        raise refused(build.name, type(layer).__name__, why)
    return ACTIVATIONS[kind](build, tensor, name)


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
    names = [f"{name}/passed", f"{name}/sum", f"{name}/limited"]
    last = max(0, (slope != 0.0) + (highest is not None))
    names = [*names[:last], name]
    y = functions.above_threshold(build, x, names.pop(0), threshold)
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
    """Lower `ELU`."""
    return functions.elu(build, inputs[0], build.name, float(layer.alpha))
