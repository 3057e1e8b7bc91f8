"""Activations, position embeddings and attention as int8 steps, each with its output quantized.

XNNPACK takes neither softmax nor the product of two computed matrices in int8, nor GELU: those run on the built-in
kernels, in int8 as well, and split the model into parts.
"""

from typing import Any

import keras
import numpy as np

from keras_lite.errors import import_extra
from keras_lite.quantization.aware.tf_mot.int8_layers import annotate, int8_classes
from keras_lite.quantization.aware.tf_mot.to_tf_keras import Replacement

ROOT = 6.0**0.5


class _Steps:
    """Several layers, none with weights, called as one."""

    def set_weights(self, arrays: list[np.ndarray]) -> None:
        """Take no weights."""


class HardSigmoidSteps(_Steps):
    """relu6(x + 3) / 6 in steps that XNNPACK takes in int8."""

    def __init__(self, name: str):
        self.shift = _shift(f"{name}_shift", 3.0, 6.0)
        self.sixth = rescale(f"{name}_sixth", 1.0 / 6.0, int8_classes().FixedOutputConfig(0.0, 1.0, cuts_off=False))

    def __call__(self, inputs: Any) -> Any:
        """Build the steps behind a tensor."""
        return self.sixth(self.shift(inputs))


class HardSwishSteps(_Steps):
    """x * relu6(x + 3) / 6, likewise; where `scaled`, the input is x / sqrt(6) already."""

    def __init__(self, name: str, scaled: bool):
        tf_keras = import_extra("tf_keras", "quantization")
        self.scale = None if scaled else rescale(f"{name}_root", 1.0 / ROOT)
        self.shift = _shift(f"{name}_shift", 3.0 / ROOT, ROOT)
        self.product = annotate(tf_keras.layers.Multiply(name=name))

    def __call__(self, inputs: Any) -> Any:
        """Build the steps behind a tensor."""
        inputs = inputs if self.scale is None else self.scale(inputs)
        return self.product([inputs, self.shift(inputs)])


class SiluSteps(_Steps):
    """x * sigmoid(x), likewise."""

    def __init__(self, name: str):
        tf_keras = import_extra("tf_keras", "quantization")
        self.gate = sigmoid(f"{name}_gate")
        self.product = annotate(tf_keras.layers.Multiply(name=name))

    def __call__(self, inputs: Any) -> Any:
        """Build the steps behind a tensor."""
        return self.product([inputs, self.gate(inputs)])


def sigmoid(name: str) -> Any:
    """Return a sigmoid in steps of 1/256, as TFLite's int8 operator answers, whatever the model says."""
    sigmoid = import_extra("tf_keras", "quantization").layers.Activation("sigmoid", name=name)
    return annotate(sigmoid, int8_classes().FixedOutputConfig(0.0, 255.0 / 256.0, cuts_off=False))


def tanh(name: str) -> Any:
    """Return a tanh in steps of 1/128, as TFLite's int8 operator answers, whatever the model says."""
    tanh = import_extra("tf_keras", "quantization").layers.Activation("tanh", name=name)
    return annotate(tanh, int8_classes().FixedOutputConfig(-1.0, 127.0 / 128.0, cuts_off=False))


def _shift(name: str, value: float, highest: float) -> Any:
    """Return a layer that adds a number and is cut off at 0 and at `highest`."""
    classes = int8_classes()
    shift = classes.AddConstant(value=value, trained=False, name=name, dtype="float32")
    return annotate(shift, classes.FixedOutputConfig(0.0, highest))


def rescale(name: str, factor: float, config: Any = None) -> Any:
    """Return a layer that multiplies by a number; its output is quantized by `config`, or in a range that moves."""
    return annotate(import_extra("tf_keras", "quantization").layers.Rescaling(factor, name=name), config)


def position_embedding(layer: keras.layers.Layer) -> Replacement:
    """Build `keras_lite.layers.PositionEmbedding`: an addition of a constant."""
    [embedding] = layer.get_weights()
    return [(_add_constant(embedding.shape, layer.name), [np.asarray(embedding, "float32")])]


def strided_attention(layer: keras.layers.Layer) -> Replacement:
    """Build `keras_lite.layers.StridedAttention` from reshapes, matrix products and a softmax."""
    [biases] = layer.get_weights()
    biases = np.asarray(biases, "float32")[:, layer.distances]
    return [(_Attention(layer.name, layer.heads, biases.shape), [biases])]


class _Attention:
    """The steps of attention, called as one layer."""

    def __init__(self, name: str, heads: int, bias_shape: tuple[int, ...]):
        self.layers = import_extra("tf_keras", "quantization").layers
        self.name = name
        self.heads = heads
        self.biases = _add_constant(bias_shape, f"{name}_bias")

    def __call__(self, inputs: list[Any]) -> Any:
        classes = int8_classes()
        queries, keys, values = (
            self._split_heads(x, f"{self.name}_{part}")
            for x, part in zip(inputs, ("queries", "keys", "values"), strict=True)
        )
        scores = annotate(classes.MatMul(True, name=f"{self.name}_scores"))([queries, keys])
        factor = inputs[0].shape[-1] // self.heads
        scores = annotate(self.layers.Rescaling(factor**-0.5, name=f"{self.name}_scale"))(scores)
        softmax = self.layers.Softmax(name=f"{self.name}_softmax")
        # TFLite's int8 softmax answers in steps of 1/256, whatever the model says.
        weights = annotate(softmax, classes.FixedOutputConfig(0.0, 255.0 / 256.0, cuts_off=False))(self.biases(scores))
        outputs = annotate(classes.MatMul(False, name=f"{self.name}_mean"))([weights, values])
        outputs = self.layers.Permute((2, 1, 3), name=f"{self.name}_join")(outputs)
        shape = (*inputs[0].shape[1:3], inputs[2].shape[-1])
        return self.layers.Reshape(shape, name=self.name)(outputs)

    def _split_heads(self, x: Any, name: str) -> Any:
        _, height, width, channels = x.shape
        shape = (height * width, self.heads, channels // self.heads)
        x = self.layers.Reshape(shape, name=f"{name}_unfold")(x)
        return self.layers.Permute((2, 1, 3), name=f"{name}_heads")(x)

    def set_weights(self, arrays: list[np.ndarray]) -> None:
        """Set the biases of the scores."""
        self.biases.set_weights(arrays)


def _add_constant(shape: tuple[int, ...], name: str) -> Any:
    classes = int8_classes()
    return annotate(classes.AddConstant(shape, name=name, dtype="float32"), classes.ConstantConfig())
