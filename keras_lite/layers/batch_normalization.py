"""Batch normalisation that trains in one fused kernel on TensorFlow."""

import keras

from keras_lite.errors import import_extra


@keras.saving.register_keras_serializable("keras_lite")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, trained with TensorFlow's fused kernel where there is one.

    Same arguments, variables and results. Keras computes the moments with separate operations, which on a CPU takes
    about a third of a training step of CARNet18. On JAX and PyTorch, and wherever the kernel does not apply, this is
    the stock layer; `keras_lite.graph.flatten` turns it into that everywhere.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015 (arXiv:1502.03167).

    Example:

    >>> keras_lite.layers.BatchNormalization(epsilon=1e-5)(keras.random.normal((2, 8, 8, 16))).shape
    (2, 8, 8, 16)
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise with the batch's moments when training, with the running ones otherwise."""
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
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        # The kernel returns n / (n - 1) times the variance that Keras keeps.
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), variance.dtype)
        variance = variance * (count - 1) / count
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1 - self.momentum))
        return outputs

    def to_stock(self) -> keras.layers.BatchNormalization:
        """Return the stock layer that takes this one's weights and gives its results."""
        return keras.layers.BatchNormalization.from_config(self.get_config())
