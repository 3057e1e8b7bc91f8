"""The hybrid stem: a convolution whose output goes through a depthwise convolution and a max-pool side by side."""

import keras

from keras_lite.errors import InputError
from keras_lite.layers.activations import activation_layer, check_activation
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.bsconv import convolution_class
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.initializers import check_scheme, convolution_initializers, depthwise_initializers


@keras.saving.register_keras_serializable("keras_lite")
class HybridStem(CompositeLayer):
    """Stem of a 3x3 convolution A, two branches, and a 1x1 convolution that fuses them.

    The branches, a depthwise 3x3 convolution of A and a 3x3 max-pool of A, are concatenated before the 1x1 convolution.
    Each convolution is followed by batch norm and activation and has no bias. In the pre-activation form, which
    WideResNet uses, batch norm and activation stand before the depthwise and the 1x1 convolution, A has neither, and
    the max-pool works on A directly. All padding is one pixel on each side, infinitely low for the pool.

    Source: the hybrid stem of the padding-free-downsampling networks.

    Args:
        filters: Number of channels of each convolution, C.
        strides: Stride of convolution A. In ImageNet-sized networks 2.
        branch_strides: Stride of the depthwise convolution and of the pool. 2 in ImageNet-sized ShuffleNetV2, whose
            stem replaces a max-pool too.
        activation: `"relu"`, `"relu6"` or `"hard_silu"`.
        pre_activation: Whether batch norm and activation stand before a convolution rather than behind it.
        residual: Whether A is added to the result.
        convolution: Convolution A: `"standard"`, `"bsconv_u"` or `"bsconv_s"`.
        convolution_options: More arguments of the blueprint separable convolution, such as `{"alpha": 0.0}`.
        batch_norm_epsilon: Epsilon of each batch norm.
        batch_norm_momentum: Momentum of each batch norm.
        initialization: `"pytorch"`, `"kaiming_uniform"` or `"kaiming_normal"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, new_height, new_width, filters)`: each stride of 2 makes n of size `(n + 1) // 2`.

    Raises:
        InputError: If an argument is not one of those above, or `residual` comes with `branch_strides`.

    Example:

    >>> stem = keras_lite.layers.HybridStem(16, activation="hard_silu")
    >>> stem(keras.random.normal((2, 32, 32, 3))).shape, stem.count_params()
    ((2, 32, 32, 16), 1280)
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        branch_strides: int = 1,
        activation: str = "relu",
        pre_activation: bool = False,
        residual: bool = False,
        convolution: str = "standard",
        convolution_options: dict | None = None,
        batch_norm_epsilon: float = 1e-5,
        batch_norm_momentum: float = 0.9,
        initialization: str = "pytorch",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_activation(activation)
        check_scheme(initialization)
        convolution_class(convolution)
        if not isinstance(filters, int) or filters < 1:
            raise InputError(f"Expected filters to be a positive integer, received {filters!r}.")
        for argument, value in (("strides", strides), ("branch_strides", branch_strides)):
            if value not in (1, 2):
                raise InputError(f"Expected {argument} to be 1 or 2, received {value!r}.")
        if residual and branch_strides != 1:
            raise InputError(
                "Expected branch_strides of 1 with residual, which adds tensors of equal size; received 2."
            )
        self.filters = filters
        self.strides = strides
        self.branch_strides = branch_strides
        self.activation = activation
        self.pre_activation = pre_activation
        self.residual = residual
        self.convolution_name = convolution
        self.convolution_options = convolution_options
        self.batch_norm_epsilon = batch_norm_epsilon
        self.batch_norm_momentum = batch_norm_momentum
        self.initialization = initialization

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        self.first = self._first_convolution(input_shape[-1])
        if not self.pre_activation:
            self.first += self._norm_and_activation("convolution")

        depthwise = self._padded(
            DepthwiseConv2D,
            "depthwise",
            self.branch_strides,
            kernel_size=3,
            use_bias=False,
            **depthwise_initializers(self.initialization, 3, self.filters),
        )
        self.depthwise = self._with_norm("depthwise", depthwise)

        self.pool = [self._add(keras.layers.MaxPooling2D, "pool", pool_size=3, strides=1, padding="same")]
        if self.branch_strides == 2:
            # Keras pads an even size on one side only when it strides; so the stride is a step of its own.
            self.pool.append(self._add(keras.layers.MaxPooling2D, "pool_subsample", pool_size=1, strides=2))
        self.concatenate = self._add(keras.layers.Concatenate, "join")

        fuse = self._add(
            Conv2D,
            "fuse",
            filters=self.filters,
            kernel_size=1,
            use_bias=False,
            **convolution_initializers(self.initialization, 1, 2 * self.filters, self.filters),
        )
        self.fuse = self._with_norm("fuse", [fuse])
        if self.residual:
            self.add = self._add(keras.layers.Add, "add")
        self._build_sublayers(input_shape)

    def _first_convolution(self, channels: int) -> list:
        arguments = {"filters": self.filters, "kernel_size": 3, "use_bias": False}
        if self.convolution_name == "standard":
            initializers = convolution_initializers(self.initialization, 3, channels, self.filters)
            return self._padded(keras.layers.Conv2D, "convolution", self.strides, **arguments, **initializers)
        arguments |= {"strides": self.strides, "padding": 1, **(self.convolution_options or {})}
        return [self._add(convolution_class(self.convolution_name), "convolution", **arguments)]

    def _padded(self, layer_class: type[keras.layers.Layer], name: str, strides: int, **arguments) -> list:
        """Create a 3x3 convolution that has one pixel of padding on each side."""
        if strides == 1:
            return [self._add(layer_class, name, padding="same", **arguments)]
        return [
            self._add(keras.layers.ZeroPadding2D, f"{name}_padding", padding=1),
            self._add(layer_class, name, strides=strides, **arguments),
        ]

    def _with_norm(self, name: str, convolution: list) -> list:
        around = self._norm_and_activation(name)
        return around + convolution if self.pre_activation else convolution + around

    def _norm_and_activation(self, name: str) -> list:
        epsilon, momentum = self.batch_norm_epsilon, self.batch_norm_momentum
        return [
            self._add(BatchNormalization, f"{name}_batch_norm", epsilon=epsilon, momentum=momentum),
            self._add(activation_layer, f"{name}_activation", activation=self.activation),
        ]

    def _build_sublayers(self, input_shape) -> None:
        first = self._build_in_sequence(self.first, input_shape)
        branches = [self._build_in_sequence(self.depthwise, first), self._build_in_sequence(self.pool, first)]
        self.concatenate.build(branches)
        fused = self._build_in_sequence(self.fuse, self.concatenate.compute_output_shape(branches))
        if self.residual:
            self.add.build([fused, first])

    def call(self, inputs):
        """Apply the convolution, the two branches and the 1x1 convolution."""
        first = self._apply(self.first, inputs)
        x = self._apply(
            self.fuse, self.concatenate([self._apply(self.depthwise, first), self._apply(self.pool, first)])
        )
        return self.add([x, first]) if self.residual else x

    def compute_output_shape(self, input_shape):
        """Return the shape behind both strides, with `filters` channels."""
        batch, *sizes, _ = input_shape
        for strides in (self.strides, self.branch_strides):
            sizes = [None if n is None else (n - 1) // strides + 1 for n in sizes]
        return (batch, *sizes, self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "branch_strides": self.branch_strides,
            "activation": self.activation,
            "pre_activation": self.pre_activation,
            "residual": self.residual,
            "convolution": self.convolution_name,
            "convolution_options": self.convolution_options,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "batch_norm_momentum": self.batch_norm_momentum,
            "initialization": self.initialization,
        }
