"""Going through a model as if it were flattened, without copying a weight."""

from collections.abc import Container
from typing import Any, NamedTuple

import keras

from keras_lite.graph.flatten import as_functional, call_inside, holds_layers, is_composite
from keras_lite.graph.operations import twin_of
from keras_lite.graph.refusals import check_layer
from keras_lite.graph.view import check_step, walk
from keras_lite.layers import CompositeLayer

# Classes of layers that keras.applications keeps to itself are gone into, but for those that have operators.
_APPLICATIONS = "keras.src.applications."
_STOCK_OF_APPLICATIONS = ("LayerScale", "StochasticDepth")


class TracedCall(NamedTuple):
    """One use of a layer, wherever it stands in the model.

    Attributes:
        operation: The model's own layer (of a stock layer's subclass perhaps, as `kind` tells), the stock layer in the
            place of an operation, or an operation that has none.
        name: The layer's name in the flattened model.
        inputs: Its input tensors.
        outputs: Its output tensors.
        arguments: What it is called with, positional and by name.
    """

    operation: keras.Operation
    name: str
    inputs: list[Any]
    outputs: list[Any]
    arguments: tuple[tuple, dict[str, Any]]

    @property
    def kind(self) -> str:
        """The class of the stock layer that it is in the flattened model."""
        return stock_class(self.operation).__name__


def stock_class(operation: keras.Operation) -> type:
    """Return the class of the stock layer that stands for a layer in the flattened model; else the operation's own."""
    if not hasattr(operation, "to_stock"):
        return type(operation)
    if hasattr(operation, "stock_class"):
        return operation.stock_class
    # A subclass of a stock layer becomes that one.
    return next(each for each in type(operation).__mro__ if each.__module__.startswith("keras."))


def check_call(call: TracedCall, kinds: Container[str]) -> None:
    """Check that a call is of a layer of one of some types, Keras' or ours, with one output.

    Raises:
        InputError: If not; the message names it, and what to write instead.
    """
    check_step(call.operation, call.name, call.outputs)
    check_layer(call.operation, kinds, call.name, stock_class(call.operation))


class Trace:
    """The calls of a model as if it were flattened: composite layers and nested models are gone into.

    Args:
        model: A functional or Sequential model. It is not changed.
        own_layers: Whether layers of somebody's own classes are gone into as well, where their `call` is written with
            layers and `keras.ops`.

    Attributes:
        inputs: The model's inputs.
        outputs: Its outputs: tensors that a call gives, or inputs.
        calls: The calls, inputs first.

    Raises:
        InputError: If `model` is neither functional nor Sequential, or the call of a layer made of others can't be
            followed.

    Example:

    >>> trace = Trace(keras_lite.applications.CARNet18())
    >>> trace.calls[1].name, trace.calls[1].kind
    ('stem_batch_norm', 'BatchNormalization')
    """

    def __init__(self, model: keras.Model, own_layers: bool = False):
        functional = as_functional(model)
        self._own_layers = own_layers
        self.inputs = list(functional.inputs)
        self.calls: list[TracedCall] = []
        self.outputs = self._go_through(functional, self.inputs, "")

    def _go_through(self, model: Any, inputs: list[Any], prefix: str) -> list[Any]:
        """Add the calls of a functional model, or of tensors as one, and return its outputs."""
        found = {id(inside): tensor for inside, tensor in zip(model.inputs, inputs, strict=True)}
        for operation, _, outputs in walk(model):
            history = outputs[0]._keras_history
            node = operation._inbound_nodes[history.node_index]
            args, kwargs = keras.tree.map_structure(
                lambda value: found.get(id(value), value), (node.arguments.args, node.arguments.kwargs)
            )
            results = self._call(operation, f"{prefix}{operation.name}", args, kwargs, outputs)
            found.update({id(output): result for output, result in zip(outputs, results, strict=True)})
        return [found[id(output)] for output in model.outputs]

    def _call(
        self, operation: keras.Operation, name: str, args: tuple, kwargs: dict[str, Any], outputs: list[Any]
    ) -> list[Any]:
        inputs = [value for value in keras.tree.flatten((args, kwargs)) if keras.backend.is_keras_tensor(value)]
        if self._own_layers and _is_own(operation):
            with _Forgotten(operation):
                inside = _written_out(operation, inputs, args, kwargs)
                if inside is not None:
                    return self._go_through(inside, inputs, f"{name}_")
        if isinstance(operation, keras.Model) and not holds_layers(operation):
            return self._go_through(as_functional(operation), inputs, f"{name}_")
        if is_composite(operation):
            with _Forgotten(operation):
                results = keras.tree.flatten(call_inside(operation, name, args, kwargs))
                inside = _Inside(inputs, results)
                return self._go_through(inside, inputs, f"{name}_")
        if not isinstance(operation, keras.layers.Layer):
            twin = twin_of(operation, args, kwargs)
            if twin is not None:
                layer, taken = twin
                tensors = keras.tree.flatten(taken)
                if not isinstance(layer, keras.layers.Layer):
                    return tensors  # nothing to do
                operation, inputs, args, kwargs = layer, tensors, (taken,), {}
        open_sizes = any(None in tensor.shape[1:] for tensor in outputs)
        if open_sizes and not any(None in tensor.shape[1:] for tensor in inputs):
            # A nested model of open size, used on images of one size.
            outputs = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
        self.calls.append(TracedCall(operation, name, inputs, outputs, (args, kwargs)))
        return outputs


class _Inside(NamedTuple):
    """What a composite layer does with tensors, in the place of a functional model."""

    inputs: list[Any]
    outputs: list[Any]


def _is_own(operation: keras.Operation) -> bool:
    """Return whether an operation is a layer of somebody's own class, or of a model of keras.applications alone."""
    module, kind = type(operation).__module__, type(operation).__name__
    stock = module.startswith(("keras.", "keras_lite."))
    if module.startswith(_APPLICATIONS):
        stock = kind in _STOCK_OF_APPLICATIONS
    own = isinstance(operation, keras.layers.Layer) and not isinstance(operation, CompositeLayer | keras.Model)
    return own and not stock and not hasattr(operation, "to_stock")


def _written_out(layer: keras.layers.Layer, inputs: list[Any], args: tuple, kwargs: dict[str, Any]) -> _Inside | None:
    """Return what a layer does with one image, in layers and `keras.ops`; None where that can't be seen."""
    twins = {id(tensor): keras.Input(batch_shape=(1, *tensor.shape[1:]), dtype=tensor.dtype) for tensor in inputs}
    args, kwargs = keras.tree.map_structure(lambda value: twins.get(id(value), value), (args, kwargs))
    try:
        results = keras.tree.flatten(layer.call(*args, **kwargs))
    except Exception:  # somebody's code, which may raise anything where it is given symbols
        return None
    seen = bool(results) and all(keras.backend.is_keras_tensor(each) for each in results)
    return _Inside([twins[id(tensor)] for tensor in inputs], results) if seen else None


class _Forgotten:
    """Within the block a composite layer may be called on symbolic tensors, of which its layers know nothing later."""

    def __init__(self, layer: keras.layers.Layer):
        self.layers = list(layer._flatten_layers(include_self=False))

    def __enter__(self) -> None:
        self.before = [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in self.layers]

    def __exit__(self, *error: Any) -> None:
        for layer, (inbound, outbound) in zip(self.layers, self.before, strict=True):
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]
