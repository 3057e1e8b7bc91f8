"""The layers of a quantization-aware model: one for each operator of the int8 file.

What goes from layer to layer are whole numbers of steps from zero, their scale and their zero point.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_lite.layers import Conv2D, DepthwiseConv2D, GroupedConv2D
from keras_lite.quantization.aware.keras_native.computations import COMPUTATIONS, Call, Steps
from keras_lite.quantization.aware.keras_native.rounding import divided, limits, rounded, rounded_sums, whole_weights
from keras_lite.quantization.quantized_graph import HANDING_ON

_PACKAGE = "keras_lite"
# What becomes of scales in training: of a kernel's and of what operators make.
SCALES = ("kept", "estimated", "learned")
# A learned scale is the first one times 1 plus so much of a weight, so that with Adam it moves by as large a part of
# itself as kernels do.
_STRETCH = 16.0
_LEAST_STRETCH = 0.25
# The axes of TFLite's kernels in the order in which Keras has them.
_KERAS_ORDER = {
    "CONV_2D": (1, 2, 3, 0), "DEPTHWISE_CONV_2D": (1, 2, 3, 0), "FULLY_CONNECTED": (1, 0),
    "TRANSPOSE_CONV": (1, 2, 3, 0),
}  # fmt: skip
# Axes of Keras' kernels that are no output channels.
_SUMMED_AXES = {"CONV_2D": (0, 1, 2), "DEPTHWISE_CONV_2D": (0, 1), "FULLY_CONNECTED": (0,), "TRANSPOSE_CONV": (0, 1, 2)}


class _Int8Layer(keras.layers.Layer):
    """A layer that makes int8 numbers: what they are called, their shape, and their scale and zero point.

    Args:
        tensor: What the numbers are called in the file.
        shape: Their shape, without the batch.
        scales: What becomes of scales in training, out of `SCALES`.
        stays: Whether its own scale is kept even where scales are learned.
    """

    def __init__(self, tensor: str, shape: Sequence[int], scales: str = "kept", stays: bool = True, **kwargs):
        # Whole numbers need float32, whatever the precision of other layers.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.tensor, self.shape = tensor, tuple(int(size) for size in shape)
        self.scales, self.stays = scales, stays
        self.scale = self.zero_point = self.stretch = None

    @property
    def learned(self) -> bool:
        """Whether scales have gradients."""
        return self.scales == "learned"

    def add_scheme(self) -> None:
        """Add the weights that say what the numbers stand for."""
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones", trainable=False)
        self.zero_point = self.add_weight(name="zero_point", shape=(), initializer="zeros", trainable=False)
        if self.learned and not self.stays:
            self.stretch = self.add_weight(name="stretch", shape=(), initializer="zeros")

    def scheme(self):
        """Return the scale and the zero point, as tensors."""
        return stretched(self.scale, self.stretch), ops.convert_to_tensor(self.zero_point)

    def compute_output_spec(self, inputs):
        """Return what the layer makes: steps, scale, zero point."""
        sizes = ((None, *self.shape), (), ())
        return [keras.KerasTensor(each, dtype="float32") for each in sizes]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"tensor": self.tensor, "shape": list(self.shape), "scales": self.scales, "stays": self.stays}
        return {**super().get_config(), **own}


def stretched(scale, stretch):
    """Return a scale as training has changed it."""
    scale = ops.convert_to_tensor(scale)
    if stretch is None:
        return scale
    return scale * ops.maximum(1.0 + _STRETCH * ops.convert_to_tensor(stretch), _LEAST_STRETCH)


@keras.saving.register_keras_serializable(_PACKAGE)
class QuantizeInput(_Int8Layer):
    """Images as int8 numbers.

    Args:
        tensor: What the input is called in the file.
        shape: Its shape, without the batch.
    """

    def build(self, input_shape):
        """Add the scale and the zero point."""
        self.add_scheme()

    def call(self, inputs):
        """Return images as steps, with their scale and zero point."""
        scale, zero_point = self.scheme()
        return [rounded(divided(inputs, scale), *limits("NONE", scale, zero_point)), scale, zero_point]


@keras.saving.register_keras_serializable(_PACKAGE)
class DequantizeOutput(keras.layers.Layer):
    """The numbers that an output's integers stand for."""

    def build(self, input_shape):
        """Nothing to add."""

    def call(self, inputs):
        """Return steps times their scale."""
        return inputs[0] * inputs[1]

    def compute_output_spec(self, inputs):
        """Return what the layer makes."""
        return keras.KerasTensor(inputs[0].shape, dtype="float32")


@keras.saving.register_keras_serializable(_PACKAGE)
class Int8Operator(_Int8Layer):
    """An operator of an int8 file without a trained kernel.

    Args:
        kind: Its name in TFLite: `"ADD"`.
        tensor: What it makes is called so in the file.
        shape: The shape of that, without the batch.
        options: Its options, named as in TFLite's schema.
        arguments: Its inputs in order. None: what another layer makes. A dictionary: a constant, with its `name` and,
            if of int32, its `values`; the `shape` of one of int8, whose values are weights.
    """

    def __init__(
        self,
        kind: str,
        tensor: str,
        shape: Sequence[int],
        options: dict[str, Any],
        arguments: Sequence[dict[str, Any] | None],
        **kwargs,
    ):
        super().__init__(tensor, shape, **kwargs)
        self.kind, self.options, self.arguments = kind, dict(options), list(arguments)
        self.number = self.number_scale = self.number_zero_point = None

    @property
    def number_place(self) -> int | None:
        """The place of the input that is a constant of int8; None if there is none."""
        places = [place for place, each in enumerate(self.arguments) if each is not None and "values" not in each]
        return places[0] if places else None

    def build(self, input_shape):
        """Add the scale and the zero point, unless they are the input's, and the constant of int8."""
        if self.kind not in HANDING_ON:
            self.add_scheme()
        if self.number_place is not None:
            shape = self.arguments[self.number_place]["shape"]
            self.number = self.add_weight(name="number", shape=shape, initializer="zeros", trainable=False)
            self.number_scale = self.add_weight(name="number_scale", shape=(), initializer="ones", trainable=False)
            self.number_zero_point = self.add_weight(
                name="number_zero_point", shape=(), initializer="zeros", trainable=False
            )

    def call(self, inputs):
        """Return steps, scale and zero point.

        Args:
            inputs: The same of each input that another layer makes.
        """
        sources = [Steps(*each) for each in inputs]
        place = self.number_place
        if place is not None:
            number = (self.number, self.number_scale, self.number_zero_point)
            sources.insert(place, Steps(*(ops.convert_to_tensor(each) for each in number)))
        scale, zero_point = sources[0].scale, sources[0].zero_point
        if self.scale is not None:
            scale, zero_point = self.scheme()
        integers = [np.asarray(each["values"], "int32") for each in self.arguments if each and "values" in each]
        call = Call(self.options, self.shape, integers, scale, zero_point, place, self.learned)
        return [COMPUTATIONS[self.kind](call, *sources), scale, zero_point]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"kind": self.kind, "options": self.options, "arguments": self.arguments}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(_PACKAGE)
class Int8Convolution(_Int8Layer):
    """CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV or FULLY_CONNECTED with a trainable kernel and bias.

    The kernel has the axes of Keras: height, width, input channels, output channels; of a depthwise convolution height,
    width, channels, multiplier; of a dense layer inputs, outputs.

    Args:
        kind: Which of them.
        tensor: What it makes is called so in the file.
        shape: The shape of that, without the batch.
        options: Its options, named as in TFLite's schema.
        kernel_shape: The shape of the kernel.
        names: What kernel and bias are called in the file.
    """

    def __init__(
        self,
        kind: str,
        tensor: str,
        shape: Sequence[int],
        options: dict[str, Any],
        kernel_shape: Sequence[int],
        names: Sequence[str],
        **kwargs,
    ):
        super().__init__(tensor, shape, **kwargs)
        self.kind, self.options = kind, dict(options)
        self.kernel_shape, self.names = tuple(int(size) for size in kernel_shape), tuple(names)
        self.kernel = self.bias = self.kernel_scale = self.kernel_stretch = None

    def build(self, input_shape):
        """Add the kernel, the bias, the scale and the zero point, and the kernel's scales unless they are estimated."""
        self.kernel = self.add_weight(name="kernel", shape=self.kernel_shape, initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(self.shape[-1],), initializer="zeros")
        if self.scales != "estimated":
            shape = self.bias.shape
            self.kernel_scale = self.add_weight(name="kernel_scale", shape=shape, initializer="ones", trainable=False)
        if self.learned:
            self.kernel_stretch = self.add_weight(name="kernel_stretch", shape=self.bias.shape, initializer="zeros")
        self.add_scheme()
        self._multiply = self._product(input_shape[0][0][-1])

    def _product(self, channels: int):
        """Return what multiplies inputs of so many channels with a kernel. No layer: that would be saved, too."""
        if self.kind == "FULLY_CONNECTED":
            return ops.matmul
        options, size = self.options, self.kernel_shape[:2]
        if self.kind == "TRANSPOSE_CONV":
            return self._transposed
        geometry = {
            "strides": (options.get("stride_h", 1), options.get("stride_w", 1)),
            "padding": options.get("padding", "SAME").lower(),
            "dilation_rate": (options.get("dilation_h_factor", 1), options.get("dilation_w_factor", 1)),
            "data_format": "channels_last",
            "dtype": "float32",
        }
        if self.kind == "DEPTHWISE_CONV_2D":
            return DepthwiseConv2D(size, depth_multiplier=self.kernel_shape[3], **geometry).convolution_op
        groups = channels // self.kernel_shape[2]
        if groups > 1:
            return GroupedConv2D(self.kernel_shape[3], size, groups=groups, **geometry).convolution_op
        return Conv2D(self.kernel_shape[3], size, **geometry).convolution_op

    def _transposed(self, steps, kernel):
        """Return the sums of a transposed convolution, cut to the output."""
        strides = [self.options.get(f"stride_{side}", 1) for side in "hw"]
        kernel = ops.transpose(kernel, (0, 1, 3, 2))
        sums = ops.conv_transpose(steps, kernel, strides, "valid", data_format="channels_last")
        beyond = [found - wanted for found, wanted in zip(sums.shape[1:3], self.shape[:2], strict=True)]
        same = self.options.get("padding", "SAME") == "SAME"
        before = [max(each, 0) // 2 if same else 0 for each in beyond]
        missing = [max(start - each, 0) for start, each in zip(before, beyond, strict=True)]
        sums = ops.pad(sums, [(0, 0), *((0, each) for each in missing), (0, 0)])
        (top, left), (height, width) = before, self.shape[:2]
        return sums[:, top : top + height, left : left + width]

    def whole_weights(self, source_scale):
        """Return kernel and bias as whole numbers, and the kernel's scales, one for each output channel.

        Args:
            source_scale: The scale of what the kernel is multiplied with.
        """
        summed = _SUMMED_AXES[self.kind]
        shape = self.kernel_shape[len(summed) :]
        scales = None
        if self.kernel_scale is not None:
            scales = ops.reshape(stretched(self.kernel_scale, self.kernel_stretch), shape)
        bias = ops.reshape(self.bias, shape)
        kernel, bias, scales = whole_weights(self.kernel, bias, source_scale, summed, scales, self.learned)
        return kernel, ops.reshape(bias, (-1,)), ops.reshape(scales, (-1,))

    def call(self, inputs):
        """Return steps, scale and zero point.

        Args:
            inputs: The same of the input, in a list of one.
        """
        [source] = (Steps(*each) for each in inputs)
        scale, zero_point = self.scheme()
        kernel, bias, scales = self.whole_weights(source.scale)
        steps = source.steps
        if self.kind == "FULLY_CONNECTED" and len(steps.shape) != len(self.shape) + 1:
            steps = ops.reshape(steps, (-1, self.kernel_shape[0]))
        sums = self._multiply(steps, kernel)
        ends = limits(self.options.get("fused_activation_function", "NONE"), scale, zero_point, self.learned)
        factor = divided(source.scale * scales, scale)
        if self.learned:
            steps = rounded(sums + bias, *ends, factor, learned=True)
        else:
            steps = rounded_sums(sums, bias, *ends, factor)
        return [ops.reshape(steps, (-1, *self.shape)), scale, zero_point]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        own = {"kind": self.kind, "options": self.options}
        own |= {"kernel_shape": list(self.kernel_shape), "names": list(self.names)}
        return {**super().get_config(), **own}

    def take(self, kernel: np.ndarray, bias: np.ndarray, scales: np.ndarray) -> None:
        """Take a kernel and a bias as TFLite has them, in floats, and the kernel's scales."""
        self.kernel.assign(kernel.transpose(_KERAS_ORDER[self.kind]).reshape(self.kernel_shape))
        self.bias.assign(bias)
        if self.kernel_scale is not None:
            self.kernel_scale.assign(scales)

    def in_file(self, source_scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the int8 kernel with the axes of TFLite, the int32 bias and the kernel's scales.

        Args:
            source_scale: The scale of what the kernel is multiplied with.
        """
        source_scale = ops.convert_to_tensor(np.float32(source_scale))
        kernel, bias, scales = map(ops.convert_to_numpy, self.whole_weights(source_scale))
        order = _KERAS_ORDER[self.kind]
        if self.kind == "DEPTHWISE_CONV_2D":
            kernel = kernel.reshape(1, *self.kernel_shape[:2], -1)
        else:
            kernel = kernel.transpose(np.argsort(order))
        return np.ascontiguousarray(kernel.astype("int8")), bias.astype("int32"), scales


def kernel_shape(kind: str, shape: Sequence[int], channels: int) -> tuple[int, ...]:
    """Return the shape that a kernel of TFLite has in Keras.

    Args:
        kind: `"CONV_2D"`, ...
        shape: In TFLite.
        channels: Of the operator's input.
    """
    if kind == "DEPTHWISE_CONV_2D":
        return (*shape[1:3], channels, shape[3] // channels)
    return tuple(shape[axis] for axis in _KERAS_ORDER[kind])
