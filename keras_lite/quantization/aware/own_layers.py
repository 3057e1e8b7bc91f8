"""What stands in tf_keras for the layers of keras_lite that flattening leaves: those without a stock equivalent."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lite.errors import import_extra


def own_builders() -> dict[str, Callable]:
    """Return what to build in tf_keras for our own layers, by the type's name, as `default_builders` does.

    TF-MOT does not know what they become, so they are for models that are not quantized.
    """
    return {"PositionEmbedding": _position_embedding, "StridedAttention": _strided_attention}


@functools.cache
def _layer_class() -> type:
    tf_keras = import_extra("tf_keras", "quantization")

    class OwnLayer(tf_keras.layers.Layer):
        """Compute a function of the inputs and of one array of weights."""

        def __init__(self, function: Callable, weights: np.ndarray, **kwargs):
            super().__init__(**kwargs)
            self.function = function
            self.values = self.add_weight("values", weights.shape, initializer="zeros")

        def call(self, inputs):
            return self.function(inputs, self.values)

    return OwnLayer


def _build(layer: keras.layers.Layer, function: Callable, weights: np.ndarray) -> list[tuple[Any, list[np.ndarray]]]:
    weights = np.asarray(weights, "float32")
    return [(_layer_class()(function, weights, name=layer.name, dtype="float32"), [weights])]


def _position_embedding(layer: keras.layers.Layer) -> list[tuple[Any, list[np.ndarray]]]:
    return _build(layer, lambda inputs, embedding: inputs + embedding, layer.get_weights()[0])


def _strided_attention(layer: keras.layers.Layer) -> list[tuple[Any, list[np.ndarray]]]:
    tensorflow = import_extra("tensorflow", "tensorflow")
    heads = layer.heads

    def split_heads(x):
        _, height, width, channels = x.shape
        x = tensorflow.reshape(x, (-1, height * width, heads, channels // heads))
        return tensorflow.transpose(x, (0, 2, 1, 3))

    def attend(inputs, biases):
        queries, keys, values = map(split_heads, inputs)
        scores = tensorflow.matmul(queries, keys, transpose_b=True) * queries.shape[-1] ** -0.5
        outputs = tensorflow.matmul(tensorflow.nn.softmax(scores + biases), values)
        outputs = tensorflow.transpose(outputs, (0, 2, 1, 3))
        return tensorflow.reshape(outputs, (-1, *inputs[0].shape[1:3], inputs[2].shape[-1]))

    return _build(layer, attend, layer.get_weights()[0][:, layer.distances])
