"""Sums and products of many tensors, taken two at a time: int8 operators take no more."""

from typing import Any

import keras

from keras_lite.graph.cloning import clone
from keras_lite.graph.walk import walk

_MERGING = ("Add", "Multiply")


def in_pairs(flat: keras.Model) -> keras.Model:
    """Return a model with the same answers in which each Add and Multiply takes two tensors.

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
