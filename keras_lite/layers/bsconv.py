"""Blueprint separable convolutions: drop-in replacements of a convolution by 1x1 and depthwise ones."""

import math

import keras
from keras import ops

from keras_lite.errors import InputError
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.convolution import Conv2D
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.initializers import convolution_initializers, depthwise_initializers

CONVOLUTIONS = ("standard", "bsconv_u", "bsconv_s")


def convolution_class(convolution: str) -> type[keras.layers.Layer]:
    """Return the layer class of `"standard"`, `"bsconv_u"` or `"bsconv_s"`.

    Raises:
        InputError: If `convolution` is none of those.
    """
    if convolution not in CONVOLUTIONS:
        raise InputError(f"Expected convolution to be one of {CONVOLUTIONS}, received {convolution!r}.")
    return {"standard": keras.layers.Conv2D, "bsconv_u": BSConvU, "bsconv_s": BSConvS}[convolution]


@keras.saving.register_keras_serializable("keras_lite")
class OrthonormalRegularizer(keras.regularizers.Regularizer):
    """Regularizer that keeps the rows of a 1x1 convolution's weight orthonormal: alpha * ||W W^T - I||.

    W has one row an output channel and one column an input channel. The norm is Frobenius', not squared.

    Source: Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549).

    Args:
        alpha: Weight of the penalty.

    Example:

    >>> float(keras_lite.layers.OrthonormalRegularizer(0.1)(keras.ops.zeros((1, 1, 8, 4))))
    0.20000000298023224
    """

    def __init__(self, alpha: float = 0.1):
        self.alpha = alpha

    def __call__(self, kernel):
        """Return the penalty of a kernel of shape `(1, 1, channels, filters)`."""
        weight = ops.transpose(kernel[0, 0])
        difference = ops.matmul(weight, ops.transpose(weight)) - ops.eye(weight.shape[0], dtype=weight.dtype)
        # The root's slope at zero is infinite; there the gradient is to be zero.
        return self.alpha * ops.sqrt(ops.maximum(ops.sum(ops.square(difference)), 1e-12))

    def get_config(self):
        """Return the arguments that make the regularizer again."""
        return {"alpha": self.alpha}


class _BlueprintConvolution(CompositeLayer):
    """What both forms share: their arguments, and the depthwise convolution that ends them."""

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        *,
        padding: str | int = "same",
        dilation_rate: int = 1,
        use_bias: bool = False,
        batch_norm: bool = False,
        batch_norm_epsilon: float = 1e-5,
        batch_norm_momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        counts = {"filters": filters, "kernel_size": kernel_size, "strides": strides, "dilation_rate": dilation_rate}
        for argument, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"Expected {argument} to be a positive integer, received {value!r}.")
        if padding not in ("same", "valid") and not (isinstance(padding, int) and padding >= 0):
            raise InputError(f"Expected padding to be 'same', 'valid' or a number of pixels, received {padding!r}.")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.dilation_rate = dilation_rate
        self.use_bias = use_bias
        self.batch_norm = batch_norm
        self.batch_norm_epsilon = batch_norm_epsilon
        self.batch_norm_momentum = batch_norm_momentum

    def _add_pointwise(self, name: str, channels: int, filters: int, **arguments) -> None:
        self._add(
            Conv2D,
            name,
            filters=filters,
            kernel_size=1,
            use_bias=False,
            **convolution_initializers("pytorch", 1, channels, filters),
            **arguments,
        )

    def _add_batch_norm(self, name: str) -> None:
        if self.batch_norm:
            self._add(BatchNormalization, name, epsilon=self.batch_norm_epsilon, momentum=self.batch_norm_momentum)

    def _add_depthwise(self) -> None:
        if isinstance(self.padding, int) and self.padding:
            self._add(keras.layers.ZeroPadding2D, "padding", padding=self.padding)
        self._add(
            DepthwiseConv2D,
            "depthwise",
            kernel_size=self.kernel_size,
            strides=self.strides,
            padding=self.padding if isinstance(self.padding, str) else "valid",
            dilation_rate=self.dilation_rate,
            use_bias=self.use_bias,
            **depthwise_initializers("pytorch", self.kernel_size, self.filters),
        )

    def call(self, inputs):
        """Apply the sublayers one after another."""
        for layer in self.sublayers:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape):
        """Return the shape behind the depthwise convolution."""
        batch, *sizes, _ = input_shape
        reach = (self.kernel_size - 1) * self.dilation_rate
        padded = {"same": reach, "valid": 0}.get(self.padding) if isinstance(self.padding, str) else 2 * self.padding
        sizes = [None if n is None else (n + padded - reach - 1) // self.strides + 1 for n in sizes]
        return (batch, *sizes, self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        names = "filters kernel_size strides padding dilation_rate use_bias batch_norm"
        names += " batch_norm_epsilon batch_norm_momentum"
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}


@keras.saving.register_keras_serializable("keras_lite")
class BSConvU(_BlueprintConvolution):
    """Unconstrained blueprint separable convolution: a 1x1 convolution, then a depthwise one.

    It stands in for a convolution of the same `filters` and `kernel_size`. The stride is in the depthwise convolution,
    so the 1x1 convolution runs at full resolution. Initialization is PyTorch's default.

    Source: Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549).

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the depthwise kernel.
        strides: Stride of the depthwise convolution.
        padding: `"same"` or `"valid"` as in Keras, or the number of pixels to pad on each side, as in PyTorch.
        dilation_rate: Dilation of the depthwise convolution.
        use_bias: Whether the depthwise convolution has a bias.
        batch_norm: Whether a batch norm stands between the two.
        batch_norm_epsilon: Its epsilon.
        batch_norm_momentum: Its momentum.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, new_height, new_width, filters)`.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    >>> keras_lite.layers.BSConvU(64, strides=2, padding=1)(keras.random.normal((2, 32, 32, 16))).shape
    (2, 16, 16, 64)
    """

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        self._add_pointwise("pointwise", input_shape[-1], self.filters)
        self._add_batch_norm("pointwise_batch_norm")
        self._add_depthwise()
        self._build_in_sequence(self.sublayers, input_shape)


@keras.saving.register_keras_serializable("keras_lite")
class BSConvS(_BlueprintConvolution):
    """Subspace blueprint separable convolution: two 1x1 convolutions with few channels between, then a depthwise one.

    The first 1x1 convolution has `min(channels, max(4, ceil(ratio * channels)))` filters, and a penalty that keeps
    its rows orthonormal (`OrthonormalRegularizer`). The rest is as in `BSConvU`.

    Source: Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549).

    Args:
        filters: Number of output channels.
        kernel_size: Height and width of the depthwise kernel.
        strides: Stride of the depthwise convolution.
        padding: `"same"` or `"valid"` as in Keras, or the number of pixels to pad on each side, as in PyTorch.
        dilation_rate: Dilation of the depthwise convolution.
        use_bias: Whether the depthwise convolution has a bias.
        batch_norm: Whether a batch norm follows each 1x1 convolution.
        batch_norm_epsilon: Its epsilon.
        batch_norm_momentum: Its momentum.
        ratio: The part of the input's channels that the subspace has, p in the paper.
        alpha: Weight of the penalty; 0 for none.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Tensor of shape `(batch, new_height, new_width, filters)`.

    Raises:
        InputError: If an argument is not one of those above.

    Example:

    >>> layer = keras_lite.layers.BSConvS(64, ratio=1 / 4)
    >>> layer(keras.random.normal((2, 32, 32, 32))).shape, layer.sublayers[0].filters, len(layer.losses)
    ((2, 32, 32, 64), 8, 1)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        padding: str | int = "same",
        dilation_rate: int = 1,
        use_bias: bool = False,
        batch_norm: bool = True,
        batch_norm_epsilon: float = 1e-5,
        batch_norm_momentum: float = 0.9,
        ratio: float = 0.25,
        alpha: float = 0.1,
        **kwargs,
    ):
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding=padding,
            dilation_rate=dilation_rate,
            use_bias=use_bias,
            batch_norm=batch_norm,
            batch_norm_epsilon=batch_norm_epsilon,
            batch_norm_momentum=batch_norm_momentum,
            **kwargs,
        )
        if not 0 < ratio <= 1:
            raise InputError(f"Expected ratio to be above 0 and at most 1, received {ratio!r}.")
        if not alpha >= 0:
            raise InputError(f"Expected alpha to be 0 or more, received {alpha!r}.")
        self.ratio = ratio
        self.alpha = alpha

    def build(self, input_shape):
        """Create the sublayers for the number of channels at hand."""
        channels = input_shape[-1]
        subspace = min(channels, max(4, math.ceil(self.ratio * channels)))
        regularizer = OrthonormalRegularizer(self.alpha) if self.alpha else None
        self._add_pointwise("pointwise1", channels, subspace, kernel_regularizer=regularizer)
        self._add_batch_norm("pointwise1_batch_norm")
        self._add_pointwise("pointwise2", subspace, self.filters)
        self._add_batch_norm("pointwise2_batch_norm")
        self._add_depthwise()
        self._build_in_sequence(self.sublayers, input_shape)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {**super().get_config(), "ratio": self.ratio, "alpha": self.alpha}
