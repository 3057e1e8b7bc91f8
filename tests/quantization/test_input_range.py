"""The int8 input of a file: all that pixels can be, whatever some photos held."""

import json

import keras
import numpy as np
import pytest
from small_classifier import scramble

from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.quantization import calibrate, post_training, quantize_aware
from keras_lite.runtime import LiteRTModel

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
MEAN, STD = (0.45, 0.5, 0.3), (0.25, 0.2, 0.5)
PREPROCESSING = Preprocessing((12, 10), MEAN, STD)
INFO = ModelInfo("tiny", ["a", "b", "c"], PREPROCESSING, "logits")
# What the levels 0 and 255 become in any channel, by hand.
LOWEST, HIGHEST = -0.5 / 0.2, (1 - 0.5) / 0.2


def network(scaling=None):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12, 10, 3))
    x = inputs if scaling is None else scaling(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="convolution")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    return model if scaling else scramble(model)


def photos(count, low=0, high=256, seed=0):
    return np.random.default_rng(seed).integers(low, high, (count, 12, 10, 3)).astype("uint8")


def ends_in_file(path):
    """The least and the greatest number that the file's input can hold."""
    tensor = json.loads(path.with_suffix(".json").read_text())["input_tensor"]
    assert tensor["dtype"] == "int8"
    return [(level - tensor["zero_point"]) * tensor["scale"] for level in (-128, 127)], tensor["scale"]


def assert_covers(path, lowest, highest):
    ends, step = ends_in_file(path)
    np.testing.assert_allclose(ends, (lowest, highest), atol=0.501 * step)
    assert step == pytest.approx((highest - lowest) / 255, rel=1e-5)


@pytest.fixture(scope="module")
def dim():
    """Photos taken in the evening: none of their pixels reaches a quarter of the way."""
    return PREPROCESSING(photos(32, high=60))


def test_dim_photos_set_everything_but_the_input(dim, tmp_path, capsys):
    model = network()
    to_tflite(model, tmp_path / "x.tflite", "int8", calibration=dim, info=INFO, verbose=1)
    assert "input range" not in capsys.readouterr().out
    assert_covers(tmp_path / "x.tflite", LOWEST, HIGHEST)
    # So bright photos are not cut off, but treated as by the float model.
    images = PREPROCESSING(photos(20, high=140, seed=4))
    received = LiteRTModel(tmp_path / "x.tflite").predict(images)
    wanted = model.predict(images, verbose=0)
    cut = model.predict(np.minimum(images, max(dim.max(), 0)), verbose=0)
    assert np.abs(received - wanted).mean() < 0.5 * np.abs(cut - wanted).mean()


def test_without_preprocessing_the_range_is_the_images_own_and_a_line_says_so(dim, tmp_path, capsys):
    quantized, _ = post_training(network(), dim, verbose=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("input range")]
    assert len(lines) == 1
    assert f"{dim.min():.4g} to {max(dim.max(), 0):.4g}, that of the 32 images" in lines[0]
    to_tflite(quantized, tmp_path / "own.tflite", "int8", samples=dim)
    assert_covers(tmp_path / "own.tflite", dim.min(), max(dim.max(), 0))

    # Whoever writes the file knows more.
    to_tflite(quantized, tmp_path / "x.tflite", "int8", samples=dim, info=INFO)
    assert_covers(tmp_path / "x.tflite", LOWEST, HIGHEST)


def test_calibration_alone_leaves_the_input_to_who_knows(dim, tmp_path):
    quantized = quantize_aware(network(), engine="tf_mot")
    calibrate(quantized, dim)
    to_tflite(quantized, tmp_path / "x.tflite", "int8", samples=dim, info=INFO)
    assert_covers(tmp_path / "x.tflite", LOWEST, HIGHEST)


def test_a_model_that_scales_pixels_itself_takes_all_of_them(tmp_path):
    pixels = Preprocessing((12, 10), (0.0,) * 3, (1 / 255,) * 3)
    images = pixels(photos(16, low=30, high=200))
    info = ModelInfo("tiny", ["a", "b", "c"], pixels, "logits")
    model = network(layers.Rescaling(1 / 127.5, offset=-1.0))
    to_tflite(model, tmp_path / "x.tflite", "int8", calibration=images, info=info)
    assert_covers(tmp_path / "x.tflite", 0.0, 255.0)


@pytest.mark.parametrize("wrong", [Preprocessing((12, 10), (0.5,) * 3, (0.5,) * 3), Preprocessing((12, 10))])
def test_images_that_the_preprocessing_can_not_give_are_refused(wrong):
    images = PREPROCESSING(photos(8))
    images[3, 2, 1, 0] = 7.5
    with pytest.raises(InputError, match=r"Expected images from -\d.* to \d.*, received values from .* to 7\.5; give"):
        post_training(network(), images, preprocessing=wrong)
    info = ModelInfo("tiny", ["a", "b", "c"], wrong, "logits")
    with pytest.raises(InputError, match="preprocessing that made the images"):
        to_tflite(network(), "x.tflite", "int8", calibration=images, info=info)
