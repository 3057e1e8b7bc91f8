"""Digests of networks, so that named weights go only into the network they are for."""

import hashlib
import json

import keras

from keras_lite.checkpoints import registry
from keras_lite.checkpoints.registry import CLASSIFIER, HIDDEN
from keras_lite.layers.activations import HardSwish

# What may differ: a model can have another head, or none.
_FACTS = ("strides", "activation", "gate", "max_value")
_HEAD = ("average_pool", "max_pool", "dropout", "flatten", HIDDEN, "hidden_activation", CLASSIFIER)


def structure_of(model: keras.Model) -> str:
    """Return a digest of a network without its head: its layers' names, types, strides, activations, shapes of weights.

    Layers without any of these are left out, and so are the input's size and layers that scale it.
    """
    layers = []
    for layer in model.layers:
        config = layer.get_config()
        facts = [config[name] for name in _FACTS if name in config]
        if layer.name not in _HEAD and (layer.weights or facts or isinstance(layer, HardSwish)):
            layers.append([layer.name, type(layer).__name__, facts, [list(w.shape) for w in layer.weights]])
    return hashlib.sha256(json.dumps(layers).encode()).hexdigest()[:16]


def network_of(call: str) -> str:
    """Return the name of the network that a call makes.

    Args:
        call: A call of a network's function, such as `"CARNet18(classes=10)"`.

    Example:

    >>> network_of("CARNet18(classes=10)")
    'carnet18'
    """
    function = call.partition("(")[0]
    return next(name for name, builder in registry.builders().items() if builder.__name__ == function)
