"""Turning a model of composite layers into one of stock layers, with the same weights and answers."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers import CompositeLayer


def flatten(model: keras.Model) -> keras.Model:
    """Return a model of stock Keras layers that answers like `model` and shares nothing with it.

    Composite layers and nested models are inlined; a layer inside one gets the outer name in front of its own
    (`stage1_block1_attention_squeeze`). A layer that has a stock equivalent (`to_stock`) is replaced by it.

    Args:
        model: A functional or Sequential Keras model, on any backend.

    Returns:
        A functional `keras.Model` with the weights copied.

    Raises:
        InputError: If `model` is neither functional nor Sequential, or has no known input shape yet.

    Example:

    >>> flat = keras_lite.graph.flatten(keras_lite.applications.CARNet18())
    >>> {type(layer).__name__ for layer in flat.layers} >= {"DepthwiseConv2D", "Multiply"}
    True
    """
    model = as_functional(model)
    flat = _flatten_once(model)
    while any(_is_composite(layer) or hasattr(layer, "to_stock") for layer in flat.layers):
        flat = _flatten_once(flat)
    return flat


def as_functional(model: keras.Model) -> keras.Model:
    """Return a functional or Sequential model as a functional one that shares its layers."""
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise InputError(
            "Expected a functional or built Sequential Keras 3 model, "
            f"received {type(model).__module__}.{type(model).__name__}."
        )
    return model


def _is_composite(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, CompositeLayer | keras.Model)


def _flatten_once(model: keras.Model) -> keras.Model:
    pairs = []
    renamed = set()

    def clone(layer):
        if isinstance(layer, keras.layers.Layer) and hasattr(layer, "to_stock"):
            copy = layer.to_stock()
        else:
            copy = type(layer).from_config(layer.get_config())
        if isinstance(copy, CompositeLayer):
            copy.stock = True
        if isinstance(layer, keras.layers.Layer):
            pairs.append((layer, copy))
        return copy

    def call(layer, *args, **kwargs):
        if not _is_composite(layer):
            return layer(*args, **kwargs)
        if not layer.built:
            layer.build(keras.tree.map_structure(lambda tensor: tensor.shape, args[0]))
        if id(layer) not in renamed:
            renamed.add(id(layer))
            for inner in layer.layers if isinstance(layer, keras.Model) else layer.sublayers:
                inner.name = f"{layer.name}_{inner.name}"
        return layer.call(*args, **kwargs)

    flat = keras.models.clone_model(model, clone_function=clone, call_function=call)
    # By layer: the order of all weights of a model changes when its layers are inlined.
    for original, copy in pairs:
        copy.set_weights(original.get_weights())
    return flat
