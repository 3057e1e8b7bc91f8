"""Rewriting a flat model so that TF-MOT takes every layer and XNNPACK runs every operator in int8.

- A batch normalisation that no convolution precedes becomes a 1x1 depthwise convolution with bias.
- A ReLU after a convolution goes into the convolution: TF-MOT does not quantise the kernel where it stands apart.
- hard_sigmoid becomes ReLU6 of x + 3, times 1/6; the 3 goes into the bias of the convolution before it.
- hard_swish becomes the product of x and that.
- An activation inside a layer, other than ReLU, becomes a layer of its own.
- A softmax at the end is dropped: the quantised model answers logits.
- Layers that do nothing when a model predicts are left out; so is dropout, as fine-tuning is short.
"""

import functools
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.quantization.to_tf_keras import (
    Builder,
    Replacement,
    activation_name,
    calls,
    leave_out,
    twin_layer,
)

_FOLDING = ("Conv2D", "DepthwiseConv2D", "Dense")
_KEPT_INSIDE = ("linear", "relu")


def preparation_builders(flat: keras.Model) -> dict[str, Builder]:
    """Return the builders, by layer type, that rebuild `flat` annotated for TF-MOT."""
    facts = _Facts(flat)
    return {
        "Activation": facts.activation,
        "BatchNormalization": facts.batch_normalization,
        "Conv2D": facts.weighted,
        "Dense": facts.weighted,
        "DepthwiseConv2D": facts.weighted,
        "Dropout": leave_out,
        "Multiply": annotated,
        "ReLU": facts.relu,
        "Softmax": facts.softmax,
        "SpatialDropout2D": leave_out,
        "Subtract": annotated,
    }


def ends_in_softmax(flat: keras.Model) -> bool:
    """Whether a flat model answers probabilities by a softmax."""
    last = flat.outputs[0]._keras_history.operation
    return type(last).__name__ == "Softmax" or (
        getattr(last, "activation", None) is not None and activation_name(last) == "softmax"
    )


@functools.cache
def output_quantize_config() -> type:
    """Return the class of the quantize config that quantises a layer's output and nothing else."""
    quantization = import_extra("tensorflow_model_optimization", "quantization").quantization.keras

    class OutputQuantizeConfig(quantization.QuantizeConfig):
        """Quantise the output of a layer that TF-MOT refuses: a moving average range, one for all channels."""

        def get_weights_and_quantizers(self, layer):
            return []

        def get_activations_and_quantizers(self, layer):
            return []

        def set_quantize_weights(self, layer, quantize_weights):
            pass

        def set_quantize_activations(self, layer, quantize_activations):
            pass

        def get_output_quantizers(self, layer):
            return [
                quantization.quantizers.MovingAverageQuantizer(
                    num_bits=8, per_axis=False, symmetric=False, narrow_range=False
                )
            ]

        def get_config(self):
            return {}

    return OutputQuantizeConfig


def annotate(layer: Any) -> Any:
    """Wrap a tf_keras layer so that its output is quantised, although TF-MOT does not know the layer."""
    quantization = import_extra("tensorflow_model_optimization", "quantization").quantization.keras
    return quantization.quantize_annotate_layer(layer, output_quantize_config()())


def annotated(layer: keras.layers.Layer) -> Replacement:
    """Build the twin of a layer without weights, with its output quantised."""
    [(twin, weights)] = twin_layer(layer)
    return [(annotate(twin), weights)]


class _Facts:
    """What the rewriting of one layer must know about its neighbours."""

    def __init__(self, flat: keras.Model):
        self.tf_keras = import_extra("tf_keras", "quantization")
        self.before: dict[str, keras.layers.Layer | None] = {}
        users: dict[int, list[keras.layers.Layer]] = {}
        made_by: dict[int, keras.layers.Layer] = {}
        for layer, inputs, output in calls(flat):
            if layer.name in self.before:
                raise InputError(
                    f"Expected each layer to be used once in a model to quantise, received {layer.name} used twice."
                )
            self.before[layer.name] = made_by.get(id(inputs[0]))
            made_by[id(output)] = layer
            for tensor in inputs:
                users.setdefault(id(tensor), []).append(layer)
        last = flat.outputs[0]
        self.last = made_by[id(last)].name
        self.only_user = {
            layer.name: users[tensor][0]
            for tensor, layer in made_by.items()
            if len(users.get(tensor, [])) == 1 and tensor != id(last)
        }

    def _folds(self, layer: keras.layers.Layer | None, into: keras.layers.Layer | None) -> bool:
        """Whether `layer` can be computed inside the convolution `into` that stands before it."""
        return (
            layer is not None
            and into is not None
            and type(into).__name__ in _FOLDING
            and activation_name(into) == "linear"
            and self.only_user.get(into.name) is layer
        )

    def batch_normalization(self, layer: keras.layers.Layer) -> Replacement:
        if self._folds(layer, self.before[layer.name]):
            return twin_layer(layer)
        if len(layer.input.shape) != 4 or layer.axis not in (-1, 3):
            raise InputError(
                "Expected a batch normalisation that no convolution precedes to normalise the channels of images, "
                f"received layer {layer.name} on shape {tuple(layer.input.shape)} with axis {layer.axis}."
            )
        kernel = 1.0 / np.sqrt(np.asarray(layer.moving_variance, dtype="float64") + layer.epsilon)
        if layer.scale:
            kernel *= np.asarray(layer.gamma)
        bias = -np.asarray(layer.moving_mean) * kernel
        if layer.center:
            bias += np.asarray(layer.beta)
        return [self._channelwise(layer.name, kernel, bias)]

    def _channelwise(self, name: str, kernel: np.ndarray, bias: np.ndarray) -> tuple[Any, list[np.ndarray]]:
        # TF-MOT would round the kernel with one scale for all channels. The converter gives each channel its own,
        # which a kernel of one number a channel survives exactly: so only the output is quantised here.
        convolution = annotate(self.tf_keras.layers.DepthwiseConv2D(1, name=name, dtype="float32"))
        return convolution, [kernel.astype("float32").reshape(1, 1, -1, 1), bias.astype("float32")]

    def weighted(self, layer: keras.layers.Layer) -> Replacement:
        name = activation_name(layer)
        if name == "softmax" and layer.name == self.last:
            return twin_layer(layer, activation="linear")
        if name not in _KEPT_INSIDE:
            return [
                *twin_layer(layer, activation="linear"),
                *self._activation(f"{layer.name}_{name}", name, layer.output.shape, None),
            ]
        if self._takes_relu(layer):
            return twin_layer(layer, activation="relu")
        if self._shifted(layer):
            [(twin, [kernel, bias])] = twin_layer(layer)
            return [(twin, [kernel, bias + 3.0])]
        return twin_layer(layer)

    def relu(self, layer: keras.layers.Layer) -> Replacement:
        before = self.before[layer.name]
        return [] if before is not None and self._takes_relu(before) else twin_layer(layer)

    def _takes_relu(self, layer: keras.layers.Layer) -> bool:
        user = self.only_user.get(layer.name)
        return type(layer).__name__ in _FOLDING and self._folds(user, layer) and _is_relu(user)

    def activation(self, layer: keras.layers.Layer) -> Replacement:
        name = activation_name(layer)
        if name == "softmax" and layer.name == self.last:
            return []
        if name == "relu":
            return self.relu(layer)
        return self._activation(layer.name, name, layer.output.shape, self.before[layer.name])

    def softmax(self, layer: keras.layers.Layer) -> Replacement:
        return [] if layer.name == self.last else twin_layer(layer)

    def _activation(self, name: str, activation: str, shape: tuple, before: keras.layers.Layer | None) -> Replacement:
        layers = self.tf_keras.layers
        if activation == "linear":
            return []
        if activation == "relu":
            return [(layers.ReLU(name=name), [])]
        if activation == "relu6":
            return [(layers.ReLU(6.0, name=name), [])]
        if activation in ("sigmoid", "tanh"):
            return [(layers.Activation(activation, name=name), [])]
        if activation != "hard_sigmoid":
            raise InputError(
                "Expected an activation that int8 models can compute (relu, relu6, sigmoid, hard_sigmoid, tanh), "
                f"received {activation} in layer {name}."
            )
        steps: Replacement = [
            (layers.ReLU(6.0, name=f"{name}_relu6"), []),
            (annotate(layers.Rescaling(1.0 / 6.0, name=name)), []),
        ]
        if before is not None and self._shifted(before):
            return steps
        if len(shape) != 4:
            raise InputError(f"Expected hard_sigmoid on images or after a layer with bias, received it in {name}.")
        ones = np.ones(shape[-1])
        return [self._channelwise(f"{name}_shift", ones, 3.0 * ones), *steps]

    def _shifted(self, before: keras.layers.Layer) -> bool:
        user = self.only_user.get(before.name)
        return self._folds(user, before) and before.use_bias and _is_hard_sigmoid(user)


def _is_hard_sigmoid(layer: keras.layers.Layer) -> bool:
    return type(layer).__name__ == "Activation" and activation_name(layer) == "hard_sigmoid"


def _is_relu(layer: keras.layers.Layer) -> bool:
    if type(layer).__name__ == "Activation":
        return activation_name(layer) == "relu"
    plain = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
    return type(layer).__name__ == "ReLU" and all(getattr(layer, name) == value for name, value in plain.items())
