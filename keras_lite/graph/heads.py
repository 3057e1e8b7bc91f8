"""A model's outputs: what they are called and mean, as far as the last layers tell, and what they are for images."""

import itertools
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.graph.flatten import as_functional
from keras_lite.graph.tracing import Trace
from keras_lite.graph.view import NOISE

_BATCH = 32
_POOLING = tuple(f"Global{kind}Pooling{axes}D" for kind in ("Average", "Max") for axes in (1, 2))
_CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D")
# Layers that do nothing when a model predicts, which may stand behind the one that tells.
_IDLE = (*NOISE, "Dropout", "SpatialDropout2D")
# Model -> shapes and types of what it takes -> what TensorFlow traced.
_COMPILED: weakref.WeakKeyDictionary[keras.Model, dict[tuple, Callable]] = weakref.WeakKeyDictionary()


def input_names(model: keras.Model) -> list[str]:
    """Return the names of a model's inputs, in the order of `model.inputs`: its keys if it takes a dictionary.

    Args:
        model: A functional or Sequential model.

    Example:

    >>> inputs = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    >>> input_names(keras.Model(inputs, keras.layers.Add()(inputs)))
    ['left', 'right']
    """
    functional = as_functional(model)
    return _end_names(functional.input, [tensor.name for tensor in functional.inputs])


def output_names(model: keras.Model) -> list[str]:
    """Return the names of a model's outputs, in the order of `model.outputs`.

    They are its keys if it returns a dictionary; else the names of the layers that make them, numbered where one layer
    makes several.

    Args:
        model: A functional or Sequential model.

    Example:

    >>> inputs = keras.Input((4,))
    >>> heads = {"kind": keras.layers.Dense(3)(inputs), "age": keras.layers.Dense(1)(inputs)}
    >>> output_names(keras.Model(inputs, heads))
    ['age', 'kind']
    """
    functional = as_functional(model)
    return _end_names(functional.output, list(functional.output_names))


def _end_names(structure: Any, names: list[str]) -> list[str]:
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    for at, path in enumerate(paths):
        if any(isinstance(part, str) for part in path):
            names[at] = "/".join(map(str, path))
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name] - 1}")
    return unique


def last_operation(model: keras.Model, output: int = 0) -> keras.Operation:
    """Return the last layer, or operation, that changes an output of a model.

    Layers after it, such as dropout, do nothing when a model predicts, or only remove axes of length 1.

    Args:
        model: A functional or Sequential model. What it ends in may be nested.
        output: Which of its outputs.

    Example:

    >>> inputs = keras.Input((4,))
    >>> x = keras.layers.Softmax(name="shares")(inputs)
    >>> last_operation(keras.Model(inputs, keras.layers.Dropout(0.2)(x))).name
    'shares'
    """
    return next(_from_the_end(Trace(model), output))


def _from_the_end(trace: Trace, output: int) -> Iterator[keras.Operation | None]:
    """Yield the last operations that change an output, the last one first, as long as each takes one tensor."""
    makers = {id(tensor): call for call in trace.calls for tensor in call.outputs}
    call = makers.get(id(trace.outputs[output]))
    while call is not None and len(call.inputs) == 1:
        if not _is_idle(call.operation, call.inputs[0]) or id(call.inputs[0]) not in makers:
            yield call.operation
        call = makers.get(id(call.inputs[0]))
    yield None if call is None else call.operation


def _is_idle(operation: keras.Operation, tensor: keras.KerasTensor) -> bool:
    kind = type(operation).__name__
    if kind in ("Flatten", "Reshape"):
        sizes = tensor.shape[1:]
        return None not in sizes and math.prod(sizes) == sizes[-1]
    return kind in _IDLE or (kind == "Activation" and operation.activation is keras.activations.linear)


def output_of(model: keras.Model) -> str:
    """Return the kind of a model's output, as `keras_lite.data.ModelInfo.output` names it.

    A model that ends with a softmax over several classes gives `"probabilities"`; with a sigmoid or hard sigmoid,
    `"sigmoid"`; with `UnitNormalization` or the pooled features of a backbone, an `"embedding"`. Without these, several
    numbers are `"logits"` and a single one is a `"regression"`; so is a softmax of one class, which is always 1, and
    so are images and maps without a softmax or sigmoid. Other embeddings that are not normalized can't be told from
    logits, so `ModelInfo` has to say it.

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
    return _kind(Trace(model), 0)


def output_kinds(model: keras.Model) -> tuple[str, ...]:
    """Return the kind of each output of a model, as `output_of` does of one.

    Numbers of a model with several outputs are a `"regression"` where nothing tells that they are a choice of classes.

    Args:
        model: A functional or Sequential model.

    Example:

    >>> inputs = keras.Input((4,))
    >>> heads = [keras.layers.Dense(3, "softmax")(inputs), keras.layers.Dense(4)(inputs)]
    >>> output_kinds(keras.Model(inputs, heads))
    ('probabilities', 'regression')
    """
    trace = Trace(model)
    kinds = tuple(_kind(trace, at) for at in range(len(trace.outputs)))
    return kinds if len(kinds) == 1 else tuple("regression" if kind == "logits" else kind for kind in kinds)


def _kind(trace: Trace, output: int) -> str:
    shape = tuple(trace.outputs[output].shape)
    last, before = itertools.islice(itertools.chain(_from_the_end(trace, output), [None]), 2)
    kind = type(last).__name__
    name = "softmax" if kind == "Softmax" else getattr(getattr(last, "activation", None), "__name__", "linear")
    if name in ("sigmoid", "hard_sigmoid"):
        return "sigmoid"
    if kind == "UnitNormalization":
        return "embedding"
    if shape[-1] == 1:
        return "regression"
    if name == "softmax" and getattr(last, "axis", -1) in (-1, len(shape) - 1):
        return "probabilities"
    if len(shape) != 2 and (None in shape[1:] or math.prod(shape[1:]) != shape[-1]):
        return "regression"
    return "embedding" if kind in _POOLING and before is not None and not _is_linear_convolution(before) else "logits"


def _is_linear_convolution(operation: keras.Operation) -> bool:
    """Return whether an operation is a convolution without an activation: its pooled channels are classes."""
    linear = getattr(operation, "activation", None) in (None, keras.activations.linear)
    return type(operation).__name__ in _CONVOLUTIONS and linear


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


def outputs_for(model: keras.Model, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Return a model's outputs, as `model.predict` does; a list, in the order of `model.outputs`, if it has several.

    On TensorFlow it does without XLA, which `model.predict` has compile the whole model first: that takes longer than
    some hundred images. What was traced of a model is kept, as by `model.predict`: change its weights, not its layers.

    Args:
        model: A functional or Sequential model.
        images: What it takes; a list of arrays, in the order of `model.inputs`, if it has several inputs.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    >>> outputs_for(model, np.array([[-1.0, 0.0, 1.0, 2.0]], "float32")).tolist()
    [[0.0, 0.0, 1.0, 2.0]]
    """
    arrays = list(images) if isinstance(images, list | tuple) else [images]
    if keras.backend.backend() != "tensorflow":
        arranged = keras.tree.pack_sequence_as(as_functional(model).input, arrays)
        found = keras.tree.flatten(model.predict(arranged, verbose=0))
        return found[0] if len(found) == 1 else found
    tensorflow = import_extra("tensorflow", "tensorflow")
    run = _compiled(model, arrays)
    batches = ([array[at : at + _BATCH] for array in arrays] for at in range(0, len(arrays[0]), _BATCH))
    parts = [run(*map(tensorflow.convert_to_tensor, batch)) for batch in batches]
    found = [np.concatenate([values.numpy() for values in each]) for each in zip(*parts, strict=True)]
    return found[0] if len(found) == 1 else found


def _compiled(model: keras.Model, arrays: Sequence[np.ndarray]) -> Callable:
    """Return a TensorFlow function from arrays like these, of any number of images, to a model's outputs."""
    kind = tuple((array.shape[1:], array.dtype.str) for array in arrays)
    compiled = _COMPILED.setdefault(model, {})
    if kind in compiled:
        return compiled[kind]
    tensorflow = import_extra("tensorflow", "tensorflow")
    kept = weakref.ref(model)  # what is kept for a model must not keep it

    def run(*batch: Any) -> list[Any]:
        model = kept()
        arranged = keras.tree.pack_sequence_as(as_functional(model).input, list(batch))
        return keras.tree.flatten(model(arranged, training=False))

    # Of no one size: with it the last, smaller batch would be traced once more.
    sizes = [each.shape[0] for each in as_functional(model).inputs]
    types = [
        tensorflow.TensorSpec((size, *array.shape[1:]), array.dtype) for size, array in zip(sizes, arrays, strict=True)
    ]
    compiled[kind] = tensorflow.function(run, input_signature=types, autograph=False)
    return compiled[kind]
