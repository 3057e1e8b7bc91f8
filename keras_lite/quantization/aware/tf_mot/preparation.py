"""Rewriting a flat model so that TF-MOT takes every layer and XNNPACK runs every operator in int8.

- A batch normalization that no convolution precedes becomes a 1x1 depthwise convolution with bias.
- A ReLU after a convolution goes into the convolution: TF-MOT does not quantize the kernel where it stands apart.
- Any other ReLU of an image that no operator before can take in gets a 1x1 depthwise convolution that can.
- ReLU(max_value) other than 6 is a ReLU whose range ends there: rounding cuts off, which costs nothing.
- hard_sigmoid is x / 6 + 1/2, cut off by a range from 0 to 1. A convolution before it takes that in. Elsewhere x + 3,
  cut off by a range from 0 to 6, is divided by 6: two elementwise operators.
- hard_swish, x * relu6(x + 3) / 6, becomes y * (y + 3 / sqrt(6)) with y = x / sqrt(6), the sum cut off by a range from
  0 to sqrt(6): two elementwise operators, as the layer before takes in the factor. XNNPACK does not take the operator
  of that name in int8.
- Reshape, crop, reshape, by which Keras takes some of the channels, becomes one slice; it keeps its input's range.
- Pooling: see `keras_lite.quantization.aware.tf_mot.pooling_preparation`; position embeddings and attention: see
  `keras_lite.quantization.aware.tf_mot.activation_steps`.
- silu is x times a sigmoid: XNNPACK takes both operators in int8.
- Rescaling and Normalization that no convolution at the input could take in become a 1x1 depthwise convolution.
- An activation inside a layer, other than ReLU, becomes a layer of its own.
- A softmax at the end is dropped: the quantized model answers logits. So is a normalization of the answer to length 1:
  the cosine of the angle between two embeddings is the same without it.
- Layers that do nothing when a model predicts are left out; so is dropout, as fine-tuning is short.
"""

from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.graph.input_scaling import scale_and_offset
from keras_lite.graph.view import WEIGHTED, activation_name, is_relu
from keras_lite.quantization.aware.tf_mot.activation_steps import (
    ROOT,
    HardSigmoidSteps,
    HardSwishSteps,
    SiluSteps,
    position_embedding,
    rescale,
    sigmoid,
    strided_attention,
    tanh,
)
from keras_lite.quantization.aware.tf_mot.int8_layers import annotate, int8_classes
from keras_lite.quantization.aware.tf_mot.neighbors import Neighbors
from keras_lite.quantization.aware.tf_mot.pooling_preparation import average_pooling, max_pooling
from keras_lite.quantization.aware.tf_mot.to_tf_keras import (
    Builder,
    Concatenation,
    Replacement,
    leave_out,
    twin_layer,
)

# Layers whose int8 operator can cut its answers off. XNNPACK takes no ReLU that stands alone.
_TAKING_RELU = (*WEIGHTED, "Add", "BatchNormalization", "Multiply", "Normalization", "Rescaling", "Subtract")
_KEPT_INSIDE = ("linear", "relu")


def preparation_builders(flat: keras.Model) -> dict[str, Builder]:
    """Return the builders, by layer type, that rebuild `flat` annotated for TF-MOT."""
    builders = _Builders(flat)
    return {
        "Activation": builders.activation,
        "AveragePooling2D": average_pooling,
        "BatchNormalization": builders.batch_normalization,
        "Concatenate": concatenate,
        "Conv2D": builders.weighted,
        "Cropping2D": builders.cropping,
        "Dense": builders.weighted,
        "DepthwiseConv2D": builders.depthwise,
        "Dropout": leave_out,
        "MaxPooling2D": max_pooling,
        "Multiply": builders.merged,
        "Normalization": builders.rescaling,
        "PositionEmbedding": position_embedding,
        "ReLU": builders.relu,
        "Rescaling": builders.rescaling,
        "Reshape": builders.reshape,
        "Softmax": builders.dropped_at_end,
        "SpatialDropout2D": leave_out,
        "StridedAttention": strided_attention,
        "Subtract": builders.merged,
        "UnitNormalization": builders.dropped_at_end,
    }


def concatenate(layer: keras.layers.Layer) -> Replacement:
    """Build a concatenation under another name: TF-MOT swaps the inputs of the stock layer."""

    def make(name: str) -> Any:
        return annotate(int8_classes().PlainConcatenate(layer.axis, name=name, dtype="float32"))

    return [(Concatenation(layer.name, make), [])]


class _Builders:
    """How each layer is built, given its neighbors."""

    def __init__(self, flat: keras.Model):
        self.tf_keras = import_extra("tf_keras", "quantization")
        self.near = Neighbors(flat)

    def batch_normalization(self, layer: keras.layers.Layer) -> Replacement:
        before = self.near.before[layer.name]
        if self.near.folds(layer, before):
            [(twin, weights)] = _twin(layer)
            if self.near.feeds_hard_swish(layer):
                gamma, beta, *statistics = weights
                weights = [gamma / ROOT, beta / ROOT, *statistics]
            if type(before).__name__ != "DepthwiseConv2D":
                return [(twin, weights)]
            return [(annotate(twin, self._output_config(layer)), weights)]
        if len(layer.input.shape) != 4 or layer.axis not in (-1, 3):
            raise InputError(
                "Expected a batch normalization that no convolution precedes to normalize the channels of images, "
                f"received layer {layer.name} on shape {tuple(layer.input.shape)} with axis {layer.axis}."
            )
        kernel = 1.0 / np.sqrt(np.asarray(layer.moving_variance, dtype="float64") + layer.epsilon)
        if layer.scale:
            kernel *= np.asarray(layer.gamma)
        bias = -np.asarray(layer.moving_mean) * kernel
        if layer.center:
            bias += np.asarray(layer.beta)
        if self.near.feeds_hard_swish(layer):
            kernel, bias = kernel / ROOT, bias / ROOT
        return [self._channelwise(layer, kernel, bias)]

    def _channelwise(
        self, layer: keras.layers.Layer, kernel: np.ndarray, bias: np.ndarray
    ) -> tuple[Any, list[np.ndarray]]:
        # TF-MOT would round the kernel with one scale for all channels. The converter gives each channel its own,
        # which a kernel of one number a channel survives exactly: so only the output is quantized here.
        convolution = self.tf_keras.layers.DepthwiseConv2D(1, name=layer.name, dtype="float32")
        convolution.trainable = layer.trainable and type(layer).__name__ == "BatchNormalization"
        config = self._output_config(layer)
        return annotate(convolution, config), [kernel.astype("float32").reshape(1, 1, -1, 1), bias.astype("float32")]

    def weighted(self, layer: keras.layers.Layer) -> Replacement:
        name = activation_name(layer)
        if name == "softmax" and layer.name == self.near.last:
            return _twin(layer, activation="linear")
        if self.near.takes_hard_sigmoid(layer):
            return self._saturating(layer)
        if name not in _KEPT_INSIDE:
            return [
                *_twin(layer, activation="linear"),
                *self._activation(f"{layer.name}_{name}", name, layer.output.shape, None),
            ]
        if self.near.takes_relu(layer):
            return _twin(layer, activation="relu")
        [(twin, weights)] = _twin(layer)
        return [(twin, [values / ROOT for values in weights] if self.near.feeds_hard_swish(layer) else weights)]

    def depthwise(self, layer: keras.layers.Layer) -> Replacement:
        [(twin, weights), *rest] = self.weighted(layer)
        user = self.near.only_user.get(layer.name)
        normalized = type(user).__name__ == "BatchNormalization" and self.near.folds(user, layer)
        return [(annotate(twin, int8_classes().DepthwiseConfig(not normalized)), weights), *rest]

    def _saturating(self, layer: keras.layers.Layer) -> Replacement:
        [(twin, [kernel, bias])] = _twin(layer, activation="linear")
        classes = int8_classes()
        config = classes.FixedDenseConfig if type(layer).__name__ == "Dense" else classes.FixedConvolutionConfig
        return [(annotate(twin, config(0.0, 1.0)), [kernel / 6.0, bias / 6.0 + 0.5])]

    def merged(self, layer: keras.layers.Layer) -> Replacement:
        [(twin, weights)] = twin_layer(layer)
        return [(annotate(twin, self._output_config(layer)), weights)]

    def _output_config(self, layer: keras.layers.Layer) -> Any:
        """Return how a layer's output is quantized: not before a ReLU, which the operator takes in."""
        classes = int8_classes()
        return classes.KeptConfig() if is_relu(self.near.only_user.get(layer.name)) else classes.OutputConfig()

    def relu(self, layer: keras.layers.Layer) -> Replacement:
        before = self.near.before[layer.name]
        if before is not None and self.near.takes_relu(before):
            return []
        if type(layer).__name__ == "ReLU" and (layer.threshold != 0.0 or layer.max_value == 0.0):
            raise InputError(
                f"Expected a ReLU with a threshold of 0 and a max_value above it, received layer {layer.name} with "
                f"threshold {layer.threshold:g} and max_value {layer.max_value}; write ReLU() or ReLU(max_value)."
            )
        return [*self._operator_for(layer), *twin_layer(layer)]

    def _operator_for(self, layer: keras.layers.Layer) -> Replacement:
        """Return a convolution by 1 for a ReLU of an image that no operator before can take in."""
        before, shape = self.near.before[layer.name], layer.input.shape
        taken = type(before).__name__ in _TAKING_RELU and self.near.only_user.get(before.name) is layer
        if taken or len(shape) != 4 or not is_relu(layer):
            return []
        convolution = self.tf_keras.layers.DepthwiseConv2D(
            1, use_bias=False, name=f"{layer.name}_operator", dtype="float32", trainable=False
        )
        return [(annotate(convolution, int8_classes().KeptConfig()), [np.ones((1, 1, shape[-1], 1), "float32")])]

    def activation(self, layer: keras.layers.Layer) -> Replacement:
        name = activation_name(layer)
        if name == "softmax" and layer.name == self.near.last:
            return []
        if name == "relu":
            return self.relu(layer)
        steps = self._activation(layer.name, name, layer.output.shape, self.near.before[layer.name])
        return [*self._operator_for(layer), *steps] if name == "relu6" else steps

    def dropped_at_end(self, layer: keras.layers.Layer) -> Replacement:
        return [] if layer.name == self.near.last else twin_layer(layer)

    def _activation(self, name: str, activation: str, shape: tuple, before: keras.layers.Layer | None) -> Replacement:
        layers = self.tf_keras.layers
        if activation == "linear":
            return []
        if activation == "relu":
            return [(layers.ReLU(name=name), [])]
        if activation == "relu6":
            return [(layers.ReLU(6.0, name=name), [])]
        if activation == "sigmoid":
            return [(sigmoid(name), [])]
        if activation == "silu":
            return [(SiluSteps(name), [])]
        if activation == "tanh":
            return [(tanh(name), [])]
        if activation == "gelu":
            return [(annotate(layers.Activation("gelu", name=name)), [])]
        if activation == "hard_sigmoid":
            taken = before is not None and self.near.takes_hard_sigmoid(before) and activation_name(before) == "linear"
            return [] if taken else [(HardSigmoidSteps(name), [])]
        if activation == "hard_silu":
            return [(HardSwishSteps(name, scaled=before is not None and self.near.feeds_hard_swish(before)), [])]
        raise InputError(
            "Expected an activation that int8 models can compute (relu, relu6, sigmoid, silu, hard_sigmoid, hard_silu, "
            f"gelu, tanh), received {activation} in layer {name}."
        )

    def rescaling(self, layer: keras.layers.Layer) -> Replacement:
        scale, offset = scale_and_offset(layer)
        if len(layer.input.shape) == 4:
            channels = np.ones(layer.input.shape[-1])
            return [self._channelwise(layer, scale * channels, offset * channels)]
        if scale.ndim or offset.ndim:
            raise InputError(
                f"Expected one number to scale by where there is no image, received layer {layer.name} "
                f"({type(layer).__name__}) with one a channel; write BatchNormalization behind a Dense instead."
            )
        steps: Replacement = []
        if scale != 1.0:
            steps.append((rescale(f"{layer.name}_scale", float(scale)), []))
        if offset != 0.0:
            shift = int8_classes().AddConstant(value=float(offset), trained=False, name=layer.name, dtype="float32")
            steps.append((annotate(shift), []))
        return steps

    def cropping(self, layer: keras.layers.Layer) -> Replacement:
        if not self.near.crops_channels(layer):
            return twin_layer(layer)
        [_, (start, rest)] = layer.cropping
        classes = int8_classes()
        crop = classes.ChannelRange(start, layer.input.shape[2] - rest, name=layer.name, dtype="float32")
        return [(annotate(crop, classes.KeptConfig()), [])]

    def reshape(self, layer: keras.layers.Layer) -> Replacement:
        around = (self.near.before[layer.name], self.near.only_user.get(layer.name))
        return [] if any(map(self.near.crops_channels, around)) else twin_layer(layer)


def _twin(layer: keras.layers.Layer, **changes: Any) -> Replacement:
    """Build the twin of a layer with weights; frozen ones, and those that hold the input's scale, stay in training."""
    return twin_layer(layer, trainable=layer.trainable, **changes)
