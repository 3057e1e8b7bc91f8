import json

import keras
import numpy as np
import pytest
from PIL import Image

from keras_lite.data import ArraySource
from keras_lite.errors import InputError
from keras_lite.files import read_json
from keras_lite.inference.report import FileFigures, Report, ReportRow
from keras_lite.pipelines.quantize import QuantizationOptions, QuantizationResult
from keras_lite.quantization.closeness import Closeness
from keras_lite.quantization.search import Candidate, PostTraining
from keras_lite.training import Options, Recipe, RecipeModel, fit
from ledger import read_results, record, recording
from ledger.tables import results_markdown

pytestmark = pytest.mark.tensorflow_only


def test_what_is_kept_of_a_run(run_files, tmp_path):
    path = record(run_files.write(), tmp_path / "results")
    assert path.name.startswith("cifar100_first-resnet20-ours-2epochs-seed3-held_out-changes")
    text = path.read_text()
    assert '"epoch_accuracies": [0.3, 0.2501]' in text
    kept = json.loads(text)
    assert (kept["schema"], kept["kind"]) == (1, "run")
    # The number of epochs has an entry of its own.
    assert kept["changes"] == {"label_smoothing": 0.1}
    assert (kept["epochs"], kept["published_epochs"], kept["batch_size"], kept["seed"]) == (2, 200, 128, 3)
    assert (kept["test_accuracy"], kept["last_accuracy"]) == (0.2612, 0.250123)
    assert (kept["best_accuracy"], kept["best_epoch"]) == (0.3, 1)
    assert kept["train_accuracies"] == [0.2, 0.3]
    # 2 epochs of 45,000 images in 180 s.
    assert (kept["seconds"], kept["images_per_second"]) == (180.0, 499.9)
    assert kept["peak_memory_bytes"] == 1_500_000_000
    assert kept["hardware"] == {"devices": ["cpu:0"], "system": "Linux", "processor": "Some CPU", "cpus": 2}
    assert (kept["commit"], kept["versions"]["keras_lite"]) == ("0123456789abcdef", "0.1.0")
    assert (kept["parameters"], kept["macs"]) == (282138, 37093552)
    assert kept["quantized"] is None


def test_confusion_matrix_comes_along(run_files, tmp_path):
    folder = run_files.write()
    plain = record(folder, tmp_path / "results")
    assert json.loads(plain.read_text())["confusion_matrix"] is None
    (folder / "evaluation").mkdir()
    Image.new("RGB", (4, 3), (0, 0, 200)).save(folder / "evaluation" / "confusion_matrix.png")
    path = record(folder, tmp_path / "results")
    assert path == plain
    [run] = read_results(tmp_path / "results")
    with Image.open(tmp_path / "results" / run.confusion_matrix) as image:
        assert (image.size, image.convert("RGB").getpixel((0, 0))) == ((4, 3), (0, 0, 200))
    assert f"](results/{run.confusion_matrix})" in results_markdown([run])


def test_run_of_the_engine(tmp_path):
    """What `fit` writes is what `record` reads."""

    def build(image_size, classes):
        return keras.Sequential([keras.Input((*image_size, 3)), keras.layers.Flatten(), keras.layers.Dense(classes)])

    def source(seed):
        images = np.random.default_rng(seed).integers(0, 255, (8, 4, 4, 3), dtype="uint8")
        return ArraySource(images, np.arange(8) % 2, ["a", "b"])

    recipe = Recipe(
        "tiny",
        {"flat": RecipeModel(build)},
        keras.optimizers.SGD,
        learning_rate=0.1,
        epochs=2,
        batch_size=4,
        image_size=(4, 4),
    )
    data = {split: source(seed) for seed, split in enumerate(("train", "valid", "test"))}
    fitted = fit(recipe, data, Options.of(recipe), tmp_path / "run")
    record(tmp_path / "run", tmp_path / "results", "made for a test")
    (result,) = read_results(tmp_path / "results")
    assert result.file_name == "tiny-flat-2epochs-seed0-held_out-4px.json"
    assert result.test_accuracy == pytest.approx(fitted.test["accuracy"], abs=1e-6)
    assert result.epoch_accuracies[-1] == pytest.approx(fitted.last["val_accuracy"], abs=1e-4)
    assert (result.parameters, result.macs) == (98, 96)
    assert result.remark == "made for a test"


def test_quantized_figures_come_with_a_second_recording(run_files, tmp_path):
    folder = run_files.write()
    first = record(folder, tmp_path / "results", "said once")
    closeness = Closeness(0.01, 0.001, 0.97)
    chosen = Candidate("99.99 %", True, closeness=closeness, within_noise=True)
    rows = (
        ReportRow("keras", "Keras float32", 0.2612, drop=0.0, agreement=1.0, agreement_fake_quantized=0.98, file=None),
        ReportRow(
            "int8",
            "TFLite int8",
            0.26,
            drop=0.12,
            agreement=0.97,
            agreement_fake_quantized=1.0,
            file=FileFigures("resnet20_int8.tflite", 350000, {1: 0.91234}, 1, int8_only=True),
        ),
    )
    QuantizationResult(
        name="resnet20",
        split="test",
        report=Report(10000, 282138, 37093552, threads=1, output="logits", rows=rows),
        options=QuantizationOptions(epochs=4),
        post_training=PostTraining("logits", chosen, [chosen], images=256, judges=256, weakest={}),
        finetuning=None,
        kept="post_training",
        verification={},
        seconds=60.0,
    ).write(folder / "quantized" / "result.json")
    assert record(folder, tmp_path / "results") == first
    kept = read_json(first)
    assert kept["remark"] == "said once"
    assert kept["quantized"] == {
        "int8_accuracy": 0.26,
        "float_accuracy": 0.2612,
        "agreement": 0.97,
        "bytes": 350000,
        "latency_ms": 0.912,
        "threads": 1,
        "images": 10000,
        "split": "test",
        "epochs": 4,
    }


def test_another_run_of_the_same_name_is_refused(run_files, tmp_path):
    path = record(run_files.write(), tmp_path / "results")
    before = path.read_bytes()
    run_files.result["test"]["accuracy"] = 0.27
    with pytest.raises(InputError, match=rf"{path.name}, received another one of the same name"):
        record(run_files.write(), tmp_path / "results")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("break_run", "message"),
    [
        (lambda run: run.result.update(smoke=True), "received the smoke run"),
        (lambda run: run.result.update(test=None), "without test images"),
        (lambda run: run.result.pop("protocol"), "Expected the entry protocol in"),
        (lambda run: run.result.update(epochs=3), "Expected 3 train_accuracies, received 2"),
        (
            lambda run: run.result.update(protocol="published"),
            "received 0.250123 after the epoch and 0.2612 in the test",
        ),
        (lambda run: run.environment.update(commit_modified=True), "Expected --remark with what the code was"),
        (lambda run: run.environment.update(commit=None), "an unknown commit"),
        (
            lambda run: run.config.update(class_names=["a", "b"]),
            "Expected the 100 classes of cifar100 for cifar100_first",
        ),
        (lambda run: setattr(run, "metrics", run.metrics.replace("0.2501234", "many")), "metrics.csv"),
    ],
)
def test_what_is_not_recorded(break_run, message, run_files, tmp_path):
    break_run(run_files)
    with pytest.raises(InputError) as caught:
        record(run_files.write(), tmp_path / "results")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_unfinished_run(run_files, tmp_path, run_tool, assert_one_line_error):
    folder = run_files.write()
    (folder / "result.json").unlink()
    finished = run_tool(recording, folder, "--results_dir", tmp_path / "results")
    assert_one_line_error(finished, "Expected the folder of a finished run", folder)


def test_tool(run_files, tmp_path, run_tool):
    run_files.environment["commit_modified"] = True
    finished = run_tool(
        recording, run_files.write(), "--results_dir", tmp_path / "results", "--remark", "a local patch"
    )
    assert finished.returncode == 0, finished.stderr
    (result,) = read_results(tmp_path / "results")
    assert (result.remark, result.commit_modified) == ("a local patch", True)
