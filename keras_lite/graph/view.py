"""A functional model as a graph of calls: the producer and the consumers of each tensor."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from keras_lite.errors import InputError
from keras_lite.graph.refusals import refusal

# Layers with a kernel, by type: their int8 operators have weights and a bias, and can take in what stands behind them.
WEIGHTED = ("Conv2D", "DepthwiseConv2D", "Dense")
# Layers that do nothing when a model predicts, but for plain dropout.
NOISE = ("ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Identity")
# The same with those that change photos in training.
IDLE = (
    *NOISE,
    "RandomBrightness",
    "RandomColorJitter",
    "RandomContrast",
    "RandomFlip",
    "RandomGrayscale",
    "RandomHue",
    "RandomRotation",
    "RandomSaturation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)


class Call(NamedTuple):
    """One use of a layer in a functional model.

    Attributes:
        operation: The layer, or an operation that is no layer.
        inputs: Its input tensors.
        outputs: Its output tensors.
    """

    operation: keras.Operation
    inputs: list[Any]
    outputs: list[Any]


def walk(model: keras.Model) -> Iterator[Call]:
    """Yield each call in a functional model that its outputs depend on, inputs first.

    Args:
        model: A functional Keras model.

    Yields:
        The layer, or the operation that is none; its input tensors; its output tensors.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.Dense(2, name="output")(inputs))
    >>> [layer.name for layer, inputs, outputs in keras_lite.graph.walk(model)]
    ['output']
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
        yield Call(history.operation, inputs, outputs)


def layer_calls(model: keras.Model) -> Iterator[Call]:
    """Yield what `walk` yields, of a model of layers with one output each.

    Raises:
        InputError: If a call is of an operation that is no layer, or has several output tensors.
    """
    for call in walk(model):
        check_step(call.operation, call.operation.name, call.outputs)
        yield call


def check_step(operation: keras.Operation, name: str, outputs: list[Any]) -> None:
    """Check that an operation is a layer with one output.

    Args:
        operation: The operation.
        name: What it is called in the message.
        outputs: Its outputs.

    Raises:
        InputError: If not.
    """
    is_layer = isinstance(operation, keras.layers.Layer)
    if not is_layer or len(outputs) != 1:
        why = "it has several outputs" if is_layer else refusal(type(operation).__name__, is_layer)
        raise InputError(
            "Expected every step of the model to be a layer with one output, "
            f"received {name} ({type(operation).__name__}): {why}."
        )


class View:
    """The neighbors of each layer in a functional model.

    Args:
        model: A functional model. It is not changed, and must not be while it is viewed.
        layers_only: Whether to insist that it holds only layers with one output.

    Attributes:
        calls: All calls that the outputs depend on, inputs first.

    Raises:
        InputError: If `layers_only` and that is not so; the message names the layer or operation.

    Example:

    >>> inputs = keras.Input((4,))
    >>> hidden = keras.layers.Dense(8, name="hidden")(inputs)
    >>> view = View(keras.Model(inputs, keras.layers.Dense(2, name="output")(hidden)))
    >>> view.producer(hidden).name, view.only_consumer(hidden).name
    ('hidden', 'output')
    """

    def __init__(self, model: keras.Model, layers_only: bool = False):
        self.calls = list(layer_calls(model) if layers_only else walk(model))
        self._outputs = {id(tensor) for tensor in model.outputs}
        self._producers = {id(tensor): call.operation for call in self.calls for tensor in call.outputs}
        self._consumers: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                self._consumers.setdefault(id(tensor), []).append(call)

    def producer(self, tensor: keras.KerasTensor) -> keras.Operation | None:
        """Return the layer that makes a tensor; None for an input of the model."""
        return self._producers.get(id(tensor))

    def consumers(self, tensor: keras.KerasTensor) -> list[Call]:
        """Return the calls that take a tensor; a call that takes it twice is listed twice."""
        return self._consumers.get(id(tensor), [])

    def only_consumer(self, tensor: keras.KerasTensor) -> keras.Operation | None:
        """Return the only consumer of a tensor; None if there are several, or the tensor is an output of the model."""
        calls = self.consumers(tensor)
        return calls[0].operation if len(calls) == 1 and id(tensor) not in self._outputs else None


def producer(tensor: keras.KerasTensor) -> keras.Operation:
    """Return what made a tensor, in a model or one that is being built."""
    return tensor._keras_history.operation


def sources(tensor: keras.KerasTensor) -> list[Any]:
    """Return the tensors that a tensor was made of, in a model or one that is being built."""
    history = tensor._keras_history
    return list(history.operation._inbound_nodes[history.node_index].input_tensors)


def activation_name(layer: keras.layers.Layer) -> str:
    """Return the Keras name of a layer's activation; `"linear"` of none."""
    return keras.activations.serialize(layer.activation) if layer.activation else "linear"


def is_relu(layer: Any) -> bool:
    """Return whether a layer is a ReLU of any kind, also one with a maximum such as ReLU6; False for None."""
    if type(layer).__name__ == "Activation":
        return _function_name(layer) in ("relu", "relu6")
    return type(layer).__name__ == "ReLU"


def is_plain_relu(layer: Any) -> bool:
    """Return whether a layer is max(x, 0) and nothing else; False for None."""
    if type(layer).__name__ == "Activation":
        return _function_name(layer) == "relu"
    plain = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
    return type(layer).__name__ == "ReLU" and all(getattr(layer, name) == value for name, value in plain.items())


def _function_name(layer: Any) -> str:
    return getattr(layer.activation, "__name__", "")
