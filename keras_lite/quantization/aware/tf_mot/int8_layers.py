"""What TF-MOT lacks to quantize our models: quantize configs, and tf_keras layers of one int8 operator each."""

import functools
import types
from typing import Any

import numpy as np

from keras_lite.errors import import_extra


@functools.cache
def int8_classes() -> types.SimpleNamespace:
    """Return the classes, made where TF-MOT and tf_keras can be imported.

    Quantize configs: `OutputConfig` (a range that moves with the outputs), `FixedOutputConfig` (a range that is given:
    what is outside is cut off, by the rounding itself), `KeptConfig` (no range: the output has the input's),
    `ConstantConfig` (like `OutputConfig`, for `AddConstant`), `DepthwiseConfig` (for depthwise convolutions),
    `FixedConvolutionConfig` and `FixedDenseConfig` (like `FixedOutputConfig`, for layers with a kernel). Quantizers:
    `FixedRange` (of the fixed configs), `SharedRange` (rounds in the range of another tensor). Layers: `AddConstant`,
    `ChannelRange`, `PlainConcatenate`, `MatMul`, `MultiplyConstant`.
    """
    tensorflow = import_extra("tensorflow", "quantization")
    tf_keras = import_extra("tf_keras", "quantization")
    quantization = import_extra("tensorflow_model_optimization", "quantization").quantization.keras
    weights_per_channel = _weights_per_channel()

    class FixedRange(quantization.quantizers.Quantizer):
        """Round to 8 bits between two given numbers.

        Args:
            lowest: What is below is cut off there.
            highest: What is above is cut off there.
            cuts_off: Whether that is meant; otherwise only rounding moves a number, by less than a step.
        """

        def __init__(self, lowest: float, highest: float, cuts_off: bool = True):
            self.lowest, self.highest, self.cuts_off = lowest, highest, cuts_off

        def build(self, tensor_shape, name, layer):
            return {}

        def __call__(self, inputs, training, weights, **kwargs):
            return tensorflow.quantization.fake_quant_with_min_max_args(inputs, self.lowest, self.highest)

        def unrounded(self, inputs, training, weights, **kwargs):
            """Return what would be rounded, cut off where that is meant."""
            return tensorflow.clip_by_value(inputs, self.lowest, self.highest) if self.cuts_off else inputs

        def get_config(self):
            return {"lowest": self.lowest, "highest": self.highest, "cuts_off": self.cuts_off}

    class SharedRange(quantization.quantizers.Quantizer):
        """Round to 8 bits in the range of another tensor, whose variables it reads and leaves as they are."""

        def build(self, tensor_shape, name, layer):
            return {}

        def __call__(self, inputs, training, weights, **kwargs):
            return tensorflow.quantization.fake_quant_with_min_max_vars(inputs, weights["min_var"], weights["max_var"])

        def unrounded(self, inputs, training, weights, **kwargs):
            """Return what would be rounded."""
            return inputs

        def get_config(self):
            return {}

    class KeptConfig(quantization.QuantizeConfig):
        """Quantize nothing: the layer hands on numbers of its input."""

        def get_weights_and_quantizers(self, layer):
            return []

        def get_activations_and_quantizers(self, layer):
            return []

        def set_quantize_weights(self, layer, quantize_weights):
            pass

        def set_quantize_activations(self, layer, quantize_activations):
            pass

        def get_output_quantizers(self, layer):
            return []

        def get_config(self):
            return {}

    class OutputConfig(KeptConfig):
        """Quantize the output: a moving average range, one for all channels."""

        def get_output_quantizers(self, layer):
            return [
                quantization.quantizers.MovingAverageQuantizer(
                    num_bits=8, per_axis=False, symmetric=False, narrow_range=False
                )
            ]

    class FixedOutputConfig(KeptConfig):
        """Quantize the output, in a given range."""

        def __init__(self, lowest: float, highest: float, cuts_off: bool = True):
            self.lowest, self.highest, self.cuts_off = lowest, highest, cuts_off

        def get_output_quantizers(self, layer):
            return [FixedRange(self.lowest, self.highest, self.cuts_off)]

        def get_config(self):
            return {"lowest": self.lowest, "highest": self.highest, "cuts_off": self.cuts_off}

    class ChannelwiseRounding(quantization.quantizers.Quantizer):
        """Round a depthwise kernel to 8 bits, each channel with its own step, as the file will have it.

        TF-MOT rounds it with one step for all channels, and the converter then rounds what comes of it once more.
        """

        def build(self, tensor_shape, name, layer):
            return {}

        def __call__(self, inputs, training, weights, **kwargs):
            largest = tensorflow.reduce_max(tensorflow.abs(inputs), axis=(0, 1), keepdims=True)
            # Not divided by 127: to the last bit what the converter makes of that.
            step = tensorflow.maximum(largest, 1e-12) * np.float32(1.0 / 127.0)
            return inputs + tensorflow.stop_gradient(tensorflow.round(inputs / step) * step - inputs)

        def get_config(self):
            return {}

    class DepthwiseConfig(OutputConfig):
        """Quantize the kernel of a depthwise convolution and, where nothing is folded into it, the output."""

        def __init__(self, quantize_output: bool):
            self.quantize_output = quantize_output

        def get_weights_and_quantizers(self, layer):
            return [(layer.depthwise_kernel, ChannelwiseRounding())]

        def set_quantize_weights(self, layer, quantize_weights):
            [layer.depthwise_kernel] = quantize_weights

        def get_output_quantizers(self, layer):
            return super().get_output_quantizers(layer) if self.quantize_output else []

        def get_config(self):
            return {"quantize_output": self.quantize_output}

    def last_value():
        return quantization.quantizers.LastValueQuantizer(num_bits=8, per_axis=False, symmetric=True, narrow_range=True)

    class FixedDenseConfig(FixedOutputConfig):
        """Quantize kernel and output, the output in a given range."""

        weight_quantizer = staticmethod(last_value)

        def get_weights_and_quantizers(self, layer):
            return [(layer.kernel, self.weight_quantizer())]

        def set_quantize_weights(self, layer, quantize_weights):
            [layer.kernel] = quantize_weights

    class FixedConvolutionConfig(FixedDenseConfig):
        """The same with one range a channel for the kernel."""

        weight_quantizer = staticmethod(weights_per_channel)

    class ConstantConfig(OutputConfig):
        """Quantize constant and output."""

        def get_weights_and_quantizers(self, layer):
            return [(layer.constant, last_value())]

        def set_quantize_weights(self, layer, quantize_weights):
            [layer.constant] = quantize_weights

    class AddConstant(tf_keras.layers.Layer):
        """Add an array to each example: a trained one, or one number."""

        def __init__(self, shape=(), value=0.0, trained=True, **kwargs):
            super().__init__(**kwargs)
            self.shape, self.value, self.trained = tuple(shape), value, trained
            self.constant = self.add_weight("constant", self.shape) if trained else value

        def call(self, inputs):
            return inputs + self.constant

        def compute_output_shape(self, input_shape):
            return input_shape

        def get_config(self):
            return {**super().get_config(), "shape": self.shape, "value": self.value, "trained": self.trained}

    class MultiplyConstant(tf_keras.layers.Layer):
        """Multiply each example by an array that stays, rounded to 8 bits."""

        # How many the largest number has: 1/4, 1/2, 4/9, 2/3, the parts of windows, are whole numbers of them.
        steps = 108

        def __init__(self, values, **kwargs):
            super().__init__(**kwargs)
            self.values = np.asarray(values, "float32")
            self.rounded = True
            # Its place among the layers of this kind. The converter makes one constant of those that are alike, and
            # then drops the range of what several operators take: so each has a range of its own, by a hair.
            self.place = 0

        @property
        def limit(self):
            """The end of the range, on both sides of zero."""
            return float(np.float32(float(self.values.max()) * 127.0 / self.steps * (1.0 + self.place * 2.0**-21)))

        def call(self, inputs):
            if not self.rounded:
                return inputs * self.values
            return inputs * tensorflow.quantization.fake_quant_with_min_max_args(
                self.values, -self.limit, self.limit, narrow_range=True
            )

        def compute_output_shape(self, input_shape):
            return input_shape

        def get_config(self):
            return {**super().get_config(), "values": self.values.tolist()}

    class ChannelRange(tf_keras.layers.Layer):
        """Take some of the channels."""

        def __init__(self, start, stop, **kwargs):
            super().__init__(**kwargs)
            self.start, self.stop = start, stop

        def call(self, inputs):
            return inputs[:, :, :, self.start : self.stop]

        def compute_output_shape(self, input_shape):
            return (*input_shape[:-1], self.stop - self.start)

        def get_config(self):
            return {**super().get_config(), "start": self.start, "stop": self.stop}

    class PlainConcatenate(tf_keras.layers.Layer):
        """Concatenate; TF-MOT swaps the inputs of a layer whose class is named `Concatenate`."""

        def __init__(self, axis, **kwargs):
            super().__init__(**kwargs)
            self.axis = axis

        def call(self, inputs):
            return tensorflow.concat(inputs, self.axis)

        def compute_output_shape(self, input_shape):
            shape = list(input_shape[0])
            shape[self.axis] = sum(each[self.axis] for each in input_shape)
            return tuple(shape)

        def get_config(self):
            return {**super().get_config(), "axis": self.axis}

    class MatMul(tf_keras.layers.Layer):
        """Multiply two batches of matrices."""

        def __init__(self, transposed, **kwargs):
            super().__init__(**kwargs)
            self.transposed = transposed

        def call(self, inputs):
            return tensorflow.matmul(*inputs, transpose_b=self.transposed)

        def compute_output_shape(self, input_shape):
            first, second = input_shape
            return (*first[:-1], second[-2 if self.transposed else -1])

        def get_config(self):
            return {**super().get_config(), "transposed": self.transposed}

    return types.SimpleNamespace(
        AddConstant=AddConstant,
        ChannelRange=ChannelRange,
        ConstantConfig=ConstantConfig,
        DepthwiseConfig=DepthwiseConfig,
        FixedConvolutionConfig=FixedConvolutionConfig,
        FixedDenseConfig=FixedDenseConfig,
        FixedOutputConfig=FixedOutputConfig,
        FixedRange=FixedRange,
        PlainConcatenate=PlainConcatenate,
        KeptConfig=KeptConfig,
        MatMul=MatMul,
        MultiplyConstant=MultiplyConstant,
        OutputConfig=OutputConfig,
        SharedRange=SharedRange,
    )


def _weights_per_channel() -> type:
    # TF-MOT keeps its quantizer of convolution kernels private.
    import_extra("tensorflow_model_optimization", "quantization")
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantizers

    return default_8bit_quantizers.Default8BitConvWeightsQuantizer


def annotate(layer: Any, config: Any = None) -> Any:
    """Wrap a tf_keras layer so that TF-MOT quantizes it by `config`; None: its output, although TF-MOT refuses it."""
    quantization = import_extra("tensorflow_model_optimization", "quantization").quantization.keras
    return quantization.quantize_annotate_layer(layer, config or int8_classes().OutputConfig())
