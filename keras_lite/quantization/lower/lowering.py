"""Walking a flat model and lowering each layer by its type."""

from collections.abc import Callable

import keras

from keras_lite.errors import InputError
from keras_lite.graph import as_functional, input_names, output_names
from keras_lite.graph.tracing import Trace, check_call
from keras_lite.graph.view import IDLE
from keras_lite.litert import FloatGraph, Operator, Tensor
from keras_lite.quantization.lower import activations, arithmetic, attention, convolutions, shapes
from keras_lite.quantization.lower.builder import Builder, integers
from keras_lite.quantization.lower.simplify import simplify

# From the layer, its inputs and the shape of its output to that output.
_Lowering = Callable[[Builder, keras.layers.Layer, list[Tensor], tuple[int, ...]], Tensor]

_LOWERINGS: dict[str, _Lowering] = {
    "Activation": activations.activation,
    "Add": arithmetic.merge,
    "Average": arithmetic.merge,
    "AveragePooling2D": shapes.window_pooling,
    "BatchNormalization": arithmetic.batch_normalization,
    "Concatenate": shapes.concatenate,
    "Conv2D": convolutions.conv2d,
    "Cropping2D": shapes.cropping,
    "Dense": convolutions.dense,
    "DepthwiseConv2D": convolutions.depthwise_conv2d,
    "Dropout": shapes.same,
    "ELU": activations.elu,
    "Flatten": shapes.reshape,
    "GlobalAveragePooling2D": shapes.global_pooling,
    "GlobalMaxPooling2D": shapes.global_pooling,
    "LeakyReLU": activations.leaky_relu,
    "MaxPooling2D": shapes.window_pooling,
    "Maximum": arithmetic.merge,
    "Minimum": arithmetic.merge,
    "Multiply": arithmetic.merge,
    "Normalization": arithmetic.scaling,
    "PReLU": activations.prelu,
    "Permute": shapes.permute,
    "PositionEmbedding": arithmetic.position_embedding,
    "ReLU": activations.relu,
    "Rescaling": arithmetic.scaling,
    "Reshape": shapes.reshape,
    "SeparableConv2D": convolutions.separable_conv2d,
    "Softmax": activations.softmax,
    "SpatialDropout2D": shapes.same,
    "StridedAttention": attention.strided_attention,
    "Subtract": arithmetic.merge,
    "UnitNormalization": activations.unit_normalization,
    "UpSampling2D": shapes.up_sampling,
    "ZeroPadding2D": shapes.zero_padding,
    **dict.fromkeys(IDLE, shapes.same),
}


def lower(model: keras.Model) -> FloatGraph:
    """Return the operators that compute what a model computes, with a batch of 1.

    Composite layers and nested models are gone into. Batch norms, and other numbers that multiply or add, go into the
    convolutions next to them; ReLU and ReLU6 into the operators before them. What is computed twice is computed once.

    Args:
        model: A functional or Sequential model, on any backend, that computes in float32, with inputs of known size. It
            is not changed. The inputs and outputs of the graph are in the model's order; where there are several, they
            have the names that `keras_lite.graph.input_names` and `output_names` return.

    Raises:
        InputError: If there are no operators for a layer, which the message names, or the model is another.

    Example:

    >>> graph = lower(keras_lite.applications.CARNet18())
    >>> {operator.kind for operator in graph.operators} >= {"CONV_2D", "DEPTHWISE_CONV_2D", "MUL"}
    True
    """
    trace = Trace(model)
    build = Builder()
    inputs = [_input(source, name) for source, name in zip(trace.inputs, input_names(model), strict=True)]
    tensors = {id(source): tensor for source, tensor in zip(trace.inputs, inputs, strict=True)}
    for call in trace.calls:
        check_call(call, _LOWERINGS)
        build.name = call.name
        values = [tensors[id(tensor)] for tensor in call.inputs]
        [output] = call.outputs
        tensors[id(output)] = _LOWERINGS[call.kind](build, call.operation, values, (1, *output.shape[1:]))
    outputs = [tensors[id(target)] for target in trace.outputs]
    if all(each in inputs for each in outputs):
        raise InputError(f"Expected a model that computes something, received {model.name}, which returns its input.")
    by_key = isinstance(as_functional(model).output, dict)
    outputs = _named(build, outputs, inputs, output_names(model) if by_key or len(outputs) > 1 else [None])
    operators = simplify(build.operators, outputs)
    return FloatGraph(model.name, inputs, outputs, [in_float32(operator) for operator in operators])


def _input(source: keras.KerasTensor, name: str) -> Tensor:
    if None in source.shape[1:]:
        raise InputError(
            f"Expected a model with an input of fixed size, received {tuple(source.shape[1:])} for {name}; "
            "keras_lite.graph.with_input_shape(model, (height, width, channels)) returns the model for one size."
        )
    return Tensor(name, (1, *source.shape[1:]))


def _named(build: Builder, outputs: list[Tensor], inputs: list[Tensor], names: list[str | None]) -> list[Tensor]:
    """Return outputs that are called by their names, if they have some, each a tensor of its own that is computed."""
    own: list[Tensor] = []
    for tensor, name in zip(outputs, names, strict=True):
        if tensor in inputs or tensor in own:
            shape = integers(f"{name}/shape", tensor.shape)
            tensor = build.add("RESHAPE", [tensor, shape], tensor.shape, name)
        elif name is not None:
            tensor.name = name
        own.append(tensor)
    return own


def in_float32(operator: Operator) -> Operator:
    """Return an operator whose constants of float64 are rounded."""
    inputs = [
        Tensor(each.name, each.shape, each.data.astype("float32")) if each.dtype == "float64" else each
        for each in operator.inputs
    ]
    return Operator(operator.kind, inputs, operator.outputs, {**operator.options})
