"""Pooling as int8 operators that XNNPACK takes.

- A pool of one pixel that strides, which picks pixels out, becomes a 1x1 depthwise convolution: XNNPACK takes no pool
  that strides further than it reaches.
- Average pooling becomes a depthwise convolution with a constant kernel. Where windows reach over the edge ("same"), a
  product with a constant array mends their means. A window that is the image becomes global average pooling.
"""

from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.quantization.aware.tf_mot.int8_layers import annotate, int8_classes
from keras_lite.quantization.aware.tf_mot.to_tf_keras import Replacement, twin_layer


def max_pooling(layer: keras.layers.Layer) -> Replacement:
    """Build a maximum pooling; where it only picks pixels out, a convolution that does."""
    if tuple(layer.pool_size) != (1, 1) or tuple(layer.strides) == (1, 1):
        return twin_layer(layer)
    return [_box_filter(layer, layer.name)]


def average_pooling(layer: keras.layers.Layer) -> Replacement:
    """Build the mean over windows."""
    height, width = layer.input.shape[1:3]
    if None in (height, width):
        raise InputError(f"Expected an input of fixed size for layer {layer.name} ({type(layer).__name__}).")
    if layer.padding == "valid" and tuple(layer.pool_size) == (height, width):
        tf_keras = import_extra("tf_keras", "quantization")
        return [(tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name=layer.name), [])]
    counts = _pixels_in_windows(layer, height, width)
    factors = np.prod(layer.pool_size) / counts
    if (factors == 1.0).all():
        return [_box_filter(layer, layer.name)]
    mend = int8_classes().MultiplyConstant(factors, name=layer.name, dtype="float32")
    return [_box_filter(layer, f"{layer.name}_sum"), (annotate(mend), [])]


def _box_filter(layer: keras.layers.Layer, name: str) -> tuple[Any, list[np.ndarray]]:
    """Return the mean over the windows of a pooling layer, zeros beyond the edge, as a depthwise convolution."""
    tf_keras = import_extra("tf_keras", "quantization")
    convolution = tf_keras.layers.DepthwiseConv2D(
        layer.pool_size, layer.strides, layer.padding, use_bias=False, name=name, dtype="float32", trainable=False
    )
    kernel = np.full((*layer.pool_size, layer.input.shape[-1], 1), 1.0 / np.prod(layer.pool_size), "float32")
    return annotate(convolution), [kernel]


def _pixels_in_windows(layer: keras.layers.Layer, height: int, width: int) -> np.ndarray:
    """Return how many pixels of the image lie in each window of a pooling layer, of shape `(height, width, 1)`."""
    ones = keras.ops.ones((1, height, width, 1))
    kernel = keras.ops.ones((*layer.pool_size, 1, 1))
    counts = keras.ops.conv(ones, kernel, strides=layer.strides, padding=layer.padding, data_format="channels_last")
    return np.rint(keras.ops.convert_to_numpy(counts)[0])
