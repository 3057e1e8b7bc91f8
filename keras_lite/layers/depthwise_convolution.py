"""A depthwise convolution that trains fast on CPUs."""

import keras

from keras_lite.errors import import_extra

# oneDNN's gradient of the kernel is fast up to this width.
_FAST_WIDTH = 3


@keras.saving.register_keras_serializable("keras_lite")
class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, with TensorFlow's faster kernel for the gradient of wide filters.

    Same arguments, variables and results. On CPUs TensorFlow computes depthwise convolutions with oneDNN, which is
    three to eight times slower than TensorFlow's own code in the gradient of filters of more than three columns, and
    faster in all else. Each is used where it is the faster one. On JAX and PyTorch, and wherever this does not apply,
    this is the stock layer; `keras_lite.graph.flatten` turns it into that everywhere.

    Example:

    >>> keras_lite.layers.DepthwiseConv2D(5, padding="same")(keras.random.normal((2, 8, 8, 16))).shape
    (2, 8, 8, 16)
    """

    def call(self, inputs):
        """Convolve each channel with its filter."""
        if self._explicit_padding() is None:
            return super().call(inputs)
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            outputs = keras.ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def convolution_op(self, inputs, kernel):
        """Convolve each channel with its filter in a kernel."""
        padding = self._explicit_padding()
        if padding is not None:
            return _convolution(inputs, kernel, self.strides, padding=self.padding.upper(), explicit_padding=padding)
        return keras.ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, data_format=self.data_format, dilation_rate=self.dilation_rate
        )

    def _explicit_padding(self) -> list[list[int]] | None:
        """Return the padding in pixels, or `None` where the stock layer is to be used."""
        height, width = self.kernel_size
        applies = (
            keras.backend.backend() == "tensorflow"
            and width > _FAST_WIDTH
            and self.compute_dtype == "float32"
            and self.data_format == "channels_last"
            and tuple(self.dilation_rate) == (1, 1)
            and self.strides[0] == self.strides[1]
        )
        if not applies:
            return None
        if self.padding == "valid":
            return [[0, 0]] * 4
        if self.strides[0] != 1:
            return None  # "same" depends on the size
        return [[0, 0], *([(size - 1) // 2, size // 2] for size in (height, width)), [0, 0]]

    def to_stock(self) -> keras.layers.DepthwiseConv2D:
        """Return the stock layer that takes this one's weights and gives its results."""
        return keras.layers.DepthwiseConv2D.from_config(self.get_config())


def _convolution(inputs, kernel, strides: tuple[int, int], *, padding: str, explicit_padding: list[list[int]]):
    tf = import_extra("tensorflow", "tensorflow")
    steps = [1, *strides, 1]

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(upstream):
            with_inputs = tf.nn.depthwise_conv2d_backprop_input(tf.shape(inputs), kernel, upstream, steps, padding)
            # Padding in pixels keeps TensorFlow from handing the operation to oneDNN.
            with_kernel = tf.nn.depthwise_conv2d_backprop_filter(
                inputs, kernel.shape, upstream, steps, explicit_padding
            )
            return with_inputs, with_kernel

        return tf.nn.depthwise_conv2d(inputs, kernel, steps, padding), gradients

    return convolve(inputs, tf.convert_to_tensor(kernel))
