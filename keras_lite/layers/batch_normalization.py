"""Batch normalization that trains in one fused kernel on TensorFlow."""

import functools
from collections.abc import Callable

import keras

from keras_lite.errors import import_extra


@keras.saving.register_keras_serializable("keras_lite")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, trained with TensorFlow's fused kernel where there is one.

    Same arguments, variables and results. Keras computes the moments with separate operations, which on a CPU takes
    about a third of a training step of CARNet18. Where the number of channels is no multiple of four, as in
    ShuffleNetV2, the kernel is slow in turn, and each of its passes is an operation that is fast there. On JAX and
    PyTorch, and wherever neither applies, this is the stock layer; `keras_lite.graph.flatten` turns it into that
    everywhere.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015 (arXiv:1502.03167).

    Example:

    >>> keras_lite.layers.BatchNormalization(epsilon=1e-5)(keras.random.normal((2, 8, 8, 16))).shape
    (2, 8, 8, 16)
    """

    def call(self, inputs, training=None, mask=None):
        """Normalize with the batch's moments when training, with the running ones otherwise."""
        fused = (
            keras.backend.backend() == "tensorflow"
            and training is True
            and self.trainable
            and mask is None
            and not self.synchronized
            and self.scale
            and self.center
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.compute_dtype != "float16"  # CPUs have no such kernel
        )
        return self._call_fused(inputs) if fused else super().call(inputs, training=training, mask=mask)

    def _call_fused(self, inputs):
        tf = import_extra("tensorflow", "tensorflow")
        inputs = tf.cast(inputs, self.compute_dtype)
        gamma, beta = self.gamma.value, self.beta.value
        if inputs.shape[-1] % 4:
            inputs = tf.cast(inputs, "float32")
            outputs, mean, variance = _tensorflow_normalize()(inputs, gamma, beta, self.epsilon)
            outputs = tf.cast(outputs, self.compute_dtype)
        else:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, gamma, beta, epsilon=self.epsilon, is_training=True
            )
            # The kernel returns n / (n - 1) times the variance that Keras keeps.
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), variance.dtype)
            variance = variance * (count - 1) / count
            if inputs.shape[-1] % 8:
                # Joined with a ReLU behind it, the kernel is slow there. TensorFlow does not join across this.
                outputs = tf.ensure_shape(outputs, inputs.shape)
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return outputs

    def to_stock(self) -> keras.layers.BatchNormalization:
        """Return the stock layer that takes this one's weights and gives its results."""
        return keras.layers.BatchNormalization.from_config(self.get_config())


@functools.cache
def _tensorflow_normalize() -> Callable:
    tf = import_extra("tensorflow", "tensorflow")

    def total(x):
        return tf.raw_ops.BiasAddGrad(out_backprop=x)  # the sum of each channel

    def total_product(x, y):
        # The gradient of a depthwise filter of one pixel.
        shape = (1, 1, x.shape[-1], 1)
        return tf.reshape(tf.nn.depthwise_conv2d_backprop_filter(x, shape, y, [1, 1, 1, 1], "VALID"), [-1])

    @tf.function(jit_compile=True, autograph=False)
    def scale(x, factor, offset):
        return x * factor + offset

    @tf.function(jit_compile=True, autograph=False)
    def combine(x, y, factor_x, *, factor_y, offset):
        return x * factor_x + y * factor_y + offset

    def normalize(inputs, gamma, beta, epsilon: float):
        @tf.custom_gradient
        def normalized(inputs, gamma, beta):
            count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), inputs.dtype)
            mean = total(inputs) / count
            centered = inputs - mean
            variance = total_product(centered, centered) / count
            rate = tf.math.rsqrt(variance + epsilon)

            def gradients(upstream, *_):
                with_beta = total(upstream)
                with_gamma = total_product(centered, upstream) * rate
                factor = gamma * rate
                with_inputs = combine(
                    upstream,
                    centered,
                    factor,
                    factor_y=-factor * rate * with_gamma / count,
                    offset=-factor * with_beta / count,
                )
                return with_inputs, with_gamma, with_beta

            return (scale(centered, gamma * rate, beta), mean, variance), gradients

        return normalized(inputs, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))

    return normalize
