"""Building a model again with other layers, or another precision, in it, the weights of the others copied."""

from collections.abc import Callable, Container, Sequence
from typing import Any

import keras

from keras_lite.errors import InputError


def copy_layer(operation: keras.Operation) -> keras.Operation:
    """Return a layer, or an operation that is no layer, built again from its configuration.

    Raises:
        InputError: If that is impossible; the message names the layer.
    """
    if type(operation) is keras.layers.Lambda:
        # Its configuration holds Python code, which Keras does not load.
        return keras.layers.Lambda(
            operation.function,
            operation._output_shape,
            arguments=operation.arguments,
            name=operation.name,
            dtype=operation.dtype_policy,
        )
    try:
        return type(operation).from_config(operation.get_config())
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"Expected layers that can be built again from get_config, received layer {operation.name} of type "
            f"{type(operation).__name__}: {reason}"
        ) from error


def clone(
    model: keras.Model,
    call: Callable[..., Any],
    copy: Callable[[keras.Operation], keras.Operation] = copy_layer,
    new: Container[str] = (),
    input_shapes: Sequence[tuple[int, ...]] | None = None,
) -> keras.Model:
    """Return a functional model that was built again, layer by layer.

    Args:
        model: A functional model.
        call: `call(layer, *args, **kwargs)` returns what stands for a layer's outputs, where `layer` is the copy.
        copy: From a layer or operation to its copy, which gets the weights of its layer.
        new: Names of layers whose copies have other weights.
        input_shapes: Of the new model's inputs, in their order, without the batch; None: as before.
    """
    pairs = []

    def copy_and_remember(operation):
        copied = copy(operation)
        if isinstance(operation, keras.layers.Layer) and operation.name not in new:
            pairs.append((operation, copied))
        return copied

    inputs = None
    if input_shapes is not None:
        made = [keras.Input(shape, name=tensor.name) for shape, tensor in zip(input_shapes, model.inputs, strict=True)]
        inputs = keras.tree.pack_sequence_as(model.input, made)
    cloned = keras.models.clone_model(model, inputs, copy_and_remember, call)
    # By layer: the order of all weights of a model changes when its layers are inlined.
    for original, copied in pairs:
        if original.weights:
            copied.set_weights(original.get_weights())
            if isinstance(copied, keras.layers.Normalization):
                copied.finalize_state()  # it computes with what was derived from its weights before
    return cloned


def in_float32(model: keras.Model) -> keras.Model:
    """Return a model that computes in float32, with the same weights; the model itself if it does already.

    Variables of mixed precision are float32 in any case; what changes are the outputs, by the rounding of 16 bits.
    TFLite files are made from, and compared with, the float32 model.

    Args:
        model: A functional or Sequential model.

    Example:

    ```python
    model = keras_lite.graph.in_float32(keras.saving.load_model("model.keras"))
    ```
    """
    if all(layer.compute_dtype in (None, "float32") for layer in model._flatten_layers()):
        return model
    converted = type(model).from_config(_as_float32(model.get_config()))
    converted.set_weights(model.get_weights())
    return converted


def _as_float32(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_as_float32, value))
    if not isinstance(value, dict):
        return value
    if str(value.get("class_name")).endswith("DTypePolicy"):
        return "float32"
    return {
        key: "float32" if key == "dtype" and _is_half(entry) else _as_float32(entry) for key, entry in value.items()
    }


def _is_half(entry: Any) -> bool:
    return isinstance(entry, str) and entry.endswith("float16")
