"""The module that GhostNet is made of."""

import functools
from collections.abc import Callable

import keras

from keras_lite.errors import InputError, import_extra
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.channel_slice import ChannelSlice
from keras_lite.layers.composite import CompositeLayer, is_tensorflow
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.initializers import pytorch_uniform


@keras.saving.register_keras_serializable("keras_lite")
class GhostModule(CompositeLayer):
    """Ghost module: half of the channels from a 1x1 convolution, the other half from these by a depthwise convolution.

    1x1 convolution, batch norm, ReLU; of that a 3x3 depthwise convolution, batch norm, ReLU; both concatenated. For an
    odd number of filters the last channel is cut off. No bias, PyTorch's default initialization, batch norm with
    epsilon 1e-5 and momentum 0.9.

    Source: Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020 (arXiv:1911.11907).

    Args:
        filters: Number of output channels.
        relu: Whether a ReLU follows each batch norm.
        kernel_size: Height and width of the depthwise kernel, odd.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, height, width, filters)`.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    >>> keras_lite.layers.GhostModule(48)(keras.random.normal((2, 32, 32, 16))).shape
    (2, 32, 32, 48)
    """

    def __init__(self, filters: int, relu: bool = True, kernel_size: int = 3, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("filters", filters), ("kernel_size", kernel_size)):
            if not isinstance(value, int) or value < 1:
                raise InputError(f"Expected {argument} to be a positive integer, received {value!r}.")
        if kernel_size % 2 == 0:
            raise InputError(f"Expected kernel_size to be odd, received {kernel_size}.")
        self.filters = filters
        self.with_relu = relu
        self.kernel_size = kernel_size

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        half = -(-self.filters // 2)
        self.primary = [
            self._add(
                Conv2D,
                "primary_convolution",
                filters=half,
                kernel_size=1,
                use_bias=False,
                kernel_initializer=pytorch_uniform(input_shape[-1]),
            ),
            *self._batch_norm_relu("primary"),
        ]
        self.cheap = [
            self._add(
                DepthwiseConv2D,
                "cheap_convolution",
                kernel_size=self.kernel_size,
                padding="same",
                use_bias=False,
                depthwise_initializer=pytorch_uniform(self.kernel_size**2),
            ),
            *self._batch_norm_relu("cheap"),
        ]
        self.concatenate = self._add(keras.layers.Concatenate, "concatenate")
        shape = self._build_in_sequence(self.primary, input_shape)
        self._build_in_sequence(self.cheap, shape)
        self.concatenate.build([shape, shape])
        self.cut = None
        if self.filters % 2:
            self.cut = self._add(ChannelSlice, "cut", start=0, filters=self.filters)
            self.cut.build(self.concatenate.compute_output_shape([shape, shape]))

    def _batch_norm_relu(self, name: str) -> list[keras.layers.Layer]:
        layers = [self._add(BatchNormalization, f"{name}_batch_norm", epsilon=1e-5, momentum=0.9)]
        if self.with_relu:
            layers.append(self._add(keras.layers.ReLU, f"{name}_relu"))
        return layers

    def call(self, inputs):
        """Return the computed channels and their ghosts."""
        inputs = self._apply(self.primary, inputs)
        ghosts = self._apply(self.cheap, inputs)
        if is_tensorflow([inputs]):
            outputs = _tensorflow_concatenate()(inputs, ghosts)
        else:
            outputs = self.concatenate([inputs, ghosts])
        return outputs if self.cut is None else self.cut(outputs)

    def compute_output_shape(self, input_shape):
        """Return the shape with `filters` channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "relu": self.with_relu,
            "kernel_size": self.kernel_size,
        }


@functools.cache
def _tensorflow_concatenate() -> Callable:
    """Return what concatenates the channels of two maps of one shape, with a faster gradient than TensorFlow's."""
    tf = import_extra("tensorflow", "tensorflow")

    @tf.custom_gradient
    def concatenate(left, right):
        return tf.concat([left, right], -1), lambda upstream: tf.split(upstream, 2, -1)

    return concatenate
