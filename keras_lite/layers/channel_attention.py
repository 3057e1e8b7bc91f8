"""Channel attention, also known as squeeze-and-excitation."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.initializers import check_scheme, convolution_initializers

GATES = ("sigmoid", "hard_sigmoid")


@keras.saving.register_keras_serializable("keras_lite")
class ChannelAttention(CompositeLayer):
    """Channel attention: each channel times a factor between 0 and 1, computed from the means of all channels.

    Global average pooling, a 1x1 convolution to `squeeze_filters` channels with ReLU, a 1x1 convolution back, a gate,
    and a product with the input. Both convolutions have a bias.

    Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018 (arXiv:1709.01507).

    Args:
        ratio: The channels are squeezed to `channels // ratio`.
        squeeze_filters: The number of squeezed channels, instead of `ratio`.
        gate: `"sigmoid"`, or `"hard_sigmoid"`: relu6(x + 3) / 6.
        initialization: `"pytorch"`, `"kaiming_uniform"` or `"kaiming_normal"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of the same shape.

    Raises:
        InputError: If an argument is not one of those above, or `ratio` exceeds the number of channels.

    Example:

    >>> images = keras.random.normal((2, 32, 32, 64))
    >>> keras_lite.layers.ChannelAttention(ratio=16)(images).shape
    (2, 32, 32, 64)
    """

    def __init__(
        self,
        ratio: int = 16,
        squeeze_filters: int | None = None,
        gate: str = "sigmoid",
        initialization: str = "pytorch",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_scheme(initialization)
        check_gate(gate)
        for argument, value in (("ratio", ratio), ("squeeze_filters", squeeze_filters)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"Expected {argument} to be a positive integer, received {value!r}.")
        self.ratio = ratio
        self.squeeze_filters = squeeze_filters
        self.gate_name = gate
        self.initialization = initialization

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        channels = input_shape[-1]
        squeezed = self.squeeze_filters or channels // self.ratio
        if squeezed < 1:
            raise InputError(
                f"Expected ratio to be at most the number of channels ({channels}), received {self.ratio}."
            )

        def convolution(name: str, channels: int, filters: int) -> keras.layers.Layer:
            return self._add(
                Conv2D,
                name,
                filters=filters,
                kernel_size=1,
                **convolution_initializers(self.initialization, 1, channels, filters),
            )

        self.pool = self._add(keras.layers.GlobalAveragePooling2D, "pool", keepdims=True)
        self.squeeze = convolution("squeeze", channels, squeezed)
        self.relu = self._add(keras.layers.ReLU, "relu")
        self.excite = convolution("excite", squeezed, channels)
        self.gate = self._add(keras.layers.Activation, "gate", activation=self.gate_name)
        self.scale = self._add(keras.layers.Multiply, "scale")
        weights_shape = self._build_in_sequence(self.sublayers[:-1], input_shape)
        self.scale.build([input_shape, weights_shape])

    def call(self, inputs):
        """Return the inputs, each channel times its factor."""
        weights = self.relu(self.squeeze(self.pool(inputs)))
        return self.scale([inputs, self.gate(self.excite(weights))])

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "squeeze_filters": self.squeeze_filters,
            "gate": self.gate_name,
            "initialization": self.initialization,
        }


def check_gate(gate: str | None, known: tuple[str | None, ...] = GATES) -> None:
    """Raise InputError unless `gate` is one of `known`."""
    if gate not in known:
        raise InputError(f"Expected gate to be one of {known}, received {gate!r}.")
