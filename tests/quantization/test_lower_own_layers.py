"""Layers of somebody's own classes, as tutorials write them, in LiteRT against Keras, on each backend."""

import keras
import numpy as np
import pytest
from keras import ops
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from test_lower import check, scrambled

from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.quantization.lower import lower

pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers


class Squares(layers.Layer):
    """An image as a sequence of its squares."""

    def __init__(self, side):
        super().__init__()
        self.side = side

    def call(self, images):
        count, height, width, channels = ops.shape(images)
        squares = ops.image.extract_patches(images, size=self.side)
        places = (height // self.side) * (width // self.side)
        return ops.reshape(squares, (count, places, self.side * self.side * channels))


class Placed(layers.Layer):
    """A projection, with what is learned of each place."""

    def __init__(self, places, units):
        super().__init__()
        self.places = places
        self.projection = layers.Dense(units)
        self.embedding = layers.Embedding(places, units)

    def call(self, sequence):
        numbers = ops.expand_dims(ops.arange(self.places), axis=0)
        return self.projection(sequence) + self.embedding(numbers)


class Damped(layers.Layer):
    """A layer with a weight and a part of its own."""

    def __init__(self):
        super().__init__(name="damped")
        self.inside = Halved()

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), name="factor")

    def call(self, x, training=None):
        return self.inside(x * self.factor) + x


class Halved(layers.Layer):
    def call(self, x):
        return ops.tanh(x) / 2.0


class Loud(layers.Layer):
    """What can't be seen with symbols."""

    def call(self, x):
        return x * float(x[0, 0, 0, 0])

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def transformer():
    inputs = keras.Input((8, 8, 3))
    x = Placed(4, 8)(Squares(4)(inputs))
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([layers.MultiHeadAttention(2, 4, dropout=0.1)(y, y), x])
    y = layers.Dense(16, activation=keras.activations.gelu)(layers.LayerNormalization(epsilon=1e-6)(x))
    x = layers.Add()([layers.Dense(8)(layers.Dropout(0.1)(y)), x])
    return scrambled(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))


def test_a_vision_transformer_as_tutorials_write_it():
    model = transformer()
    kinds = [operator.kind for operator in lower(model).operators]
    check(model, *kinds)
    assert kinds[:3] == ["SPACE_TO_DEPTH", "RESHAPE", "FULLY_CONNECTED"]
    assert kinds.count("BATCH_MATMUL") == 2


def test_a_layer_with_a_weight_and_a_part():
    inputs = keras.Input((7, 6, 4))
    damped = Damped()
    model = scrambled(keras.Model(inputs, damped(layers.ReLU()(damped(inputs)))))
    before = len(damped._inbound_nodes)
    check(model, "MUL", "TANH", "MUL", "ADD", "MUL", "TANH", "MUL", "ADD")
    assert len(damped._inbound_nodes) == before and model.count_params() == 4


def test_a_layer_that_keras_applications_keeps_to_itself():
    inputs = keras.Input((7, 6, 4))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    branch = layers.Conv2D(4, 1)(x)
    model = scrambled(keras.Model(inputs, layers.ReLU()(CustomScaleLayer(scale=0.17)([x, branch]))))
    check(model, "CONV_2D", "CONV_2D", "ADD")  # the scale is in the branch's kernel


@pytest.mark.tensorflow_only
def test_its_int8_file_keeps_the_classes(tmp_path):
    model = transformer()
    for variable in model.weights:
        variable.assign(0.4 * variable)
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype("float32")
    found = to_tflite(model, tmp_path / "m.tflite", "int8", calibration=images, allow_float=True)
    assert found.float_closeness.agreement > 0.9
    assert found.exactness.parts.int8_equal == 1.0


@pytest.mark.tensorflow_only
def test_what_cannot_be_seen_is_named():
    inputs = keras.Input((7, 6, 4))
    with pytest.raises(InputError, match="received layer loud of type Loud"):
        lower(keras.Model(inputs, Loud(name="loud")(inputs)))
