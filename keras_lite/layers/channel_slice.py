"""A slice of the channels, in layers that phones run."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers.channel_shuffle import require_known_size
from keras_lite.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable("keras_lite")
class ChannelSlice(CompositeLayer):
    """Slice of the channels: `filters` of them, from `start` on.

    Keras has no layer that slices channels. So two reshapes, which cost nothing, are put around the layer that crops
    height and width.

    Args:
        start: First channel taken, from 0.
        filters: Number of channels taken.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, height, width, filters)`.

    Raises:
        InputError: If there are no such channels, or the height or width is open.

    Example:

    >>> keras_lite.layers.ChannelSlice(4, 2)(keras.random.normal((2, 8, 8, 16))).shape
    (2, 8, 8, 2)
    """

    def __init__(self, start: int, filters: int, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(start, int) or start < 0:
            raise InputError(f"Expected start to be an integer from 0 on, received {start!r}.")
        if not isinstance(filters, int) or filters < 1:
            raise InputError(f"Expected filters to be a positive integer, received {filters!r}.")
        self.start = start
        self.filters = filters

    def build(self, input_shape):
        """Create the sublayers for the shape at hand."""
        _, height, width, channels = require_known_size(input_shape, "ChannelSlice")
        rest = channels - self.start - self.filters
        if rest < 0:
            raise InputError(
                f"Expected start + filters to be at most the number of channels ({channels}), "
                f"received {self.start} + {self.filters}."
            )
        self._add(keras.layers.Reshape, "unfold", target_shape=(height * width, channels, 1))
        self._add(keras.layers.Cropping2D, "crop", cropping=((0, 0), (self.start, rest)))
        self._add(keras.layers.Reshape, "fold", target_shape=(height, width, self.filters))
        self._build_in_sequence(self.sublayers, input_shape)

    def call(self, inputs):
        """Return the chosen channels."""
        return self._apply(self.sublayers, inputs)

    def compute_output_shape(self, input_shape):
        """Return the shape with `filters` channels."""
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {**super().get_config(), "start": self.start, "filters": self.filters}
