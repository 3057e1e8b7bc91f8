"""A model's output: what it means, as far as the last layer tells, and what it is for some images."""

import math

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.graph.flatten import as_functional, flatten, is_composite
from keras_lite.graph.view import NOISE, producer, sources

_BATCH = 16
# Layers that do nothing when a model predicts, which may stand behind the one that tells.
_IDLE = (*NOISE, "Dropout", "SpatialDropout2D")


def last_operation(model: keras.Model) -> keras.Operation:
    """Return the last layer, or operation, that changes a model's output.

    Layers after it, such as dropout, do nothing when a model predicts, or only remove axes of length 1.

    Args:
        model: A functional or Sequential model with one output. What it ends in may be nested.

    Example:

    >>> inputs = keras.Input((4,))
    >>> x = keras.layers.Softmax(name="shares")(inputs)
    >>> last_operation(keras.Model(inputs, keras.layers.Dropout(0.2)(x))).name
    'shares'
    """
    # Most models end in stock layers; flattening one that does not copies its weights.
    found = _last_stock_layer(as_functional(model))
    return found or _last_stock_layer(flatten(model), any_operation=True)


def _last_stock_layer(model: keras.Model, any_operation: bool = False) -> keras.Operation | None:
    """Return the last operation that changes the output; None if it is inside another, or is no layer."""
    [tensor] = model.outputs
    while True:
        operation, before = producer(tensor), sources(tensor)
        if not any_operation and (is_composite(operation) or not isinstance(operation, keras.layers.Layer)):
            return None
        if len(before) != 1 or not _is_idle(operation, before[0]):
            return operation
        [tensor] = before


def _is_idle(operation: keras.Operation, tensor: keras.KerasTensor) -> bool:
    kind = type(operation).__name__
    if kind in ("Flatten", "Reshape"):
        sizes = tensor.shape[1:]
        return None not in sizes and math.prod(sizes) == sizes[-1]
    return kind in _IDLE or (kind == "Activation" and operation.activation is keras.activations.linear)


def output_of(model: keras.Model) -> str:
    """Return the kind of a model's output, as `keras_lite.data.ModelInfo.output` names it.

    A model that ends with a softmax over several classes gives `"probabilities"`; with a sigmoid or hard sigmoid,
    `"sigmoid"`; with `UnitNormalization`, an `"embedding"`. Without these, several numbers are `"logits"` and a single
    one is a `"regression"`; so is a softmax of one class, which is always 1. Embeddings that are not normalized can't
    be told from logits, so `ModelInfo` has to say it.

    Args:
        model: A functional or Sequential model with one output.

    Raises:
        InputError: If the model has several outputs.

    Example:

    >>> inputs = keras.Input((4,))
    >>> output_of(keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs)))
    'sigmoid'
    """
    outputs = as_functional(model).outputs
    if len(outputs) != 1:
        raise InputError(f"Expected a model with one output, received {len(outputs)} outputs.")
    [output] = outputs
    last = last_operation(model)
    kind = type(last).__name__
    activation = getattr(last, "activation", None)
    name = (
        "softmax" if kind == "Softmax" else "linear" if activation is None else keras.activations.serialize(activation)
    )
    if name in ("sigmoid", "hard_sigmoid"):
        return "sigmoid"
    if kind == "UnitNormalization":
        return "embedding"
    if output.shape[-1] == 1:
        return "regression"
    return "probabilities" if name == "softmax" else "logits"


def check_output(model: keras.Model, output: str) -> None:
    """Check that the end of a model, such as a softmax or sigmoid, does not contradict the kind of its output.

    An embedding or a regression may end with any layer.

    Args:
        model: A functional or Sequential model with one output.
        output: The kind, as `keras_lite.data.ModelInfo.output` names it.

    Raises:
        InputError: If they contradict each other.

    Example:

    >>> inputs = keras.Input((4,))
    >>> check_output(keras.Model(inputs, keras.layers.Softmax()(inputs)), "probabilities")
    """
    found = output_of(model)
    # One class, or what is no choice of classes by its last layer, is said where the names are compared.
    certain = ("logits", "probabilities", "sigmoid")
    if found in certain and output in certain and found != output:
        ends = {"logits": "neither softmax nor sigmoid", "probabilities": "a softmax", "sigmoid": "a sigmoid"}[found]
        raise InputError(f'Expected output "{found}" for a model that ends in {ends}, received "{output}".')


def outputs_for(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return a model's outputs, as `model.predict` does.

    On TensorFlow it does without XLA, which `model.predict` has compile the whole model first: that takes longer than
    some hundred images.

    Args:
        model: A model with one output.
        images: What it takes.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    >>> outputs_for(model, np.array([[-1.0, 0.0, 1.0, 2.0]], "float32")).tolist()
    [[0.0, 0.0, 1.0, 2.0]]
    """
    if keras.backend.backend() != "tensorflow":
        return np.asarray(model.predict(images, verbose=0))
    tensorflow = import_extra("tensorflow", "tensorflow")
    run = tensorflow.function(lambda batch: model(batch, training=False), autograph=False, reduce_retracing=True)
    batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
    return np.concatenate([run(tensorflow.convert_to_tensor(batch)).numpy() for batch in batches])
