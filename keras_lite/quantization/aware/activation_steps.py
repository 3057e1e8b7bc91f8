"""Activations as steps that XNNPACK takes in int8, each with its output quantized."""

from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.quantization.aware.int8_layers import annotate, int8_classes

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
