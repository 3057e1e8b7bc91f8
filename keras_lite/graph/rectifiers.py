"""Rewriting ReLU in all its forms to the few forms that have an int8 operator."""

from collections.abc import Callable
from typing import Any

import keras

from keras_lite.graph.cloning import clone, copy_layer
from keras_lite.graph.view import WEIGHTED, View, producer, sources

layers = keras.layers

# The slope of Keras' activation of that name.
_LEAKY, _SLOPE = "leaky_relu", 0.2
_WITH_ACTIVATION = (*WEIGHTED, "SeparableConv2D")


def plain_rectifiers(flat: keras.Model) -> keras.Model:
    """Return a model with the same outputs whose rectifiers are `ReLU`, `ReLU(max_value)` and `LeakyReLU`.

    - `ReLU(negative_slope=a)` and the activation `leaky_relu`, inside a layer too, become `LeakyReLU`; so does
      max(x, a x), written out. `LeakyReLU(0)` is a `ReLU`.
    - `ReLU(max_value=m, negative_slope=a)` becomes m - relu(m - leaky(x)).
    - `ReLU(max_value=m)` that only a concatenation takes becomes relu6(6 x / m) m / 6: a range that ends at m would cut
      off elsewhere, but an int8 file gives each part the range of the whole.
    - A `ReLU` with a threshold other than 0 stays as it is: it jumps there, which nothing else does.

    Args:
        flat: A flattened model, on any backend. It is not changed.

    Returns:
        A functional model, or `flat` itself where there is nothing to do. Behind a layer with the activation inside
        stands `LAYER_leaky_relu`.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = plain_rectifiers(keras.Model(inputs, keras.layers.ReLU(negative_slope=0.1)(inputs)))
    >>> type(model.layers[-1]).__name__
    'LeakyReLU'
    """
    before_concatenation = _capped_before_concatenation(flat)
    if not before_concatenation and not any(_may_change(layer) for layer in flat.layers):
        return flat
    inside = {layer.name for layer in flat.layers if type(layer).__name__ in _WITH_ACTIVATION and _is_leaky(layer)}
    # One layer in the place of one that is called several times.
    made: dict[str, keras.layers.Layer] = {}

    def copy(layer):
        if layer.name not in inside:
            return copy_layer(layer)
        return type(layer).from_config({**layer.get_config(), "activation": "linear"})

    def call(layer, *args, **kwargs):
        if layer.name in inside:
            return _chain(made, _leaky(f"{layer.name}_{_LEAKY}", _SLOPE, layer))(layer(*args, **kwargs))
        inputs, steps = (args[0], _by_relu6(layer)) if layer.name in before_concatenation else _steps(layer, args[0])
        return _chain(made, *steps)(inputs) if steps else layer(*args, **kwargs)

    return clone(flat, call, copy)


def _may_change(layer: keras.layers.Layer) -> bool:
    kind = type(layer).__name__
    if kind in ("LeakyReLU", "ReLU"):
        return (layer.negative_slope == 0.0) == (kind == "LeakyReLU")
    return kind == "Maximum" or _is_leaky(layer)


def _capped_before_concatenation(flat: keras.Model) -> set[str]:
    """Return the names of ReLUs with a highest value, but of ReLU6, that only a concatenation takes."""
    view = View(flat)
    return {
        layer.name
        for layer, _, outputs in view.calls
        if type(layer).__name__ == "ReLU" and layer.max_value not in (None, 0.0, 6.0)
        and (layer.negative_slope, layer.threshold) == (0.0, 0.0)
        and [type(call.operation).__name__ for call in view.consumers(outputs[0])] == ["Concatenate"]
    }  # fmt: skip


def _by_relu6(layer: keras.layers.ReLU) -> list[keras.layers.Layer]:
    highest, dtype = float(layer.max_value), layer.dtype_policy
    return [
        layers.Rescaling(6.0 / highest, name=f"{layer.name}_as_6", dtype=dtype),
        layers.ReLU(6.0, name=f"{layer.name}_relu6", dtype=dtype),
        layers.Rescaling(highest / 6.0, name=layer.name, dtype=dtype),
    ]


def _steps(layer: keras.layers.Layer, inputs: Any) -> tuple[Any, list[keras.layers.Layer]]:
    """Return the layers that stand for one, and what the first of them takes; no layers where it stays."""
    kind, name = type(layer).__name__, layer.name
    if kind == "Activation" and _is_leaky(layer):
        return inputs, [_leaky(name, _SLOPE, layer)]
    if kind == "LeakyReLU" and layer.negative_slope == 0.0:
        return inputs, [layers.ReLU(name=name, dtype=layer.dtype_policy)]
    if kind == "Maximum" and len(inputs) == 2:
        for tensor, scaled in (inputs, inputs[::-1]):
            slope = _factor(scaled, tensor)
            if slope is not None and 0.0 < slope < 1.0:
                return tensor, [_leaky(name, slope, layer)]
    if kind != "ReLU" or layer.negative_slope == 0.0 or layer.threshold != 0.0:
        return inputs, []
    if layer.max_value is None:
        return inputs, [_leaky(name, layer.negative_slope, layer)]
    below = {"scale": -1.0, "offset": float(layer.max_value), "dtype": layer.dtype_policy}
    return inputs, [
        _leaky(f"{name}_leaky", layer.negative_slope, layer),
        layers.Rescaling(**below, name=f"{name}_below"),
        layers.ReLU(name=f"{name}_rest", dtype=layer.dtype_policy),
        layers.Rescaling(**below, name=name),
    ]


def _chain(made: dict[str, keras.layers.Layer], *steps: keras.layers.Layer) -> Callable[[Any], Any]:
    def chained(tensor):
        for step in steps:
            tensor = made.setdefault(step.name, step)(tensor)
        return tensor

    return chained


def _leaky(name: str, slope: float, layer: keras.layers.Layer) -> keras.layers.Layer:
    return layers.LeakyReLU(float(slope), name=name, dtype=layer.dtype_policy)


def _is_leaky(layer: keras.layers.Layer) -> bool:
    return getattr(layer, "activation", None) is keras.activations.leaky_relu


def _factor(scaled: Any, tensor: Any) -> float | None:
    """Return the number that one tensor is another's multiple by, or None if it is no multiple."""
    maker = producer(scaled)
    if type(maker).__name__ != "Rescaling" or isinstance(maker.scale, list) or maker.offset != 0.0:
        return None
    [source] = sources(scaled)
    return float(maker.scale) if source is tensor else None
