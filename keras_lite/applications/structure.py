"""What tells one network from another, so that weights with a name go into the network they are for."""

import hashlib
import json

import keras

# What may differ: a model can have another head, or none.
_HEAD = ("average_pool", "max_pool", "dropout", "flatten", "hidden", "hidden_activation", "predictions")


def structure_of(model: keras.Model) -> str:
    """Return a digest of a network up to its head: names, kinds, strides and weights' shapes of its layers.

    Layers without strides and weights are passed over, as are the input's size and what scales it.
    """
    layers = [
        [layer.name, type(layer).__name__, getattr(layer, "strides", None), [list(w.shape) for w in layer.weights]]
        for layer in model.layers
        if layer.name not in _HEAD and (layer.weights or hasattr(layer, "strides"))
    ]
    return hashlib.sha256(json.dumps(layers).encode()).hexdigest()[:16]
