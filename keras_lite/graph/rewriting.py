"""Rewriting a flat model, exactly, into layers that have an int8 operator, before it is carried to tf_keras.

- SeparableConv2D becomes a depthwise and a 1x1 convolution.
- relu6(x + 3) / 6 and x * relu6(x + 3) / 6, written out, become the activations hard_sigmoid and hard_silu, and
  x * sigmoid(x) becomes silu.
- Global maximum pooling becomes maximum pooling with a window of the size of the image.
- An activation or pooling that is computed twice of the same tensor is computed once.
- Sums and products of many tensors, and rectifiers in all their forms: see `keras_lite.graph.in_pairs` and
  `keras_lite.graph.plain_rectifiers`.
- A layer without weights that is used several times becomes as many layers.
- What scales the input goes into the first convolutions: see `keras_lite.graph.input_scaling`.
"""

import json
from typing import Any

import keras

from keras_lite.graph.cloning import clone, copy_layer
from keras_lite.graph.input_scaling import fold_input_scaling
from keras_lite.graph.rectifiers import plain_rectifiers
from keras_lite.graph.view import activation_name, producer, sources, walk

layers = keras.layers

_COMPUTED_ONCE = ("Activation", "AveragePooling2D", "LeakyReLU", "MaxPooling2D", "ReLU")
_MERGING = ("Add", "Multiply")


def rewrite(flat: keras.Model) -> keras.Model:
    """Return a model with the same outputs, in layers that have an int8 operator.

    Args:
        flat: A flattened model with one input and one output, on any backend. It is not changed.

    Returns:
        A functional model. Those of its layers that are not trainable must keep their weights: they were frozen, or
        they hold the scale of the input, for which a step of training would be far too large.
    """
    flat = plain_rectifiers(in_pairs(flat))
    separable = {layer.name: layer for layer in flat.layers if type(layer).__name__ == "SeparableConv2D"}
    called: set[str] = set()
    computed: dict[tuple[int, str, str], Any] = {}
    halves: dict[str, tuple[keras.layers.Layer, keras.layers.Layer]] = {}

    def call(layer, *args, **kwargs):
        if layer.name in separable:
            if layer.name not in halves:
                halves[layer.name] = _halves(layer)
            depthwise, pointwise = halves[layer.name]
            return pointwise(depthwise(*args))
        source = _written_out(layer, *args)
        if source is not None:
            name, inputs = source
            return layers.Activation(name, name=layer.name)(inputs)
        if type(layer).__name__ == "GlobalMaxPooling2D" and None not in args[0].shape[1:]:
            return _pool_whole_image(layer, args[0])
        if layer.name in called and not layer.weights:
            layer = _copy_under_another_name(layer, called)
        called.add(layer.name)
        if type(layer).__name__ not in _COMPUTED_ONCE:
            return layer(*args, **kwargs)
        key = (id(args[0]), type(layer).__name__, json.dumps({**layer.get_config(), "name": None}, default=str))
        if key not in computed:
            computed[key] = layer(*args, **kwargs)
        return computed[key]

    rewritten = clone(flat, call, new=separable)
    for name, (depthwise, pointwise) in halves.items():
        depthwise_kernel, *weights = separable[name].get_weights()
        depthwise.set_weights([depthwise_kernel])
        pointwise.set_weights(weights)
    return fold_input_scaling(rewritten)


def in_pairs(flat: keras.Model) -> keras.Model:
    """Return a model with the same outputs in which each Add and Multiply takes two tensors.

    Of many tensors those side by side are merged first, then what came of them: in int8 each merging rounds, and this
    way the most that a tensor goes through are as few as can be. The last merging keeps the layer's name, the others
    are called `NAME_part1`, `NAME_part2`, ....

    Args:
        flat: A flattened model, on any backend. It is not changed.

    Returns:
        A functional model; `flat` itself where no layer takes more than two tensors.

    Example:

    >>> inputs = [keras.Input((4,)) for _ in range(3)]
    >>> model = in_pairs(keras.Model(inputs, keras.layers.Add(name="sum")(inputs)))
    >>> [layer.name for layer in model.layers if type(layer).__name__ == "Add"]
    ['sum_part1', 'sum']
    """
    if not any(len(inputs) > 2 for layer, inputs, _ in walk(flat) if type(layer).__name__ in _MERGING):
        return flat
    # One layer for each part of a layer that is called several times.
    made: dict[str, keras.layers.Layer] = {}

    def call(layer, *args, **kwargs):
        if type(layer).__name__ in _MERGING and len(args[0]) > 2:
            return _merge(layer, list(args[0]), made)
        return layer(*args, **kwargs)

    return clone(flat, call)


def _merge(layer: keras.layers.Layer, tensors: list[Any], made: dict[str, keras.layers.Layer]) -> Any:
    number = 0
    while len(tensors) > 2:
        merged = []
        for pair in (tensors[at : at + 2] for at in range(0, len(tensors), 2)):
            if len(pair) == 2:
                number += 1
                name = f"{layer.name}_part{number}"
                pair = [made.setdefault(name, type(layer)(name=name, dtype=layer.dtype_policy))(pair)]
            merged += pair
        tensors = merged
    return layer(tensors)


def _halves(layer: keras.layers.SeparableConv2D) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    depthwise = layers.DepthwiseConv2D(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        data_format=layer.data_format,
        use_bias=False,
        trainable=layer.trainable,
        name=f"{layer.name}_depthwise",
    )
    pointwise = layers.Conv2D(
        layer.filters,
        1,
        data_format=layer.data_format,
        use_bias=layer.use_bias,
        activation=layer.activation,
        trainable=layer.trainable,
        name=layer.name,
    )
    return depthwise, pointwise


def _pool_whole_image(layer: keras.layers.GlobalMaxPooling2D, inputs: Any) -> Any:
    pooled = layers.MaxPooling2D(tuple(inputs.shape[1:3]), name=f"{layer.name}_window")(inputs)
    shape = (1, 1, inputs.shape[3]) if layer.keepdims else (inputs.shape[3],)
    return layers.Reshape(shape, name=layer.name)(pooled)


def _copy_under_another_name(layer: keras.layers.Layer, taken: set[str]) -> keras.layers.Layer:
    copied = copy_layer(layer)
    number = 2
    while f"{layer.name}_use{number}" in taken:
        number += 1
    copied.name = f"{layer.name}_use{number}"
    return copied


def _written_out(layer: keras.layers.Layer, *args: Any) -> tuple[str, Any] | None:
    """Return the activation that `layer` is the last step of, and that one's input."""
    kind = type(layer).__name__
    if kind == "Rescaling" and _is_number(layer, 1.0 / 6.0, 0.0):
        if _is_shifted(args[0]):
            return "hard_sigmoid", _source(_source(args[0]))
        if type(producer(args[0])).__name__ == "Multiply":
            for gate, tensor in _both_ways(sources(args[0])):
                if _is_shifted(gate) and _source(_source(gate)) is tensor:
                    return "hard_silu", tensor
    if kind == "Multiply" and len(args[0]) == 2:
        for gate, tensor in _both_ways(args[0]):
            name = _activation_of(producer(gate))
            if name in ("hard_sigmoid", "sigmoid") and _source(gate) is tensor:
                return {"hard_sigmoid": "hard_silu", "sigmoid": "silu"}[name], tensor
    return None


def _both_ways(pair: list[Any]) -> list[tuple[Any, Any]]:
    return [tuple(pair), tuple(pair[::-1])] if len(pair) == 2 else []


def _is_shifted(tensor: Any) -> bool:
    """Return whether a tensor is relu6(x + 3)."""
    maker = producer(tensor)
    cut_off = _activation_of(maker) == "relu6" or (
        type(maker).__name__ == "ReLU" and (maker.max_value, maker.negative_slope, maker.threshold) == (6.0, 0.0, 0.0)
    )
    return cut_off and _is_number(producer(_source(tensor)), 1.0, 3.0)


def _is_number(layer: keras.layers.Layer, scale: float, offset: float) -> bool:
    if type(layer).__name__ != "Rescaling" or isinstance(layer.scale, list) or isinstance(layer.offset, list):
        return False
    return abs(layer.scale - scale) < 1e-6 and abs(layer.offset - offset) < 1e-6


def _activation_of(layer: keras.layers.Layer) -> str | None:
    return activation_name(layer) if type(layer).__name__ == "Activation" else None


def _source(tensor: Any) -> Any:
    before = sources(tensor)
    return before[0] if before else None
