"""A convolution of single pixels that trains fast on CPUs."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_lite")
class PixelConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` for maps of one pixel, such as behind a global pooling, computed by a matrix product.

    Same arguments, variables and results. On CPUs TensorFlow's convolutions take twice the time of a matrix product
    there. Of larger maps and kernels this is the stock layer; `keras_lite.graph.flatten` turns it into that everywhere.

    Example:

    >>> keras_lite.layers.PixelConv2D(4, 1)(keras.random.normal((2, 1, 1, 16))).shape
    (2, 1, 1, 4)
    """

    def convolution_op(self, inputs, kernel):
        """Convolve, or multiply by the kernel where that is the same."""
        is_pixel = tuple(inputs.shape[1:3]) == (1, 1) and tuple(kernel.shape[:2]) == (1, 1)
        if not is_pixel or self.groups != 1 or self.data_format != "channels_last":
            return super().convolution_op(inputs, kernel)
        vectors = ops.reshape(inputs, (-1, inputs.shape[-1]))
        products = ops.matmul(vectors, ops.reshape(kernel, kernel.shape[2:]))
        return ops.reshape(products, (-1, 1, 1, kernel.shape[-1]))

    def to_stock(self) -> keras.layers.Conv2D:
        """Return the stock layer that takes this one's weights and gives its results."""
        return keras.layers.Conv2D.from_config(self.get_config())
