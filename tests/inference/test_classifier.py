import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_lite.cli import evaluate as evaluate_command
from keras_lite.cli import predict
from keras_lite.data import ArraySource, ModelInfo, Preprocessing, model_info_path, write_model_info
from keras_lite.errors import InputError
from keras_lite.inference.classifier import Classifier
from keras_lite.inference.evaluation import evaluate
from keras_lite.inference.samples import read_samples
from keras_lite.litert import FloatGraph, Operator, Tensor, write

CLASSES = ["blue", "green", "red"]
COLORS = {"red": (250, 10, 20), "green": (30, 240, 20), "blue": (0, 30, 250)}


@pytest.fixture
def model_path(tmp_path):
    """A model that is right by construction: the logit of a class is the mean of its color."""
    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    classifier = keras.layers.Dense(3, use_bias=False, name="predictions")
    model = keras.Model(inputs, classifier(pooled))
    classifier.set_weights([np.eye(3, dtype="float32")[:, [2, 1, 0]]])
    path = tmp_path / "model.keras"
    model.save(path)
    info = ModelInfo("colors", CLASSES, Preprocessing((8, 8), (0.5, 0.5, 0.5), (0.1, 0.1, 0.1)), "logits")
    write_model_info(path, info)
    return path


@pytest.fixture
def photos(tmp_path):
    for split, names in (("train", CLASSES), ("test", CLASSES)):
        for name in names:
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (10, 12), COLORS[name]).save(folder / f"{i}.png")
    # One picture is in the wrong folder.
    Image.new("RGB", (10, 12), COLORS["blue"]).save(tmp_path / "photos" / "test" / "red" / "1.png")
    return tmp_path / "photos"


def test_evaluate(model_path, photos, run_tool, tmp_path):
    output = tmp_path / "figures.json"
    finished = run_tool(evaluate_command, model_path, "--data_dir", photos, "--per_class", "--output", output)
    assert finished.returncode == 0, finished.stderr
    assert "top-1 83.33%, top-5 100.00% on 6 images" in finished.stdout
    found = json.loads(output.read_text())
    assert found["by_class"] == {"blue": [2, 1.0], "green": [2, 1.0], "red": [2, 0.5]}


def test_classes_in_another_order_or_unknown(model_path):
    classifier = Classifier(model_path)
    images = np.array([np.full((8, 8, 3), COLORS[name]) for name in ("red", "blue")], "uint8")
    some = ArraySource(images, np.array([0, 1]), ["red", "blue"])
    assert evaluate(classifier, some).top1 == 1
    with pytest.raises(InputError, match="received 1 others, such as 'pink'"):
        evaluate(classifier, ArraySource(images, np.array([0, 1]), ["red", "pink"]))


def test_of_equal_outputs_the_first_class_wins(model_path):
    gray = np.full((3, 8, 8, 3), 90, "uint8")
    found = evaluate(Classifier(model_path), ArraySource(gray, np.array([0, 1, 2]), CLASSES))
    assert found.top1 == pytest.approx(1 / 3)


def test_outputs_that_are_not_finite_are_no_class(model_path, photos, run_tool, assert_one_line_error):
    model = keras.models.load_model(model_path)
    model.layers[-1].set_weights([np.full((3, 3), np.nan, "float32")])
    model.save(model_path)
    message = "received inf or nan for 6 of 6 images"
    assert_one_line_error(run_tool(evaluate_command, model_path, "--data_dir", photos), message)


def test_predict(model_path, photos, run_tool):
    finished = run_tool(predict, model_path, photos / "test" / "green", photos / "test" / "blue" / "0.png", "--top=1")
    assert finished.returncode == 0, finished.stderr
    lines = [line.rpartition(": ")[2] for line in finished.stdout.splitlines() if ".png: " in line]
    assert [line.split()[0] for line in lines] == ["green", "green", "blue"]


def test_new_photos_are_cut_as_the_information_file_says(model_path, run_tool, tmp_path):
    """Scaled to 16x16 and cut to its middle of 8x8, a green photo with a red frame is green alone."""
    photo = Image.new("RGB", (32, 32), COLORS["red"])
    photo.paste(COLORS["green"], (8, 8, 24, 24))
    for split in ("train", "test"):
        for name in ("red", "green"):
            (tmp_path / "framed" / split / name).mkdir(parents=True)
            photo.save(tmp_path / "framed" / split / name / "0.png")
    file = tmp_path / "framed" / "test" / "red" / "0.png"
    figures = tmp_path / "figures.json"
    for resize, color in ((None, "red"), ((16, 16), "green")):
        preprocessing = Preprocessing((8, 8), (0.5,) * 3, (0.1,) * 3, resize=resize)
        write_model_info(model_path, ModelInfo("colors", CLASSES, preprocessing, "logits"))
        assert f"{file}: {color} " in run_tool(predict, model_path, file).stdout
        run_tool(evaluate_command, model_path, "--data_dir", tmp_path / "framed", "--output", figures)
        assert json.loads(figures.read_text())["by_class"][color] == [1, 1.0]
        pixels = read_samples(file.parent, preprocessing, 1)
        assert (np.ptp(pixels[0, :, :, 0]) < 3) == (resize is not None)


@pytest.mark.tensorflow_only
def test_integers_without_a_scale_stand_for_themselves(photos, run_tool, assert_one_line_error, tmp_path):
    photo, pixels = Tensor("photo", (1, 8, 8, 3), dtype="uint8"), Tensor("pixels", (1, 8, 8, 3))
    logits, axes = Tensor("logits", (1, 3)), Tensor("axes", (2,), np.array([1, 2], "int32"))
    operators = [Operator("CAST", [photo], [pixels]), Operator("MEAN", [pixels, axes], [logits], {"keep_dims": False})]
    file = tmp_path / "pixels.tflite"
    file.write_bytes(write(FloatGraph("pixels", [photo], [logits], operators)))
    said = ["--data_dir", photos, "--class_names=red,green,blue", "--image_size=8"]
    finished = run_tool(evaluate_command, file, *said, "--mean=0,0,0", "--std=" + ",".join(3 * [str(1 / 255)]))
    assert "top-1 83.33%, top-5 100.00% on 6 images" in finished.stdout, finished.stderr
    assert_one_line_error(run_tool(evaluate_command, file, *said), "whole numbers for", "uint8 without a scale")


def channels_first(height, width, pooled=True):
    """Return a file as PyTorch's converter writes it: photos with channels first; logits are means of their colors."""
    photo = Tensor("photo", (1, 3, height, width))
    colors = Tensor("colors", (1, 3) if pooled else photo.shape)
    axes = Tensor("axes", (2,), np.array([2, 3], "int32"))
    mean, relu = Operator("MEAN", [photo, axes], [colors], {"keep_dims": False}), Operator("RELU", [photo], [colors])
    return write(FloatGraph("first", [photo], [colors], [mean if pooled else relu]))


@pytest.mark.tensorflow_only
def test_an_end_says_what_the_numbers_are(photos, run_tool, tmp_path):
    photo, logits, shares = Tensor("photo", (1, 8, 8, 3)), Tensor("logits", (1, 3)), Tensor("shares", (1, 3))
    axes = Tensor("axes", (2,), np.array([1, 2], "int32"))
    operators = [Operator("MEAN", [photo, axes], [logits], {"keep_dims": False})]
    operators.append(Operator("SOFTMAX", [logits], [shares], {"beta": 1.0}))
    file = tmp_path / "shares.tflite"
    file.write_bytes(write(FloatGraph("shares", [photo], [shares], operators)))
    said = ["--class_names=red,green,blue", "--image_size=8", "--mean=0,0,0", "--std=1,1,1"]
    finished = run_tool(predict, file, photos / "test" / "red" / "0.png", *said)
    assert "outputs are taken for: probabilities" in finished.stdout
    powers = np.exp(np.array(COLORS["red"]) / 255)
    assert f"red {powers[0] / powers.sum():.1%}" in finished.stdout, finished.stderr


@pytest.mark.tensorflow_only
def test_a_file_that_takes_channels_first(model_path, photos, run_tool, assert_one_line_error, tmp_path):
    file = tmp_path / "first.tflite"
    file.write_bytes(channels_first(8, 8))
    info = ModelInfo("colors", ["red", "green", "blue"], Preprocessing((8, 8), (0.5,) * 3, (0.1,) * 3), "logits")
    write_model_info(file, info)
    finished = run_tool(evaluate_command, file, "--data_dir", photos)
    assert "top-1 83.33%, top-5 100.00% on 6 images" in finished.stdout, finished.stderr

    model_info_path(file).rename(tmp_path / "kept.json")
    said = ["--class_names=red,green,blue", "--image_size=8", "--mean=0.5,0.5,0.5", "--std=0.1,0.1,0.1"]
    finished = run_tool(evaluate_command, file, "--data_dir", photos, *said)
    assert "top-1 83.33%, top-5 100.00% on 6 images" in finished.stdout, finished.stderr
    assert_one_line_error(run_tool(evaluate_command, file, "--data_dir", photos, said[1]), "both --class_names and")
    assert_one_line_error(run_tool(predict, file, photos), "evaluate and predict take --class_names and --image_size")
    assert_one_line_error(run_tool(predict, model_path, photos, *said), "keras-lite convert writes a .keras file")
    (tmp_path / "kept.json").rename(model_info_path(file))

    file.write_bytes(channels_first(9, 8))
    message = "of shape (1, 8, 8, 3), as was said of it, received a file that takes (1, 3, 9, 8)."
    assert_one_line_error(run_tool(evaluate_command, file, "--data_dir", photos), message)
    file.write_bytes(channels_first(8, 8, pooled=False))
    assert_one_line_error(run_tool(evaluate_command, file, "--data_dir", photos), "convert it with channels last")


def test_errors(model_path, photos, run_tool, assert_one_line_error, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    assert_one_line_error(run_tool(predict, model_path, text), text)
    assert_one_line_error(run_tool(predict, model_path, tmp_path / "absent"), "absent")
    assert_one_line_error(run_tool(predict, model_path), "at least one PHOTO")
    assert_one_line_error(run_tool(predict, tmp_path / "absent.keras", photos), "absent.keras")
    assert_one_line_error(run_tool(predict, text, photos), "run folder, a .keras, .h5 or .tflite")
    assert_one_line_error(run_tool(evaluate_command, photos), "--data_dir")
    assert_one_line_error(run_tool(evaluate_command, photos, "--data_dir", photos), "without model.keras")
    assert_one_line_error(run_tool(evaluate_command, model_path, "--data_dir", photos, "--split=valid"), "train, test")
    model_path.with_suffix(".json").unlink()
    assert_one_line_error(run_tool(evaluate_command, model_path, "--data_dir", photos), "model.json")
