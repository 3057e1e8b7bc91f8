"""What a layer of somebody's own class concatenates with constants, as vision transformers do with a class token."""

import keras
import numpy as np
import pytest

from keras_lite.export import to_tflite

pytestmark = pytest.mark.tensorflow_only


class WithToken(keras.layers.Layer):
    """Puts a token of its own before a sequence."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")

    def call(self, x):
        return keras.ops.concatenate([keras.ops.tile(self.token, (keras.ops.shape(x)[0], 1, 1)), x], axis=1)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_token_stands_before_the_sequence(tmp_path, precision):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 6))
    x = keras.layers.Dense(5)(WithToken()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    samples = np.random.default_rng(0).normal(size=(12, 8, 6)).astype("float32")
    verdict = to_tflite(model, tmp_path / "token.tflite", precision, calibration=samples)
    assert "to the bit" in str(verdict) if precision == "int8" else verdict.largest_difference < 1e-5
