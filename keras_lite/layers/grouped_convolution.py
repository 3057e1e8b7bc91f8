"""A grouped convolution that trains fast on CPUs."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_lite")
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, computed group by group.

    Same arguments, variables and results. TensorFlow's and JAX's native grouped convolution is 50 to 100 times slower
    to train on a CPU than splitting the channels, convolving each part and concatenating, which is what this layer
    does. `keras_lite.graph.flatten` turns it into one native `Conv2D`, which is what runs fast on a phone.

    Example:

    >>> keras_lite.layers.GroupedConv2D(64, 3, groups=4)(keras.random.normal((2, 32, 32, 16))).shape
    (2, 30, 30, 64)
    """

    def convolution_op(self, inputs, kernel):
        """Convolve each group of channels with its part of the kernel."""
        parts = zip(ops.split(inputs, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1), strict=True)
        return ops.concatenate([super(GroupedConv2D, self).convolution_op(x, k) for x, k in parts], axis=-1)

    def to_stock(self) -> keras.layers.Conv2D:
        """Return the stock layer that takes this one's weights and gives its results."""
        return keras.layers.Conv2D.from_config(self.get_config())
