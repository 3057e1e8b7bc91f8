"""Features of frozen layers by LiteRT: those of Keras to rounding, or none."""

import keras
import numpy as np
import pytest

from keras_lite.inference import features
from keras_lite.inference.features import litert_features

layers = keras.layers
IMAGES = np.random.default_rng(3).normal(size=(11, 12, 10, 3)).astype("float32")


def body(*last):
    inputs = keras.Input((12, 10, 3))
    x = layers.Conv2D(6, 3, strides=2)(inputs)
    x = layers.BatchNormalization(gamma_initializer="random_uniform")(x)
    x = layers.DepthwiseConv2D(3, activation="relu")(x)
    for layer in (*last, layers.GlobalAveragePooling2D()):
        x = layer(x)
    return keras.Model(inputs, x)


def test_litert_computes_what_keras_does_batch_after_batch(monkeypatch):
    # Two batches at a time go to LiteRT, so there are two requests.
    monkeypatch.setattr(features, "_MOST_BYTES", 5 * IMAGES[0].nbytes)
    model = body()
    compute = litert_features(model)
    for _ in range(2):
        found = compute(IMAGES[start : start + 4] for start in (0, 4, 8))
        np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0), rtol=1e-4, atol=1e-5)


def test_keras_computes_what_litert_can_not_or_where_there_is_a_gpu(monkeypatch):
    class Odd(layers.Layer):
        def call(self, inputs):
            return keras.ops.erfinv(inputs * 0.01)

    assert litert_features(body(Odd())) is None
    monkeypatch.setattr(features, "devices", lambda: ["gpu: a fast one"])
    assert litert_features(body()) is None


@pytest.mark.tensorflow_only
def test_what_departs_from_keras_is_not_taken(monkeypatch):
    monkeypatch.setattr(features, "_TOLERANCE", -1.0)
    assert litert_features(body()) is None
