"""Halving height and width with a strided convolution and, beside it, attention."""

import keras
import numpy as np
from keras import ops

from keras_lite.errors import InputError
from keras_lite.layers.batch_normalization import BatchNormalization
from keras_lite.layers.channel_shuffle import require_known_size
from keras_lite.layers.composite import CompositeLayer
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.initializers import check_scheme, convolution_initializers, depthwise_initializers

HEADS = 8
KEY_CHANNELS = 16
VALUE_CHANNELS = 64


@keras.saving.register_keras_serializable("keras_lite")
class StridedAttention(keras.layers.Layer):
    """Attention of every second position to all positions: softmax(q k^T / sqrt(channels) + bias) v, in several heads.

    Keras' own attention layers take no bias, so this one is not made of stock layers and flattening leaves it as it
    is. The bias is one trained number for each head and each distance (in rows, in columns) between a query and a key,
    zero at first. The distances are numbered in the order in which they first appear, going through queries and, for
    each, keys row by row. Channels are ordered by head.

    Source: Li et al., "Rethinking Vision Transformers for MobileNet Size and Speed" (EfficientFormerV2), ICCV 2023
    (arXiv:2212.08059).

    Args:
        heads: Number of heads.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: `[queries, keys, values]` of shapes `(batch, ceil(height / 2), ceil(width / 2), heads * a)`,
            `(batch, height, width, heads * a)` and `(batch, height, width, heads * b)`, of known height and width.

    Returns:
        Tensor of shape `(batch, ceil(height / 2), ceil(width / 2), heads * b)`.

    Raises:
        InputError: If `heads` is not positive, or the height or width is open.

    Example:

    >>> queries, keys = keras.random.normal((2, 4, 4, 128)), keras.random.normal((2, 8, 8, 128))
    >>> keras_lite.layers.StridedAttention()([queries, keys, keras.random.normal((2, 8, 8, 512))]).shape
    (2, 4, 4, 512)
    """

    def __init__(self, heads: int = HEADS, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(heads, int) or heads < 1:
            raise InputError(f"Expected heads to be a positive integer, received {heads!r}.")
        self.heads = heads

    def build(self, input_shape):
        """Create the biases for the size at hand."""
        _, height, width, _ = require_known_size(input_shape[1], "StridedAttention")
        self.distances = _number_distances(height, width)
        self.biases = self.add_weight(
            name="biases", shape=(self.heads, int(self.distances.max()) + 1), initializer="zeros"
        )

    def call(self, inputs):
        """Return for each query the mean of the values, weighted by the softmax of its products with the keys."""
        queries, keys, values = (self._split_heads(x) for x in inputs)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) * queries.shape[-1] ** -0.5
        biases = ops.take(self.biases, self.distances.reshape(-1), axis=1)
        biases = ops.reshape(biases, (1, self.heads, *self.distances.shape))
        weights = ops.softmax(scores + ops.cast(biases, scores.dtype), axis=-1)
        outputs = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        return ops.reshape(outputs, (-1, *inputs[0].shape[1:3], inputs[2].shape[-1]))

    def _split_heads(self, x):
        """(batch, height, width, heads * n) -> (batch, heads, height * width, n)."""
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, height * width, self.heads, channels // self.heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def compute_output_shape(self, input_shape):
        """Return the queries' size with the values' channels."""
        return (*input_shape[0][:-1], input_shape[2][-1])

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {**super().get_config(), "heads": self.heads}


def _number_distances(height: int, width: int) -> np.ndarray:
    """Return the number of the distance between each query and each key, shape (queries, keys)."""
    numbers: dict[tuple[int, int], int] = {}
    queries = [(2 * i, 2 * j) for i in range((height + 1) // 2) for j in range((width + 1) // 2)]
    keys = [(i, j) for i in range(height) for j in range(width)]
    found = [numbers.setdefault((abs(a - c), abs(b - d)), len(numbers)) for a, b in queries for c, d in keys]
    return np.array(found, "int32").reshape(len(queries), len(keys))


@keras.saving.register_keras_serializable("keras_lite")
class AttentionDownsampling(CompositeLayer):
    """Downsampling by a 3x3 convolution of stride 2 with batch norm, to which attention may be added.

    The attention has 8 heads with 16 channels a key and 64 a value. Its queries come from every second position
    and a 3x3 depthwise convolution of stride 2, both added; the values have a second, local way past the attention,
    through a 3x3 depthwise convolution. No activation follows. All convolutions have a bias. The batch norms inside
    the attention have epsilon 1e-5 and momentum 0.9.

    Every second position is taken by a 1x1 max-pool of stride 2. The published network has an average pool there,
    which gives the same numbers and which phones do not run in int8.

    Source: Li et al., "Rethinking Vision Transformers for MobileNet Size and Speed" (EfficientFormerV2), ICCV 2023
    (arXiv:2212.08059).

    Args:
        filters: Number of output channels.
        attention: Whether attention is added to the convolution.
        initialization: `"pytorch"`, `"kaiming_uniform"` or `"kaiming_normal"`
            (see `keras_lite.layers.initializers`).
        batch_norm_epsilon: Epsilon of the batch norm behind the strided convolution.
        batch_norm_momentum: Its momentum.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`; with attention, of known height and width.

    Returns:
        Tensor of shape `(batch, ceil(height / 2), ceil(width / 2), filters)`.

    Raises:
        InputError: If an argument is not one of those above, or the height or width is open.

    Example:

    >>> keras_lite.layers.AttentionDownsampling(80, attention=True)(keras.random.normal((2, 16, 16, 40))).shape
    (2, 8, 8, 80)
    """

    def __init__(
        self,
        filters: int,
        attention: bool = False,
        initialization: str = "pytorch",
        batch_norm_epsilon: float = 1e-5,
        batch_norm_momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(filters, int) or filters < 1:
            raise InputError(f"Expected filters to be a positive integer, received {filters!r}.")
        check_scheme(initialization)
        self.filters = filters
        self.with_attention = attention
        self.initialization = initialization
        self.batch_norm_epsilon = batch_norm_epsilon
        self.batch_norm_momentum = batch_norm_momentum

    def build(self, input_shape):
        """Create the sublayers for the shape at hand."""
        self.strided = [
            self._add(keras.layers.ZeroPadding2D, "padding", padding=1),
            self._convolution("convolution", input_shape[-1], self.filters, kernel_size=3, strides=2),
            self._add(
                BatchNormalization,
                "batch_norm",
                epsilon=self.batch_norm_epsilon,
                momentum=self.batch_norm_momentum,
            ),
        ]
        shape = self._build_in_sequence(self.strided, input_shape)
        if self.with_attention:
            self._build_attention(input_shape)
            self.add = self._add(keras.layers.Add, "add")
            self.add.build([shape, shape])

    def _build_attention(self, input_shape: tuple) -> None:
        channels, values = input_shape[-1], HEADS * VALUE_CHANNELS
        self.query_local = self._strided_depthwise("attention_query_local", channels)
        self.query_subsample = self._add(keras.layers.MaxPooling2D, "attention_query_subsample", pool_size=1, strides=2)
        self.query_add = self._add(keras.layers.Add, "attention_query_add")
        self.query = self._projection("attention_query", channels, HEADS * KEY_CHANNELS)
        self.key = self._projection("attention_key", channels, HEADS * KEY_CHANNELS)
        self.value = self._projection("attention_value", channels, values)
        self.value_local = [
            *self._strided_depthwise("attention_value_local", values),
            self._attention_batch_norm("attention_value_local_batch_norm"),
        ]
        self.attention = self._add(StridedAttention, "attention")
        self.value_add = self._add(keras.layers.Add, "attention_value_add")
        self.output_projection = [
            self._add(keras.layers.Activation, "attention_gelu", activation="gelu"),
            *self._projection("attention_output", values, self.filters),
        ]

        small = self._build_in_sequence(self.query_local, input_shape)
        self.query_subsample.build(input_shape)
        self.query_add.build([small, small])
        queries = self._build_in_sequence(self.query, small)
        keys = self._build_in_sequence(self.key, input_shape)
        value_map = self._build_in_sequence(self.value, input_shape)
        local = self._build_in_sequence(self.value_local, value_map)
        self.attention.build([queries, keys, value_map])
        self.value_add.build([local, local])
        self._build_in_sequence(self.output_projection, local)

    def _convolution(self, name: str, channels: int, filters: int, kernel_size: int, strides: int = 1):
        return self._add(
            keras.layers.Conv2D,
            name,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            **convolution_initializers(self.initialization, kernel_size, channels, filters),
        )

    def _strided_depthwise(self, name: str, channels: int) -> list[keras.layers.Layer]:
        return [
            self._add(keras.layers.ZeroPadding2D, f"{name}_padding", padding=1),
            self._add(
                DepthwiseConv2D,
                f"{name}_convolution",
                kernel_size=3,
                strides=2,
                **depthwise_initializers(self.initialization, 3, channels),
            ),
        ]

    def _projection(self, name: str, channels: int, filters: int) -> list[keras.layers.Layer]:
        return [
            self._convolution(f"{name}_convolution", channels, filters, kernel_size=1),
            self._attention_batch_norm(f"{name}_batch_norm"),
        ]

    def _attention_batch_norm(self, name: str) -> keras.layers.Layer:
        return self._add(BatchNormalization, name, epsilon=1e-5, momentum=0.9)

    def call(self, inputs):
        """Return the smaller map."""
        outputs = self._apply(self.strided, inputs)
        return self.add([self._attend(inputs), outputs]) if self.with_attention else outputs

    def _attend(self, inputs):
        queries = self.query_add([self._apply(self.query_local, inputs), self.query_subsample(inputs)])
        queries, keys = self._apply(self.query, queries), self._apply(self.key, inputs)
        values = self._apply(self.value, inputs)
        local = self._apply(self.value_local, values)
        attended = self.attention([queries, keys, values])
        return self._apply(self.output_projection, self.value_add([attended, local]))

    def compute_output_shape(self, input_shape):
        """Return half the size, rounded up, with `filters` channels."""
        batch, *sizes, _ = input_shape
        return (batch, *(None if n is None else (n + 1) // 2 for n in sizes), self.filters)

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "attention": self.with_attention,
            "initialization": self.initialization,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "batch_norm_momentum": self.batch_norm_momentum,
        }
