"""Walking through a functional model, call by call."""

from collections.abc import Iterator
from typing import Any

import keras


def walk(model: keras.Model) -> Iterator[tuple[keras.Operation, list[Any], list[Any]]]:
    """Yield each call in a functional model that its outputs depend on, inputs first.

    Args:
        model: A functional Keras model.

    Yields:
        The layer, or the operation that is none; its input tensors; its output tensors.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.Dense(2, name="answer")(inputs))
    >>> [layer.name for layer, inputs, outputs in keras_lite.graph.walk(model)]
    ['answer']
    """
    seen = {id(tensor) for tensor in model.inputs}
    pending = list(model.outputs)
    while pending:
        tensor = pending[-1]
        if id(tensor) in seen:
            pending.pop()
            continue
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        inputs = list(node.input_tensors)
        missing = [value for value in inputs if id(value) not in seen]
        if missing:
            pending += missing
            continue
        pending.pop()
        outputs = list(node.output_tensors)
        seen.update(id(output) for output in outputs)
        yield history.operation, inputs, outputs
