"""The quantised model computes as its int8 file does in LiteRT, step by step."""

import keras
import numpy as np
import pytest

from keras_lite.export.conversion import convert
from keras_lite.export.file_arithmetic import file_arithmetic
from keras_lite.export.inspection import inspect
from keras_lite.export.runner import run_in_subprocess
from keras_lite.quantization import calibrate, quantize_aware

pytestmark = pytest.mark.tensorflow_only

IMAGES = np.random.default_rng(0).normal(size=(32, 24, 24, 3)).astype("float32")


def convolutions():
    """Eight layers of convolution, batch normalisation and ReLU."""
    layers = keras.layers
    x = inputs = keras.Input((24, 24, 3))
    for depth in range(8):
        x = layers.Conv2D(16, 3, use_bias=depth % 2 == 1, bias_initializer="random_normal")(x)
        x = layers.ReLU()(
            layers.BatchNormalization(beta_initializer="random_normal", moving_mean_initializer="random_normal")(x)
        )
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def joined_pools():
    """Pooled images beside a convolution, as in a hybrid stem: both are brought to the range of the concatenation."""
    layers = keras.layers
    inputs = keras.Input((24, 24, 3))
    x = layers.ReLU()(layers.BatchNormalization(beta_initializer="random_normal")(layers.Conv2D(5, 2, 2)(inputs)))
    return keras.Model(inputs, layers.Concatenate()([x, layers.MaxPooling2D()(inputs)]))


@pytest.mark.parametrize(
    ("build", "operator", "before", "within"),
    [(convolutions, "CONV_2D", 0.97, 0.99), (joined_pools, "QUANTIZE", 0.995, 0.9999)],
)
def test_answers_are_those_of_the_file(build, operator, before, within, tmp_path):
    keras.utils.set_random_seed(0)
    quantized = quantize_aware(build())
    calibrate(quantized, IMAGES)
    path = tmp_path / "net.tflite"
    path.write_bytes(convert(quantized, "int8"))
    assert operator in {entry["name"] for entry in inspect(path).operators}
    received, step = run_in_subprocess(path, IMAGES), inspect(path).output["scale"]
    weights = quantized.get_weights()

    def equal():
        return (np.abs(received - quantized.predict(IMAGES, verbose=0)) < step / 2).mean()

    plain = equal()
    with file_arithmetic(quantized, path):
        assert equal() >= within
    assert plain < before
    assert equal() == plain
    for old, new in zip(weights, quantized.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
