"""Downsampling without padding: a strided convolution beside a max-pool."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers.activations import activation_layer, check_activation
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.bsconv import convolution_class
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.initializers import check_scheme, convolution_initializers, depthwise_initializers

STEPS = ("convolution", "batch_norm", "activation")


@keras.saving.register_keras_serializable("keras_lite")
class PaddingFreeDownsampling(CompositeLayer):
    """Downsampling by a convolution of stride 2, batch norm and activation, plus a max-pool of the input.

    A 3x3 convolution or pool is not padded; a 5x5 one is padded by one pixel on each side, the pool with minus
    infinity. The families differ in where the pool is added, and in whether the convolution is depthwise.

    Source: the padding-free-downsampling networks.

    Args:
        filters: Number of output channels of a full convolution; the pool then goes through a 1x1 convolution
            without bias. `None`: a depthwise convolution.
        kernel_size: 3 or 5.
        pool_size: 3 or 5.
        activation: `"relu"`, `"relu6"`, `"hard_silu"` or `None`.
        batch_norm: Whether a batch norm follows the convolution.
        pool_added_after: `"convolution"`, `"batch_norm"` or `"activation"`.
        convolution: The full convolution: `"standard"`, `"bsconv_u"` or `"bsconv_s"`.
        convolution_options: More arguments of the blueprint separable convolution, such as `{"ratio": 0.25}`.
        batch_norm_epsilon: Epsilon of the batch norm.
        batch_norm_momentum: Momentum of the batch norm.
        initialization: `"pytorch"`, `"kaiming_uniform"` or `"kaiming_normal"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`, at least 3 x 3.

    Returns:
        Tensor of shape `(batch, new_height, new_width, channels or filters)`, where n becomes `(n - 1) // 2`.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    >>> layer = keras_lite.layers.PaddingFreeDownsampling(kernel_size=5, activation="hard_silu")
    >>> layer(keras.random.normal((2, 32, 32, 16))).shape
    (2, 15, 15, 16)
    """

    def __init__(
        self,
        filters: int | None = None,
        kernel_size: int = 3,
        pool_size: int = 3,
        activation: str | None = "relu",
        batch_norm: bool = True,
        pool_added_after: str = "activation",
        convolution: str = "standard",
        convolution_options: dict | None = None,
        batch_norm_epsilon: float = 1e-5,
        batch_norm_momentum: float = 0.9,
        initialization: str = "pytorch",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters is not None and (not isinstance(filters, int) or filters < 1):
            raise InputError(f"Expected filters to be a positive integer or None, received {filters!r}.")
        for argument, value in (("kernel_size", kernel_size), ("pool_size", pool_size)):
            if value not in (3, 5):
                raise InputError(f"Expected {argument} to be 3 or 5, received {value!r}.")
        if activation is not None:
            check_activation(activation)
        check_scheme(initialization)
        if convolution_class(convolution) is not keras.layers.Conv2D and filters is None:
            raise InputError(f"Expected filters with convolution={convolution!r}, received none (it is depthwise).")
        present = {"convolution": True, "batch_norm": batch_norm, "activation": activation is not None}
        if not present.get(pool_added_after):
            raise InputError(
                f"Expected pool_added_after to be one of {STEPS} that the layer has, received {pool_added_after!r}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.pool_size = pool_size
        self.activation = activation
        self.batch_norm = batch_norm
        self.pool_added_after = pool_added_after
        self.convolution_name = convolution
        self.convolution_options = convolution_options
        self.batch_norm_epsilon = batch_norm_epsilon
        self.batch_norm_momentum = batch_norm_momentum
        self.initialization = initialization

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        self.steps = {step: [] for step in STEPS}
        self.steps["convolution"] = self._convolution(input_shape[-1])
        self.pool = self._pool(input_shape[-1])
        if self.batch_norm:
            epsilon, momentum = self.batch_norm_epsilon, self.batch_norm_momentum
            self.steps["batch_norm"] = [self._add(BatchNormalization, "batch_norm", epsilon=epsilon, momentum=momentum)]
        if self.activation is not None:
            self.steps["activation"] = [self._add(activation_layer, "activation", activation=self.activation)]
        self.add = self._add(keras.layers.Add, "add")
        shape = input_shape
        for step in STEPS:
            shape = self._build_in_sequence(self.steps[step], shape)
        self.add.build([shape, self._build_in_sequence(self.pool, input_shape)])

    def _convolution(self, channels: int) -> list:
        arguments = {"kernel_size": self.kernel_size, "strides": 2, "use_bias": False}
        pixels = self.kernel_size // 2 - 1
        if self.convolution_name != "standard":
            arguments |= {"filters": self.filters, "padding": pixels, **(self.convolution_options or {})}
            return [self._add(convolution_class(self.convolution_name), "convolution", **arguments)]
        layers = [self._add(keras.layers.ZeroPadding2D, "padding", padding=pixels)] if pixels else []
        if self.filters is None:
            arguments |= depthwise_initializers(self.initialization, self.kernel_size, channels)
            return [*layers, self._add(DepthwiseConv2D, "convolution", **arguments)]
        arguments |= convolution_initializers(self.initialization, self.kernel_size, channels, self.filters)
        return [*layers, self._add(keras.layers.Conv2D, "convolution", filters=self.filters, **arguments)]

    def _pool(self, channels: int) -> list:
        layers = []
        if self.pool_size == 5:
            # Two pools of 3 x 3 see 5 x 5 pixels; "same" pads the first with what no maximum takes.
            layers.append(self._add(keras.layers.MaxPooling2D, "pool_widen", pool_size=3, strides=1, padding="same"))
        layers.append(self._add(keras.layers.MaxPooling2D, "pool", pool_size=3, strides=2))
        if self.filters is not None:
            layers.append(
                self._add(
                    Conv2D,
                    "pool_projection",
                    filters=self.filters,
                    kernel_size=1,
                    use_bias=False,
                    **convolution_initializers(self.initialization, 1, channels, self.filters),
                )
            )
        return layers

    def call(self, inputs):
        """Apply the convolution, batch norm and activation; add the pool after the chosen one."""
        x = inputs
        for step in STEPS:
            x = self._apply(self.steps[step], x)
            if step == self.pool_added_after:
                x = self.add([x, self._apply(self.pool, inputs)])
        return x

    def compute_output_shape(self, input_shape):
        """Return the shape with `(n - 1) // 2` in place of each size n."""
        batch, *sizes, channels = input_shape
        sizes = [None if n is None else (n - 1) // 2 for n in sizes]
        return (batch, *sizes, channels if self.filters is None else self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "pool_size": self.pool_size,
            "activation": self.activation,
            "batch_norm": self.batch_norm,
            "pool_added_after": self.pool_added_after,
            "convolution": self.convolution_name,
            "convolution_options": self.convolution_options,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "batch_norm_momentum": self.batch_norm_momentum,
            "initialization": self.initialization,
        }
