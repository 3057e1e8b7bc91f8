"""Turning a model of composite layers into one of stock layers, with the same weights and outputs."""

import inspect
from typing import Any

import keras

from keras_lite.errors import InputError
from keras_lite.graph.cloning import clone, copy_layer
from keras_lite.graph.operations import operations_to_layers
from keras_lite.layers import CompositeLayer


def flatten(model: keras.Model) -> keras.Model:
    """Return a model of stock Keras layers with the outputs of `model`; it shares nothing with it.

    Composite layers and nested models are inlined, those of other packages too, if they are made of layers alone and
    their `call` can be followed; a layer inside one gets the outer name in front of its own
    (`stage1_block1_attention_squeeze`). A layer that has a stock equivalent (`to_stock`) is replaced by it. So is an
    operation that is no layer, such as `x + y`, `x / 255` or `keras.ops.relu(x)`, if there is a layer that does the
    same; if not, it stays.

    Args:
        model: Any functional or Sequential Keras 3 model, nested ones too, on any backend.

    Returns:
        A functional `keras.Model` with the weights copied.

    Raises:
        InputError: If `model` is neither functional nor Sequential, has no known input shape yet, or holds a layer
            that can't be built again; the message names it.

    Example:

    >>> flat = keras_lite.graph.flatten(keras_lite.applications.CARNet18())
    >>> {type(layer).__name__ for layer in flat.layers} >= {"DepthwiseConv2D", "Multiply"}
    True
    """
    model = as_functional(model)
    flat = _flatten_once(model)
    while any(is_composite(layer) or hasattr(layer, "to_stock") for layer in flat.layers):
        flat = _flatten_once(flat)
    return operations_to_layers(flat)


def as_functional(model: keras.Model) -> keras.Model:
    """Return a functional or Sequential model as a functional one that shares its layers."""
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise InputError(
            "Expected a functional or built Sequential Keras 3 model, "
            f"received {type(model).__module__}.{type(model).__name__}{_instead(model)}."
        )
    return model


def _instead(model: Any) -> str:
    subclassed = isinstance(model, keras.Model) and not isinstance(model, keras.Sequential)
    return "; call it on symbolic inputs: keras.Model(inputs, model(inputs))" if subclassed else ""


def with_input_shape(model: keras.Model, input_shape: tuple[int, ...] | list[tuple[int, ...]]) -> keras.Model:
    """Return a model for one size of image, flattened, with the same weights.

    Args:
        model: A functional or Sequential Keras model, which may leave the size of its inputs open.
        input_shape: `(height, width, channels)`, or the shape of what else the model takes; a list of shapes, in the
            order of `model.inputs`, if it has several inputs.

    Raises:
        InputError: If the model can't be flattened, or takes nothing of that shape.

    Example:

    >>> model = keras.applications.MobileNetV2(weights=None, include_top=False)
    >>> keras_lite.graph.with_input_shape(model, (64, 64, 3)).output_shape
    (None, 2, 2, 1280)
    """
    flat = flatten(model)
    expected = [tuple(tensor.shape[1:]) for tensor in flat.inputs]
    shapes = [tuple(shape) for shape in (input_shape if isinstance(input_shape, list) else [input_shape])]
    if len(shapes) != len(expected) or not all(map(_fits, expected, shapes)):
        several = len(expected) > 1
        raise InputError(
            f"Expected input_shape to fit the input{'s' if several else ''} of {model.name}, "
            f"{expected if several else expected[0]}, received {input_shape}."
        )
    return clone(flat, lambda layer, *args, **kwargs: layer(*args, **kwargs), input_shapes=shapes)


def _fits(expected: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    return len(expected) == len(shape) and all(
        wanted in (None, given) for wanted, given in zip(expected, shape, strict=True)
    )


def is_composite(layer: keras.layers.Layer) -> bool:
    """Return whether a layer is made of others, which flattening puts in its place."""
    return isinstance(layer, CompositeLayer | keras.Model) or holds_layers(layer)


def holds_layers(layer: keras.Operation) -> bool:
    """Return whether a layer, or subclassed model, of another package is made of others alone.

    Such a layer has no weights but theirs, so that its `call`, followed on symbolic tensors, tells all that it does.
    """
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, CompositeLayer) or hasattr(layer, "to_stock"):
        return False
    if isinstance(layer, keras.Model):
        return not getattr(layer, "inputs", None) and not isinstance(layer, keras.Sequential)
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    foreign = not type(layer).__module__.startswith(("keras.", "keras_lite."))
    return foreign and not own and any(True for _ in layer._flatten_layers(include_self=False))


def call_inside(layer: keras.layers.Layer, name: str, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Return what a composite layer's `call` returns of symbolic tensors.

    Args:
        layer: The layer.
        name: What it is called in the message.
        args: What it is called with.
        kwargs: What it is called with by name; what `call` doesn't take is left out.

    Raises:
        InputError: If the call of a layer of another package can't be followed.
    """
    taken = inspect.signature(layer.call).parameters
    # `training=` of a nested model's call stands at each layer in it; unlike a layer, `call` need not take it.
    given = {name: value for name, value in kwargs.items() if name in taken}
    if not holds_layers(layer):
        return layer.call(*args, **given)
    try:
        return layer.call(*args, **given)
    except Exception as error:  # whatever another package's code raises of tensors that have no values
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"Expected layers whose call can be followed on symbolic tensors, received layer {name} of type "
            f"{type(layer).__name__}: {reason}; write it with layers of keras.layers and functions of keras.ops."
        ) from error


def _flatten_once(model: keras.Model) -> keras.Model:
    renamed = set()

    def copy(operation):
        if isinstance(operation, keras.Sequential):
            as_functional(operation)
        copied = operation.to_stock() if hasattr(operation, "to_stock") else copy_layer(operation)
        if isinstance(copied, CompositeLayer):
            copied.stock = True
        return copied

    def call(layer, *args, **kwargs):
        if not is_composite(layer):
            return layer(*args, **kwargs)
        if not layer.built:
            layer.build(keras.tree.map_structure(lambda tensor: tensor.shape, args[0]))
        if id(layer) not in renamed:
            renamed.add(id(layer))
            for inner in _operations(layer):
                inner.name = f"{layer.name}_{inner.name}"
        return call_inside(layer, layer.name, args, kwargs)

    return clone(model, call, copy)


def _operations(layer: keras.layers.Layer) -> list[keras.Operation]:
    """Return what is inside a composite layer or nested model, operations that are no layers included."""
    if isinstance(layer, CompositeLayer):
        return layer.sublayers
    if holds_layers(layer):
        return list(layer._flatten_layers(include_self=False, recursive=False))
    return layer.layers if isinstance(layer, keras.Sequential) else layer.operations
