"""Walking a flat model and lowering each layer by its type."""

import inspect
from collections.abc import Callable

import keras

from keras_lite.errors import InputError
from keras_lite.graph import as_functional, input_names, output_names
from keras_lite.graph.refusals import refusal, refused
from keras_lite.graph.tracing import Trace, TracedCall, check_call
from keras_lite.graph.view import IDLE
from keras_lite.litert import FloatGraph, Operator, Tensor
from keras_lite.quantization.lower import (
    activations,
    arithmetic,
    attention,
    convolutions,
    normalization,
    sequences,
    shapes,
)
from keras_lite.quantization.lower.builder import Builder, integers
from keras_lite.quantization.lower.operations.computing import OPERATIONS, lower_operation
from keras_lite.quantization.lower.simplifying.simplify import simplify

# From the layer, its inputs and the shape of its output to that output.
_Lowering = Callable[[Builder, keras.layers.Layer, list[Tensor], tuple[int, ...]], Tensor]

LAYERS: dict[str, _Lowering] = {
    "Activation": activations.activation,
    "Add": arithmetic.merge,
    "AdditiveAttention": attention.attention,
    "Average": arithmetic.merge,
    "Attention": attention.attention,
    "AveragePooling1D": sequences.on_row(shapes.window_pooling),
    "AveragePooling2D": shapes.window_pooling,
    "BatchNormalization": normalization.batch_normalization,
    "CenterCrop": shapes.center_crop,
    "Concatenate": shapes.concatenate,
    "Conv1D": sequences.on_row(convolutions.conv2d),
    "Conv1DTranspose": sequences.conv1d_transpose,
    "Conv2D": convolutions.conv2d,
    "Conv2DTranspose": convolutions.conv2d_transpose,
    "Cropping1D": sequences.cropping,
    "Cropping2D": shapes.cropping,
    "Dot": arithmetic.dot,
    "Dense": convolutions.dense,
    "DepthwiseConv1D": sequences.on_row(convolutions.depthwise_conv2d),
    "DepthwiseConv2D": convolutions.depthwise_conv2d,
    "Dropout": shapes.same,
    "ELU": activations.elu,
    "Flatten": shapes.reshape,
    "GlobalAveragePooling1D": sequences.global_pooling,
    "GlobalAveragePooling2D": shapes.global_pooling,
    "GlobalMaxPooling1D": sequences.global_pooling,
    "GlobalMaxPooling2D": shapes.global_pooling,
    "GroupNormalization": normalization.group_normalization,
    "LayerNormalization": normalization.layer_normalization,
    "LayerScale": arithmetic.layer_scale,
    "LeakyReLU": activations.leaky_relu,
    "MaxPooling1D": sequences.on_row(shapes.window_pooling),
    "MaxPooling2D": shapes.window_pooling,
    "Maximum": arithmetic.merge,
    "Minimum": arithmetic.merge,
    "MultiHeadAttention": attention.multi_head_attention,
    "Multiply": arithmetic.merge,
    "Normalization": arithmetic.scaling,
    "PReLU": activations.prelu,
    "Permute": shapes.permute,
    "PositionEmbedding": arithmetic.position_embedding,
    "RMSNormalization": normalization.rms_normalization,
    "ReLU": activations.relu,
    "Rescaling": arithmetic.scaling,
    "Reshape": shapes.reshape,
    "RepeatVector": sequences.repeat_vector,
    "Resizing": shapes.resizing,
    "SeparableConv1D": sequences.on_row(convolutions.separable_conv2d),
    "SeparableConv2D": convolutions.separable_conv2d,
    "Softmax": attention.softmax,
    "SpatialDropout2D": shapes.same,
    "StochasticDepth": shapes.same,
    "StridedAttention": attention.strided_attention,
    "Subtract": arithmetic.merge,
    "UnitNormalization": normalization.unit_normalization,
    "UpSampling1D": sequences.up_sampling,
    "UpSampling2D": shapes.up_sampling,
    "ZeroPadding1D": sequences.zero_padding,
    "ZeroPadding2D": shapes.zero_padding,
    **dict.fromkeys(IDLE, shapes.same),
}


def lower(model: keras.Model) -> FloatGraph:
    """Return the operators that compute what a model computes, with a batch of 1.

    Composite layers, nested models and layers of somebody's own classes, written with layers and `keras.ops`, are gone
    into. Batch norms, and other numbers that multiply or add, go into the convolutions next to them; ReLU and ReLU6
    into the operators before them. What is computed twice is computed once.

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
    trace = Trace(model, own_layers=True)
    build = Builder()
    inputs = [_input(source, name) for source, name in zip(trace.inputs, input_names(model), strict=True)]
    tensors = {id(source): tensor for source, tensor in zip(trace.inputs, inputs, strict=True)}
    for call in trace.calls:
        build.name, build.layer = call.name, (call.name, call.kind)
        tensors.update(zip(map(id, call.outputs), _lowered(build, call, tensors), strict=True))
    outputs = [tensors[id(target)] for target in trace.outputs]
    if all(each in inputs for each in outputs):
        raise InputError(f"Expected a model that computes something, received {model.name}, which returns its input.")
    by_key = isinstance(as_functional(model).output, dict)
    outputs = _named(build, outputs, inputs, output_names(model) if by_key or len(outputs) > 1 else [None])
    operators = simplify(sequences.in_rows(build.operators, inputs, outputs), outputs)
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


def _lowered(build: Builder, call: TracedCall, tensors: dict[int, Tensor]) -> list[Tensor]:
    """Return the outputs of a call."""
    if isinstance(call.operation, keras.layers.Layer):
        check_call(call, LAYERS)
        values = [tensors[id(tensor)] for tensor in call.inputs]
        build.arguments = _in_graph(call, tensors)
        [output] = call.outputs
        return [LAYERS[call.kind](build, call.operation, values, (1, *output.shape[1:]))]
    shapes = [tuple(tensor.shape) for tensor in call.outputs]
    if call.kind not in OPERATIONS or not type(call.operation).__module__.startswith("keras."):
        raise refused(call.name, call.kind, refusal(call.kind, is_layer=False))
    if any(shape[:1] not in ((None,), (1,)) or None in shape[1:] for shape in shapes):
        raise refused(call.name, call.kind, "it takes the images of a batch together; give the axes behind the first")
    arguments, named = _in_graph(call, tensors)
    values = inspect.signature(call.operation.call).bind(*arguments, **named).arguments
    return lower_operation(build, call.operation, list(values.values()), [(1, *shape[1:]) for shape in shapes])


def _in_graph(call: TracedCall, tensors: dict[int, Tensor]) -> tuple[tuple, dict]:
    """Return the arguments of a call with tensors of the graph in the places of Keras' own."""
    return keras.tree.map_structure(
        lambda value: tensors[id(value)] if keras.backend.is_keras_tensor(value) else value, call.arguments
    )


def in_float32(operator: Operator) -> Operator:
    """Return an operator whose constants of float64 are rounded."""
    inputs = [
        Tensor(each.name, each.shape, each.data.astype("float32")) if each.dtype == "float64" else each
        for each in operator.inputs
    ]
    return Operator(operator.kind, inputs, operator.outputs, {**operator.options}, operator.layer)
