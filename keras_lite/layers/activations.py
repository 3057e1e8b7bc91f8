"""Activations that phones run, as stock layers or as layers that flattening replaces by stock ones."""

import functools
from collections.abc import Callable

import keras

from keras_lite.errors import InputError, import_extra

ACTIVATIONS = ("relu", "relu6", "hard_silu")


@keras.saving.register_keras_serializable("keras_lite")
class HardSwish(keras.layers.Layer):
    """Hard swish activation, x * relu6(x + 3) / 6, with a faster gradient on TensorFlow.

    Its values are those of `keras.layers.Activation("hard_silu")`, which takes four passes over the tensor and four
    more for its gradient. When training on TensorFlow, XLA compiles this layer alone, with a gradient of its own, to
    one pass each. On JAX and PyTorch, and when not training, it computes as the stock layer does.
    `keras_lite.graph.flatten` replaces it by the stock layer.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244).

    Example:

    >>> keras.ops.convert_to_numpy(keras_lite.layers.HardSwish()(keras.ops.array([-4.0, 1.0, 4.0])))
    array([-0.       ,  0.6666667,  4.       ], dtype=float32)
    """

    # As on the stock layer that stands for this one.
    stock_class = keras.layers.Activation
    activation = staticmethod(keras.activations.hard_silu)

    def call(self, inputs, training=None):
        """Return the activation of each value."""
        if training is True and keras.backend.backend() == "tensorflow":
            return _compiled_hard_swish()(inputs)
        return keras.activations.hard_silu(inputs)

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Return the arguments that make the layer again."""
        return super().get_config()  # without a method of its own Keras refuses a layer that got a dtype policy

    def to_stock(self) -> keras.layers.Activation:
        """Return the stock layer that gives this one's results."""
        return keras.layers.Activation("hard_silu", **self.get_config())


@functools.cache
def _compiled_hard_swish() -> Callable:
    tf = import_extra("tensorflow", "tensorflow")

    @tf.function(jit_compile=True, autograph=False)
    def activate(x):
        return x * tf.nn.relu6(x + 3) / 6

    @tf.function(jit_compile=True, autograph=False)
    def differentiate(x, upstream):
        middle = tf.where(abs(x) < 3, x, tf.zeros_like(x))
        return upstream * (tf.nn.relu6(x + 3) + middle) / 6

    return tf.custom_gradient(lambda x: (activate(x), lambda upstream: differentiate(x, upstream)))


def activation_layer(activation: str, **kwargs) -> keras.layers.Layer:
    """Return the layer of an activation.

    Args:
        activation: `"relu"`, `"relu6"` or `"hard_silu"` (also known as h-swish: x * relu6(x + 3) / 6).
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Raises:
        InputError: If `activation` is none of those.

    Example:

    >>> keras_lite.layers.activations.activation_layer("relu6").max_value
    6.0
    """
    check_activation(activation)
    if activation == "hard_silu":
        return HardSwish(**kwargs)
    return keras.layers.ReLU(6.0 if activation == "relu6" else None, **kwargs)


def check_activation(activation: str) -> None:
    """Raise InputError unless `activation` is one of `ACTIVATIONS`."""
    if activation not in ACTIVATIONS:
        raise InputError(f"Expected activation to be one of {ACTIVATIONS}, received {activation!r}.")
