"""Moving channels between the groups of a grouped network."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable("keras_lite")
class ChannelShuffle(CompositeLayer):
    """Channel shuffle: takes the channels of all groups in turn, so (a1 a2 a3 b1 b2 b3) becomes (a1 b1 a2 b2 a3 b3).

    Two reshapes around a permutation. Height and width are merged in between, so that phones see tensors of four
    dimensions only; hence both must be known.

    Source: Zhang et al., "ShuffleNet", CVPR 2018 (arXiv:1707.01083).

    Args:
        groups: Number of groups; it must divide the number of channels.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of the same shape.

    Raises:
        InputError: If `groups` does not divide the channels, or the height or width is open.

    Example:

    >>> channels = keras.ops.reshape(keras.ops.arange(6), (1, 1, 1, 6))
    >>> keras_lite.layers.ChannelShuffle(2)(channels)[0, 0, 0].numpy().tolist()
    [0, 3, 1, 4, 2, 5]
    """

    def __init__(self, groups: int = 2, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(groups, int) or groups < 1:
            raise InputError(f"Expected groups to be a positive integer, received {groups!r}.")
        self.groups = groups

    def build(self, input_shape):
        """Create the sublayers for the shape at hand."""
        _, height, width, channels = require_known_size(input_shape, "ChannelShuffle")
        if channels % self.groups:
            raise InputError(f"Expected groups to divide the number of channels ({channels}), received {self.groups}.")
        grouped = (height * width, self.groups, channels // self.groups)
        self._add(keras.layers.Reshape, "group", target_shape=grouped)
        self._add(keras.layers.Permute, "interleave", dims=(1, 3, 2))
        self._add(keras.layers.Reshape, "ungroup", target_shape=(height, width, channels))
        self._build_in_sequence(self.sublayers, input_shape)

    def call(self, inputs):
        """Return the inputs with their channels in the new order."""
        return self._apply(self.sublayers, inputs)

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {**super().get_config(), "groups": self.groups}


def require_known_size(shape: tuple, name: str) -> tuple:
    """Return a layer's input shape, or raise an `InputError` if its height or width is open."""
    if None in shape[1:]:
        raise InputError(
            f"Expected an input of known height and width for {name}, received the shape {tuple(shape)}: "
            "its reshapes are fixed when the layer is built."
        )
    return shape
