"""Models that scale their input themselves, as Keras' tutorials and keras.applications have them."""

import copy

import keras
import numpy as np
import pytest
from PIL import Image

from keras_lite.cli import export as export_tool
from keras_lite.data import ModelInfo, Preprocessing, read_image, read_model_info, write_model_info
from keras_lite.errors import InputError
from keras_lite.export.trained_model import unscaled
from keras_lite.graph import without_resizing
from keras_lite.inference.classifier import Classifier

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
SIZE = 16
DEFAULT = Preprocessing((SIZE, SIZE))


def network(*scaling):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = inputs
    for layer in scaling:
        x = layer(x)
    x = layers.Conv2D(6, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))


def normalization(top):
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, top, (50, 4, 4, 3)))
    return layer


@pytest.mark.parametrize(
    ("scaling", "std"),
    [
        (lambda: [layers.Rescaling(1 / 255)], 1 / 255),
        (lambda: [layers.Rescaling(1 / 127.5, offset=-1)], 1 / 255),
        (lambda: [layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255), normalization(1.0)], 1 / 255),
        (lambda: [normalization(255.0)], 1 / 255),
        (lambda: [normalization(1.0)], 1.0),
        (lambda: [layers.Rescaling(2.0, offset=-1)], 1.0),
    ],
)
def test_what_a_model_that_scales_takes(scaling, std, capsys):
    found = unscaled(network(*scaling()), DEFAULT, verbose=1)
    assert (found.mean, found.std) == ((0.0,) * 3, (std,) * 3)
    assert f"pixels from 0 to {255 if std < 1 else 1}\n" in capsys.readouterr().out


@pytest.mark.parametrize("scale", [lambda x: x / 255.0, lambda x: (x - 127.5) * (1 / 127.5)])
def test_operations_scale_as_layers_do(scale):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3, activation="relu")(scale(inputs)))
    assert unscaled(keras.Model(inputs, layers.Dense(3, "softmax")(x)), DEFAULT).std == (1 / 255,) * 3


def test_without_scaling_the_default_stays(capsys):
    assert unscaled(network(), DEFAULT, verbose=1) is DEFAULT
    # Scaling behind the first convolution is no matter of the input.
    assert unscaled(network(layers.Conv2D(3, 1), layers.Rescaling(1 / 255)), DEFAULT, verbose=1) is DEFAULT
    assert capsys.readouterr().out == ""


def photos(folder, count=24):
    pixels = np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3)).astype("uint8")
    folder.mkdir()
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{index:02}.png")
    return pixels


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_file_made_with_default_flags_outputs_like_keras(tmp_path, precision):
    model = network(layers.Rescaling(1 / 255))
    model.save(tmp_path / "m.keras")
    pixels = photos(tmp_path / "photos")
    values = copy.deepcopy(export_tool.FLAGS)
    flags = [f"--data_dir={tmp_path / 'photos'}", "--class_names=a,b,c", f"--image_size={SIZE}", "--images=12"]
    positional = values(["export", str(tmp_path / "m.keras"), *flags, f"--precision={precision}"])

    export_tool.main(values, positional[1:])

    file = tmp_path / f"m_{precision}.tflite"
    assert read_model_info(file).preprocessing.std == (1 / 255,) * 3
    expected = model.predict(pixels.astype("float32"), verbose=0)
    np.testing.assert_allclose(Classifier(file).predict(pixels), expected, atol=0.02 if precision == "int8" else 1e-5)


def test_pixels_that_are_normalized_twice_are_refused(tmp_path):
    network(layers.Rescaling(1 / 255)).save(tmp_path / "m.keras")
    write_model_info(tmp_path / "m.keras", ModelInfo("m", list("abc"), DEFAULT, "probabilities"))
    with pytest.raises(InputError, match=r"scaling inside .*m\.keras .*mean 0 and std 0\.00392157"):
        Classifier(tmp_path / "m.keras")


def resizing_network(scaled_first=True, **options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    resizing, rescaling = layers.Resizing(SIZE, SIZE, **options), layers.Rescaling(1 / 255)
    x = resizing(rescaling(inputs)) if scaled_first else rescaling(resizing(inputs))
    x = layers.Conv2D(6, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    "options", [{}, {"scaled_first": False}, {"crop_to_aspect_ratio": True}, {"interpolation": "nearest"}]
)
def test_a_model_that_resizes_gets_photos_scaled_as_it_does(tmp_path, options):
    """Photos of odd sizes, the file against the Keras model that resizes them itself."""
    model = resizing_network(**options)
    model.save(tmp_path / "m.keras")
    rng = np.random.default_rng(2)
    (tmp_path / "photos").mkdir()
    sizes = rng.integers(20, 60, (8, 2))
    pixels = [rng.integers(0, 256, (*size, 3)).astype("uint8") for size in sizes]
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "photos" / f"{index}.png")
    values = copy.deepcopy(export_tool.FLAGS)
    flags = [f"--data_dir={tmp_path / 'photos'}", "--class_names=a,b,c", f"--image_size={2 * SIZE}", "--images=4"]
    export_tool.main(values, values(["export", str(tmp_path / "m.keras"), *flags])[1:])

    for path in (tmp_path / "m_float32.tflite", tmp_path / "m.keras"):
        if path.suffix == ".keras":
            pixel = Preprocessing((9, 9), (0.0,) * 3, (1 / 255,) * 3)
            write_model_info(path, ModelInfo("m", list("abc"), pixel, "probabilities"))
        classifier = Classifier(path)
        assert classifier.info.preprocessing.image_size == (SIZE, SIZE)
        for index, image in enumerate(pixels):
            photo = read_image(tmp_path / "photos" / f"{index}.png", classifier.info.preprocessing.geometry)
            expected = model.predict(image[None].astype("float32"), verbose=0)
            # Photos are scaled in whole levels, the layer's own result is not rounded.
            np.testing.assert_allclose(classifier.predict(photo[None]), expected, atol=5e-3)


def test_resizing_that_photos_can_not_be_scaled_by_is_named(tmp_path):
    with pytest.raises(InputError, match=r"by bilinear or nearest, received layer resizing.*by lanczos3"):
        without_resizing(resizing_network(interpolation="lanczos3", name="resizing"))
    with pytest.raises(InputError, match="with padding"):
        without_resizing(resizing_network(pad_to_aspect_ratio=True))
    model = network()
    assert without_resizing(model) == (model, None)
