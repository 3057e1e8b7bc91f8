"""Convolutions as long as the image, which see all of a column or row at once."""

import functools
from collections.abc import Callable

import keras

from keras_lite.errors import InputError, import_extra
from keras_lite.layers.channel_shuffle import require_known_size
from keras_lite.layers.composite import CompositeLayer, is_tensorflow
from keras_lite.layers.depthwise_convolution import DepthwiseConv2D
from keras_lite.layers.initializers import check_scheme, kaiming_normal, kaiming_uniform, pytorch_uniform

AXES = ("height", "width")


@keras.saving.register_keras_serializable("keras_lite")
class PositionEmbedding(keras.layers.Layer):
    """Position embedding: a trained vector that is added to each row (or column) of a feature map.

    Keras has no layer that adds a trained constant, so this one is not made of stock layers and flattening leaves it
    as it is. The vectors start from N(0, 0.02).

    Source: Zhang et al., "ParC-Net", ECCV 2022 (arXiv:2203.03952).

    Args:
        axis: `"height"`: one vector a row; `"width"`: one a column.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`; the size along `axis` must be known.

    Returns:
        Tensor of the same shape.

    Raises:
        InputError: If `axis` is neither, or the size along it is open.

    Example:

    >>> keras_lite.layers.PositionEmbedding("height")(keras.random.normal((2, 8, 8, 16))).shape
    (2, 8, 8, 16)
    """

    def __init__(self, axis: str, **kwargs):
        super().__init__(**kwargs)
        _check_axis(axis)
        self.axis = axis

    def build(self, input_shape):
        """Create the vectors for the size at hand."""
        _, height, width, channels = require_known_size(input_shape, "PositionEmbedding")
        self.embedding = self.add_weight(
            name="embedding",
            shape=(height, 1, channels) if self.axis == "height" else (1, width, channels),
            # The paper's normal is cut at +-2, a hundred standard deviations away.
            initializer=keras.initializers.RandomNormal(0.0, 0.02),
        )

    def call(self, inputs):
        """Return the inputs with the vectors added."""
        return keras.ops.add(inputs, keras.ops.cast(self.embedding, inputs.dtype))

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {**super().get_config(), "axis": self.axis}


@keras.saving.register_keras_serializable("keras_lite")
class PositionAwareCircularConv(CompositeLayer):
    """Depthwise convolution along one axis, circular, with a kernel as long as the feature map.

    With `axis="height"` and a map of K rows: y[h] = bias + sum over k of kernel[k] * x[(h + k) mod K], for each column
    and channel. A `PositionEmbedding` comes first, since a circular convolution does not know positions.

    Source: Zhang et al., "ParC-Net", ECCV 2022 (arXiv:2203.03952).

    Args:
        axis: `"height"` or `"width"`: the axis that the kernel lies along.
        position_embedding: Whether positions are added to the input first.
        initialization: `"pytorch"`, `"kaiming_uniform"` or `"kaiming_normal"`
            (see `keras_lite.layers.initializers`).
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, height, width, channels)`, of known height and width.

    Returns:
        Tensor of the same shape.

    Raises:
        InputError: If an argument is not one of those above, or the height or width is open.

    Example:

    >>> layer = keras_lite.layers.PositionAwareCircularConv("height")
    >>> layer(keras.random.normal((2, 7, 7, 16))).shape, layer.convolution.kernel.shape
    ((2, 7, 7, 16), (7, 1, 16, 1))
    """

    def __init__(self, axis: str, position_embedding: bool = True, initialization: str = "kaiming_normal", **kwargs):
        super().__init__(**kwargs)
        _check_axis(axis)
        check_scheme(initialization)
        self.axis = axis
        self.position_embedding = position_embedding
        self.initialization = initialization

    def build(self, input_shape):
        """Create the sublayers for the size at hand."""
        _, height, width, channels = require_known_size(input_shape, "PositionAwareCircularConv")
        along_height = self.axis == "height"
        size = height if along_height else width
        self.position = self._add(PositionEmbedding, "position", axis=self.axis) if self.position_embedding else None
        # All but the last row (or column) are appended once more. The last alone can't be cropped off a map of one.
        self.start = self.extend = None
        if size > 1:
            crop = ((0, 1), (0, 0)) if along_height else ((0, 0), (0, 1))
            self.start = self._add(keras.layers.Cropping2D, "start", cropping=crop)
            self.extend = self._add(keras.layers.Concatenate, "extend", axis=1 if along_height else 2)
        self.convolution = self._add(
            DepthwiseConv2D,
            "convolution",
            kernel_size=(size, 1) if along_height else (1, size),
            **self._initializers(size, channels),
        )
        if self.position is not None:
            self.position.build(input_shape)
        extended = input_shape
        if size > 1:
            self.start.build(input_shape)
            start_shape = self.start.compute_output_shape(input_shape)
            self.extend.build([input_shape, start_shape])
            extended = self.extend.compute_output_shape([input_shape, start_shape])
        self.convolution.build(extended)

    def _initializers(self, size: int, channels: int) -> dict:
        if self.initialization == "pytorch":
            return {"depthwise_initializer": pytorch_uniform(size), "bias_initializer": pytorch_uniform(size)}
        if self.initialization == "kaiming_uniform":
            return {"depthwise_initializer": kaiming_uniform(size)}
        return {"depthwise_initializer": kaiming_normal(size * channels)}

    def call(self, inputs):
        """Return the map, convolved along the axis."""
        if self.position is not None:
            inputs = self.position(inputs)
        if self.extend is not None:
            if is_tensorflow([inputs]):
                inputs = _tensorflow_extend()(inputs, self.extend.axis)
            else:
                inputs = self.extend([inputs, self.start(inputs)])
        return self.convolution(inputs)

    def compute_output_shape(self, input_shape):
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "position_embedding": self.position_embedding,
            "initialization": self.initialization,
        }


@functools.cache
def _tensorflow_extend() -> Callable:
    """Return what appends all rows (or columns) but the last once more, with a faster gradient than TensorFlow's."""
    tf = import_extra("tensorflow", "tensorflow")

    def extend(inputs, axis: int):
        size = inputs.shape[axis]

        @tf.custom_gradient
        def extended(inputs):
            def gradient(upstream):
                start, last, again = tf.split(upstream, [size - 1, 1, size - 1], axis)
                return tf.concat([start + again, last], axis)

            start, _ = tf.split(inputs, [size - 1, 1], axis)
            return tf.concat([inputs, start], axis), gradient

        return extended(inputs)

    return extend


def _check_axis(axis: str) -> None:
    if axis not in AXES:
        raise InputError(f"Expected axis to be one of {AXES}, received {axis!r}.")
