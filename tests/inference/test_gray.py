"""Models that take gray photos: one channel, one mean and one standard deviation."""

import copy

import keras
import numpy as np
import pytest
from PIL import Image

from keras_lite.cli import export as export_tool
from keras_lite.cli import finetune, predict
from keras_lite.data import ArraySource, read_model_info
from keras_lite.inference import evaluation
from keras_lite.inference.classifier import Classifier
from keras_lite.pipelines.finetune import recipe_of

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def model_file(tmp_path):
    """It tells dark photos from light ones: the logits are minus and plus the mean of its input."""
    inputs = keras.Input((9, 14, 1))
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Model(inputs, dense(keras.layers.GlobalAveragePooling2D()(inputs)))
    dense.set_weights([np.array([[-1.0, 1.0]], "float32")])
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.fixture
def photos(tmp_path):
    """Dark and light ones in colors."""
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 156)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(low, low + 100, (9, 14, 3), "uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("flags", "mean", "std"),
    [
        ((), (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3),  # the average of ImageNet's channels
        (("--mean=0.5", "--std=0.25"), 0.5, 0.25),
    ],
)
def test_from_keras_file_to_outputs(run_tool, model_file, photos, flags, mean, std):
    command = (model_file, "--data_dir", photos, "--class_names=dark,light", "--image_size=9,14")
    finished = run_tool(export_tool, *command, *flags)
    assert finished.returncode == 0, finished.stderr
    path = model_file.with_name("model_float32.tflite")
    np.testing.assert_allclose(read_model_info(path).preprocessing.mean, [mean])
    card = path.with_suffix(".md").read_text()
    assert "of shape (1, 9, 14, 1): batch, height, width, and gray" in card
    assert "0.299 red + 0.587 green + 0.114 blue" in card

    files = sorted(photos.rglob("*.png"))
    gray = np.array([np.asarray(Image.open(file).convert("L")) / 255 for file in files])
    logits = ((gray - mean) / std).mean((1, 2))
    light = 1 / (1 + np.exp(-2 * logits))
    classifier = Classifier(path)
    images = np.array([np.asarray(Image.open(file)) for file in files])
    np.testing.assert_allclose(classifier.predict(images)[:, 1], light, atol=1e-4)
    source = ArraySource(images, [int(file.parent.name == "light") for file in files], ["dark", "light"])
    assert evaluation.evaluate(classifier, source).top1 == ((light > 0.5) == source.labels).mean()
    assert f"{files[0]}: dark {1 - light[0]:.1%}" in run_tool(predict, path, files[0]).stdout


def test_color_statistics_do_not_fit_a_gray_model(run_tool, model_file, photos, assert_one_line_error):
    command = (model_file, "--data_dir", photos, "--class_names=dark,light", "--image_size=9,14")
    finished = run_tool(export_tool, *command, "--mean=0.5,0.5,0.5")
    assert_one_line_error(finished, "(9, 14, 3)", "(9, 14, 1)")
    assert_one_line_error(run_tool(export_tool, *command, "--mean=0.5"), "one for both (gray)")


def test_finetune_builds_a_gray_network():
    values = copy.deepcopy(finetune.FLAGS)
    values(
        [
            "finetune",
            "--data_dir=photos",
            "--model=cifar_resnet",
            "--options=depth=8",
            "--weights=none",
            "--mean=0.5",
            "--std=0.2",
        ]
    )
    recipe = recipe_of(finetune.options_of(values))
    network = recipe.models["cifar_resnet"].build((32, 32), 3)
    assert network.input_shape == (None, 32, 32, 1)
    pixels = np.full((1, 224, 224, 3), 255, "uint8")
    np.testing.assert_allclose(recipe.preprocessing()(pixels), np.full((1, 224, 224, 1), 2.5))
