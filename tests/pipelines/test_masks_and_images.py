"""Models that answer a mask, an image or several outputs, through the commands."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_lite.cli import compare, evaluate, export, predict, quantize
from keras_lite.data import ModelInfo, Preprocessing, read_model_info, write_model_info

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
PREPROCESSING = Preprocessing((8, 12), (0.0,) * 3, (1.0,) * 3, keep_aspect=False)


@pytest.fixture
def photos(tmp_path):
    """Red on the left quarter, blue on the rest."""
    pixels = np.zeros((8, 12, 3), "uint8")
    pixels[:, :3, 0], pixels[:, 3:, 2] = 250, 250
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (tmp_path / "photos" / "x").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / "x" / name)
    return tmp_path / "photos"


def colors(activation=None):
    """A mask of the colors: red, green or blue."""
    inputs = keras.Input((None, None, 3))
    convolution = layers.Conv2D(3, 1, activation=activation, use_bias=False)
    model = keras.Model(inputs, convolution(inputs))
    convolution.set_weights([4.0 * np.eye(3, dtype="float32")[None, None]])
    return model


def several():
    model = colors()
    mean = layers.GlobalAveragePooling2D()(model.output)
    return keras.Model(model.input, {"map": model.output, "color": mean})


HEADS = {
    "mask": (lambda: colors("softmax"), ["red", "green", "blue"], "probabilities", "blue 75.0%, red 25.0% of 8 x 12"),
    "labels": (lambda: colors("sigmoid"), ["red", "green", "blue"], "sigmoid", "red 100.0%, green 100.0%, blue 100.0%"),
    "image": (colors, [], "image", "8 x 12 x 3 numbers from 0 to 3.922, mean 1.307"),
    "several": (several, [], "several", "color: 0.980392, 0, 2.94118; map: 8 x 12 x 3 numbers from 0 to 3.922"),
}  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_export_and_predict(head, tmp_path, photos, run_tool):
    build, names, output, line = HEADS[head]
    path = tmp_path / "model.keras"
    build().save(path)
    flags = ["--image_size", "8,12", "--mean", "0,0,0", "--std", "1,1,1", "--nokeep_aspect"]
    flags += ["--class_names", ",".join(names)] if names else []

    for precision in ("float32", "int8"):
        finished = run_tool(export, path, "--data_dir", photos, "--precision", precision, *flags)
        assert finished.returncode == 0, finished.stderr
        file = tmp_path / f"model_{precision}.tflite"
        info = read_model_info(file)
        kept = "logits" if (output, precision) == ("probabilities", "int8") else output
        assert (info.class_names, info.output) == (names, kept)
        finished = run_tool(predict, file, photos / "x" / "a.png")
        assert finished.returncode == 0, finished.stderr
        if precision == "float32" or head == "mask":
            assert line in finished.stdout

    write_model_info(path, ModelInfo("model", names, PREPROCESSING, output))
    finished = run_tool(predict, path, photos)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count(line) == 4


@pytest.mark.parametrize("head", ["mask", "several"])
def test_what_measures_photos_by_one_row_refuses_in_one_line(head, tmp_path, photos, run_tool, assert_one_line_error):
    build, names, output, _ = HEADS[head]
    path = tmp_path / "model.keras"
    build().save(path)
    write_model_info(path, ModelInfo("model", names, PREPROCESSING, output))
    finished = run_tool(evaluate, path, "--data_dir", photos)
    assert_one_line_error(finished, "for the whole photo, received", "predicts s")
    for tool in (quantize, compare):
        finished = run_tool(tool, path, "--data_dir", photos, "--output_dir", tmp_path / "out")
        assert_one_line_error(finished, "Expected a model that outputs one row of numbers for keras-lite", "export")


def test_other_inputs_are_for_python(tmp_path, photos, run_tool, assert_one_line_error):
    one, two = keras.Input((8, 12, 3)), keras.Input((4,))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(one), two])
    keras.Model([one, two], layers.Dense(2)(x)).save(tmp_path / "two.keras")
    flags = ("--image_size", "8,12", "--class_names", "a,b")
    finished = run_tool(export, tmp_path / "two.keras", "--data_dir", photos, *flags)
    assert_one_line_error(finished, "received (8, 12, 3) and (4,)", "keras_lite.export.to_tflite")
