"""From a folder of photos to a run folder and what belongs to it, by one command."""

import copy
import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image
from small_classifier import scramble

from keras_lite import applications
from keras_lite.cli import evaluate, finetune, predict
from keras_lite.data import ModelInfo, Preprocessing, open_data, read_model_info, write_model_info
from keras_lite.inference import evaluation_files
from keras_lite.inference.evaluation import Evaluation
from keras_lite.pipelines.finetune import recipe_of

pytestmark = pytest.mark.tensorflow_only
NAMES = ["rote Äpfel", "зелёный", "青い 花"]
SIZE = 32


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes that differ in the color of a patch; of the first there are twice as many."""
    root = tmp_path_factory.mktemp("data") / "my photos"
    rng = np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for number in range(10 if label else 20):
            pixels = rng.integers(0, 120, (40, 36, 3))
            top, left = rng.integers(0, 20, 2)
            pixels[top : top + 16, left : left + 16, label] += rng.integers(60, 135)
            Image.fromarray(pixels.astype("uint8")).save(root / name / f"photo {number}.png")
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network of other classes, with the preprocessing that it was trained with."""
    path = tmp_path_factory.mktemp("weights") / "start.keras"
    scramble(applications.CifarResNet(8, input_shape=(24, 24, 3), classes=5, classifier_activation=None)).save(path)
    preprocessing = Preprocessing((24, 24), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    write_model_info(path, ModelInfo("start", list("abcde"), preprocessing, "logits"))
    return path


def flags(photos, weights, output_dir, *more):
    network = ("--model", "cifar_resnet", "--options", "depth=8,stem=plain", "--weights", weights)
    small = ("--epochs_head", "1", "--epochs", "2", "--batch_size", "8")
    return ("--data_dir", photos, *network, *small, "--output_dir", output_dir, *more)


def test_from_photos_to_an_evaluated_run(run_tool, photos, weights, tmp_path, assert_one_line_error):
    run = tmp_path / "run"
    finished = run_tool(finetune, *flags(photos, weights, run))
    assert finished.returncode == 0, finished.stderr
    assert "class weights: 0.62 (rote Äpfel, 14 photos) to 1.44" in finished.stdout

    # The size and the normalization are those of the weights; the classes those of the folders.
    info = read_model_info(run / "model.keras")
    assert info.class_names == sorted(NAMES)
    assert info.preprocessing == Preprocessing((24, 24), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    model = keras.models.load_model(run / "model.keras", compile=False)
    start = keras.models.load_model(weights, compile=False)
    for variable, first in zip(model.variables, start.variables, strict=True):
        if "batch_norm" in variable.path:
            np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (variable, first)))
    assert len(model.trainable_variables) == len(start.trainable_variables)

    # The figures are those of the model on the test photos, which every tool finds again.
    test = open_data(photos, info.preprocessing.geometry)["test"]
    found = model.predict(info.preprocessing(test.images(np.arange(len(test)))), verbose=0).argmax(1)
    accuracy = (found == test.labels).mean()
    assert json.loads((run / "result.json").read_text())["test"]["accuracy"] == pytest.approx(accuracy)
    with (run / "evaluation" / "per_class.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == sorted(NAMES)
    for label, row in enumerate(rows):
        there, predicted = test.labels == label, found == label
        assert int(row["images"]) == there.sum()
        assert float(row["recall"]) == pytest.approx((there & predicted).sum() / there.sum())
        expected = (there & predicted).sum() / predicted.sum() if predicted.any() else None
        assert row["precision"] == "" if expected is None else float(row["precision"]) == pytest.approx(expected)
    again = run_tool(evaluate, run, "--output_dir", tmp_path / "again")
    assert f"top-1 {accuracy:.2%}" in again.stdout
    for name in ("per_class.csv", "confusion_matrix.png", "worst_mistakes.png"):
        assert (tmp_path / "again" / name).read_bytes() == (run / "evaluation" / name).read_bytes()
    assert run_tool(predict, run, photos / NAMES[2] / "photo 1.png").returncode == 0

    # Done is done; another run needs another folder.
    assert "is finished" in run_tool(finetune, *flags(photos, weights, run)).stdout
    other = run_tool(finetune, *flags(photos, weights, run, "--noflip", "--patience", "3"))
    assert_one_line_error(other, run, "augmentation.horizontal_flip true", "finetuning.patience 5), received")


@pytest.mark.slow
def test_from_photos_to_the_assets_of_an_app(run_tool, photos, weights, tmp_path):
    run = tmp_path / "run"
    finished = run_tool(finetune, *flags(photos, weights, run, "--quantize", "--quantize_epochs", "1"))
    assert finished.returncode == 0, finished.stderr
    assert "TFLite int8" in finished.stdout
    assets = {path.name: path for path in (run / "android").iterdir()}
    assert assets.keys() == {"model.tflite", "model.json", "model.labels.txt"}
    assert assets["model.tflite"].read_bytes() == (run / "quantized" / "cifar_resnet_int8.tflite").read_bytes()
    assert json.loads(assets["model.json"].read_text())["class_names"] == sorted(NAMES)
    assert assets["model.labels.txt"].read_text().splitlines() == sorted(NAMES)
    # The page, or, where npm can't get what it needs, the command that makes it.
    if "no web page yet" in finished.stderr:
        assert f"keras-lite web {run}" in finished.stderr
    else:
        assert (run / "web" / "model.tflite").read_bytes() == (
            run / "quantized" / "cifar_resnet_uint8.tflite"
        ).read_bytes()
    assert "On the 7 images of the test split" in (run / "quantized" / "cifar_resnet_int8.md").read_text()
    # What was interrupted between the steps is done again, and nothing else.
    assets["model.json"].unlink()
    (run / "evaluation" / "worst_mistakes.png").unlink()
    times = (run / "quantized" / "result.json").stat().st_mtime, (run / "model.keras").stat().st_mtime
    assert run_tool(finetune, *flags(photos, weights, run, "--quantize", "--quantize_epochs", "1")).returncode == 0
    assert assets["model.json"].is_file()
    assert (run / "evaluation" / "worst_mistakes.png").is_file()
    assert times == ((run / "quantized" / "result.json").stat().st_mtime, (run / "model.keras").stat().st_mtime)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (("--data_dir", "nowhere"), ["nowhere"]),
        (("--model", "resnet1000"), ["--model", "resnet1000", "cifar_resnet"]),
        (("--options", "depth"), ["--options", "'depth'"]),
        (("--options", "classes=4"), ["--options", "classes=4"]),
        (("--options", "dept=8"), ["dept"]),
        (("--options", "depth=eight"), ["depth", "eight"]),
        (("--options", "depth=14"), ["start.keras"]),  # the weights of another network
        (("--weights", "no_such_name"), ["no_such_name"]),
        (("--weights", "none"), ["--epochs_head 0"]),
        (("--image_size", "big"), ["--image_size", "big"]),
        (("--learning_rate", "-1"), ["learning_rate"]),
        (("--mean", "0.5,half,0.5"), ["--mean", "half"]),
        (("--std", "0.5"), ["three", "std"]),
        (("photos",), ["photos"]),
    ],
)
def test_wrong_command_lines_end_in_one_line(
    run_tool, photos, weights, tmp_path, assert_one_line_error, changes, expected
):
    finished = run_tool(finetune, *flags(photos, weights, tmp_path / "run"), *changes)
    assert_one_line_error(finished, *expected)
    assert not list((tmp_path / "run").glob("*"))


def test_wrong_photos_end_in_one_line(run_tool, photos, weights, tmp_path, assert_one_line_error):
    def check(root, *expected):
        assert_one_line_error(run_tool(finetune, *flags(root, weights, tmp_path / "run")), *expected)
        assert not list((tmp_path / "run").glob("*"))

    check(photos.parent, f"Give {photos}")
    check(photos / NAMES[0], "CLASS/photo.jpg", "photo 0.png")
    broken = tmp_path / "broken"
    for name in NAMES[:2]:
        (broken / name).mkdir(parents=True)
        (broken / name / "1.jpg").write_text("not a picture")
    check(broken, "1.jpg", "1 more")


def test_evaluation_pictures_show_what_is_wrong(tmp_path):
    """Drawn for names that matplotlib would take for formulas, that its font lacks, and that are too long."""
    names = ["a$b$c", "花", "long " * 20, "never there"]
    labels, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    evaluation = Evaluation(
        5,
        0.6,
        1.0,
        class_names=names,
        labels=labels,
        predicted=predicted,
        confidence=np.array([0.9, 0.8, 0.7, 0.6, 0.99]),
    )
    np.testing.assert_array_equal(evaluation.confusion(), [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    rows = [(row.images, row.recall, row.precision) for row in evaluation.per_class()]
    assert rows == [(2, 0.5, 0.5), (1, 1.0, 0.5), (2, 0.5, 1.0), (0, None, None)]
    assert evaluation_files.printable(names)[:2] == ["a$b$c", "class 2"]
    assert max(map(len, evaluation_files.printable(names))) == 24

    class Pictures:
        asked = None

        def images(self, indices):
            self.asked = list(indices)
            return np.broadcast_to(np.array([0, 255, 0], "uint8"), (len(indices), 8, 8, 3))

    source = Pictures()
    files = evaluation_files.write_evaluation(evaluation, source, tmp_path)
    assert source.asked == [4, 1]  # the surest first
    drawn = np.asarray(Image.open(files[2]).convert("RGB"))
    assert (drawn == [0, 255, 0]).all(-1).sum() > 10_000
    assert len(Image.open(files[1]).convert("L").getcolors(256)) > 10
    assert len(list(tmp_path.iterdir())) == 3


def test_an_argument_with_commas_is_one():
    values = copy.deepcopy(finetune.FLAGS)
    values(["finetune", "--data_dir=photos", "--options=blocks=(1,1),channels=16,stem=plain"])
    assert finetune.options_of(values).options == {"blocks": (1, 1), "channels": 16, "stem": "plain"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model=ghostnet"], "bicubic"),  # timm's
        (["--model=shufflenet_v2", "--options=alpha=0.5"], "bilinear"),  # torchvision's
        (["--model=ghostnet", "--interpolation=box"], "box"),
    ],
)
def test_photos_are_scaled_as_the_weights_publisher_did(arguments, expected):
    values = copy.deepcopy(finetune.FLAGS)
    values(["finetune", "--data_dir=photos", *arguments])
    preprocessing = recipe_of(finetune.options_of(values)).preprocessing()
    assert preprocessing == Preprocessing((224, 224), interpolation=expected)
