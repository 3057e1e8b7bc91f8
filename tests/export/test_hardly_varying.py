"""Outputs that vary less from image to image than a step of the int8 file."""

import keras
import numpy as np
import pytest

from keras_lite.export import to_tflite

pytestmark = pytest.mark.tensorflow_only


def test_an_exact_int8_file_is_written_though_the_correlation_is_chance(tmp_path):
    inputs = keras.Input((8,))
    saturated = keras.layers.Activation("tanh")(keras.layers.Rescaling(30.0)(keras.layers.ReLU()(inputs)))
    outputs = keras.layers.Rescaling(-1.0, offset=0.25)(saturated)
    model = keras.Model(inputs, keras.layers.Reshape((2, 4))(outputs))
    samples = np.random.default_rng(3).uniform(0.1, 0.2, (16, 8)).astype("float32")
    found = to_tflite(model, tmp_path / "model.tflite", "int8", calibration=samples, samples=samples)
    assert found.exactness.equal == 1.0
    assert abs(found.agreement) < 1.0
