"""Batch normalization that keeps its statistics, folded into the convolutions in front of it while a model trains."""

from collections import Counter
from typing import Any

import keras
from keras import ops

from keras_lite.graph import walk

_LINEAR = (None, keras.activations.linear)


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Return a model with the variables of `model` in which convolutions scale as the batch norm behind them does.

    Where batch normalization keeps its statistics, a convolution whose kernel is multiplied by gamma / sqrt(variance +
    epsilon) gives the same, without the passes over a map and its gradient that batch normalization takes. The product
    is computed anew in each step: what is trained is the kernel itself, and gradients are those of `model` to rounding.

    Args:
        model: A functional model whose batch normalization is not to be trained. It is not changed; a step that trains
            the returned model trains it too.

    Returns:
        A functional model of the same inputs and outputs. Batch normalization that does not follow a convolution
        directly, or has variables that are trainable, or stands in another layer, is as before.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> outputs = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(inputs))
    >>> model = keras.Model(inputs, outputs)
    >>> model.trainable = False
    >>> [type(layer).__name__ for layer in fold_batch_norm(model).layers]
    ['InputLayer', 'FoldedConvolution']
    """
    pairs = _pairs(model)
    folded = {id(convolution) for convolution in pairs.values()}

    def call(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        if id(operation) in folded:
            return args[0]  # the layer behind does both
        if id(operation) in pairs:
            return FoldedConvolution(pairs[id(operation)], operation)(args[0])
        return operation(*args, **kwargs)

    return keras.models.clone_model(model, None, lambda operation: operation, call)


def _pairs(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """Return the id of each batch normalization that can be folded -> the convolution in front of it."""
    calls = list(walk(model))
    producers = {id(tensor): call.operation for call in calls for tensor in call.outputs}
    used = Counter(id(tensor) for call in calls for tensor in call.inputs)
    used.update(id(tensor) for tensor in model.outputs)
    times = Counter(id(call.operation) for call in calls)
    pairs = {}
    for operation, inputs, _ in calls:
        convolution = producers.get(id(inputs[0]))
        if convolution is None or used[id(inputs[0])] > 1 or times[id(convolution)] > 1 or times[id(operation)] > 1:
            continue
        if _normalizes_channels(operation) and _is_plain(convolution):
            pairs[id(operation)] = convolution
    return pairs


def _normalizes_channels(operation: keras.Operation) -> bool:
    return (
        isinstance(operation, keras.layers.BatchNormalization)
        and not operation.trainable_variables
        and not operation.trainable
        and operation.axis in (-1, 3)
        and operation.compute_dtype == "float32"
    )


def _is_plain(operation: keras.Operation) -> bool:
    return (
        isinstance(operation, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
        and hasattr(operation, "convolution_op")
        and operation.activation in _LINEAR
        and operation.activity_regularizer is None
        and operation.data_format == "channels_last"
        and operation.compute_dtype == "float32"
    )


class FoldedConvolution(keras.layers.Layer):
    """A convolution together with the batch normalization behind it, in inference mode.

    Args:
        convolution: The convolution's layer, built; it is trained.
        normalization: The layer behind it, built; it is not.
    """

    def __init__(self, convolution: keras.layers.Layer, normalization: keras.layers.BatchNormalization) -> None:
        super().__init__(name=f"{normalization.name}_folded")
        self.convolution, self.normalization = convolution, normalization
        self.built = True

    def call(self, inputs):
        """Convolve by the scaled kernel, and add what is left of both biases."""
        convolution, normalization = self.convolution, self.normalization
        scale = ops.rsqrt(ops.add(normalization.moving_variance, normalization.epsilon))
        if normalization.scale:
            scale = ops.multiply(scale, normalization.gamma)
        offset = ops.negative(normalization.moving_mean)
        if convolution.use_bias:
            offset = ops.add(offset, convolution.bias)
        offset = ops.multiply(offset, scale)
        if normalization.center:
            offset = ops.add(offset, normalization.beta)
        kernel = convolution.kernel
        if isinstance(convolution, keras.layers.DepthwiseConv2D):
            factors = ops.reshape(scale, kernel.shape[2:])
        else:
            factors = scale
        return ops.add(convolution.convolution_op(inputs, ops.multiply(kernel, factors)), offset)

    def compute_output_shape(self, input_shape):
        """Return the shape of the convolution's outputs."""
        return self.convolution.compute_output_shape(input_shape)
