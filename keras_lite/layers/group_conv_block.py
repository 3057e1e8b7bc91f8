"""The block that CARNet is made of."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.channel_attention import ChannelAttention
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.grouped_convolution import GroupedConv2D
from keras_lite.layers.initializers import pytorch_uniform


@keras.saving.register_keras_serializable("keras_lite")
class GroupConvBlock(CompositeLayer):
    """Block of grouped convolution, batch norm, ReLU, channel attention and 1x1 convolution.

    The grouped convolution keeps the number of channels and is not padded; both convolutions have a bias. The block
    has no shortcut and ends with the 1x1 convolution, without batch norm or activation. Initialization is PyTorch's
    default, batch norm has epsilon 1e-5 and momentum 0.9.

    Source: CARNet, whose pages speak of a 1x1 convolution "to match residual connections" and of 64 groups; the network
    behind the published figures has no residual connections and one group per input channel, and so has this block.

    Args:
        filters: Number of output channels.
        strides: Stride of the grouped convolution.
        groups: Number of groups; it must divide the number of input channels. `None`: one group per channel.
        kernel_size: Height and width of the grouped convolution's kernel.
        attention_ratio: `ratio` of the `keras_lite.layers.ChannelAttention`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, new_height, new_width, filters)`, where a size n becomes
        `(n - kernel_size) // strides + 1`.

    Raises:
        InputError: If `groups` does not divide the channels, or another argument is not a positive integer.

    Example:

    >>> images = keras.random.normal((2, 32, 32, 64))
    >>> keras_lite.layers.GroupConvBlock(128, strides=2)(images).shape
    (2, 15, 15, 128)
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        groups: int | None = None,
        kernel_size: int = 3,
        attention_ratio: int = 16,
        **kwargs,
    ):
        super().__init__(**kwargs)
        positive = {"filters": filters, "strides": strides, "groups": groups, "kernel_size": kernel_size}
        for argument, value in positive.items():
            if not (argument == "groups" and value is None) and (not isinstance(value, int) or value < 1):
                raise InputError(f"Expected {argument} to be a positive integer, received {value!r}.")
        self.filters = filters
        self.strides = strides
        self.groups = groups
        self.kernel_size = kernel_size
        self.attention_ratio = attention_ratio

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        channels = input_shape[-1]
        self.convolution = self._grouped_convolution(channels)
        self.batch_norm = self._add(BatchNormalization, "batch_norm", epsilon=1e-5, momentum=0.9)
        self.relu = self._add(keras.layers.ReLU, "relu")
        self.attention = self._add(ChannelAttention, "attention", ratio=self.attention_ratio)
        self.pointwise = self._add(
            Conv2D,
            "pointwise",
            filters=self.filters,
            kernel_size=1,
            kernel_initializer=pytorch_uniform(channels),
            bias_initializer=pytorch_uniform(channels),
        )
        self._build_in_sequence(self.sublayers, input_shape)

    def _grouped_convolution(self, channels: int) -> keras.layers.Layer:
        groups = self.groups or channels
        if channels % groups:
            raise InputError(f"Expected groups to divide the number of input channels ({channels}), received {groups}.")
        fan_in = self.kernel_size**2 * channels // groups
        arguments = {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "bias_initializer": pytorch_uniform(fan_in),
        }
        if groups == channels:
            return self._add(
                DepthwiseConv2D,
                "convolution",
                depthwise_initializer=pytorch_uniform(fan_in),
                **arguments,
            )
        return self._add(
            keras.layers.Conv2D if groups == 1 else GroupedConv2D,
            "convolution",
            filters=channels,
            groups=groups,
            kernel_initializer=pytorch_uniform(fan_in),
            **arguments,
        )

    def call(self, inputs):
        """Apply the sublayers one after another."""
        for layer in self.sublayers:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        """Return the shape behind an unpadded convolution, with `filters` channels."""
        batch, *sizes, _ = input_shape
        sizes = [None if n is None else (n - self.kernel_size) // self.strides + 1 for n in sizes]
        return (batch, *sizes, self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "groups": self.groups,
            "kernel_size": self.kernel_size,
            "attention_ratio": self.attention_ratio,
        }
