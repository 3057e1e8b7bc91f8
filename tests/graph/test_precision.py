import keras
import numpy as np
import pytest
from small_classifier import SIZE, carnet_like, scramble

from keras_lite.graph import in_float32


@pytest.fixture
def mixed():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return scramble(carnet_like())
    finally:
        keras.config.set_dtype_policy("float32")


def test_outputs_are_those_of_a_float32_model(mixed):
    images = np.random.default_rng(0).normal(size=(4, SIZE, SIZE, 3)).astype("float32")
    expected_model = carnet_like()
    expected_model.set_weights(mixed.get_weights())
    expected = expected_model.predict(images, verbose=0)
    converted = in_float32(mixed)
    np.testing.assert_allclose(converted.predict(images, verbose=0), expected, rtol=1e-5, atol=1e-6)
    # The model itself rounds to eight bits, and stays as it was.
    assert mixed.layers[-1].compute_dtype == "bfloat16"
    assert np.abs(mixed.predict(images, verbose=0).astype("float32") - expected).max() > 1e-4 * np.abs(expected).max()


def test_float32_models_stay_what_they_are():
    model = carnet_like()
    assert in_float32(model) is model
