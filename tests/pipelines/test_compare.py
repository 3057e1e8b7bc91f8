import json

import keras
import numpy as np
import pytest
from small_classifier import CLASSES, PREPROCESSING, SIZE, carnet_like, color_source, train

from keras_lite.cli import compare as tool
from keras_lite.data import ModelInfo, write_model_info
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.inference.report import format_report
from keras_lite.pipelines.compare import TITLES, CompareOptions, ComparisonResult, compare_precisions
from keras_lite.runtime import benchmark

pytestmark = pytest.mark.tensorflow_only
INFO = ModelInfo("small", CLASSES, PREPROCESSING, "logits")


def test_every_precision_is_measured_on_the_same_images(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)  # each file in each round is a process
    model = train(carnet_like())
    data = {"train": color_source(120, 1), "test": color_source(90, 3)}
    to_tflite(model, tmp_path / "other.tflite", samples=PREPROCESSING(data["test"].images(np.arange(9))))
    folder = tmp_path / "precisions"

    result = compare_precisions(
        model,
        INFO,
        data,
        folder,
        options=CompareOptions(tuple(TITLES), tmp_path / "other.tflite", image_limit=60, calibration_images=48),
    )

    assert ComparisonResult.read(folder / "result.json") == result
    assert (folder / "precisions.png").stat().st_size > 5000
    assert result.report.images == 60
    assert [row.precision for row in result.report.rows] == ["keras", *TITLES]
    assert [row.title for row in result.report.rows] == ["Keras float32", *TITLES.values()]
    for name in TITLES:
        row = result.report.row(name)
        file = tmp_path / "other.tflite" if name == "trained" else folder / f"small_{name}.tflite"
        assert row.file.bytes == file.stat().st_size
        assert row.drop == pytest.approx(100 * (result.report.row("keras").top1 - row.top1))
        assert abs(row.drop) <= 5
        assert row.agreement >= (1.0 if name in ("float32", "trained") else 0.95)
        assert list(row.file.latencies_ms) == [1, 2]
        assert row.file.int8_only == (name in ("stock-int8", "int8"))
    assert result.post_training.chosen in result.post_training.tried
    assert (result.post_training.images, result.post_training.judges) == (24, 24)
    assert json.loads((folder / "small_int8.json").read_text())["verification"]["exactness"]["equal"] == 1.0
    assert json.loads((folder / "small_stock-int8.json").read_text())["quantization"] == "stock post-training"
    table = format_report(result.report)
    assert "int16 activations" in table
    assert "2 threads" in table


def test_int16_is_refused_for_hard_swish(tmp_path):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(4, 3, name="convolution")(inputs)
    x = keras.layers.Activation("hard_silu", name="switch")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    images = np.zeros((2, SIZE, SIZE, 3), "float32")
    with pytest.raises(InputError, match=r"without hard-swish for int16 .* 1 of them \(switch"):
        to_tflite(model, tmp_path / "model.tflite", "int16", calibration=images)
    assert list(tmp_path.iterdir()) == []


def test_wrong_command_lines_end_in_one_line(run_tool, tmp_path, assert_one_line_error):
    path = tmp_path / "model.keras"
    carnet_like().save(path)
    write_model_info(path, INFO)

    def check(*arguments, expected):
        assert_one_line_error(run_tool(tool, *arguments), *expected)

    check(expected=["Expected one MODEL"])
    check(path, expected=["--data_dir"])
    check(path, "--data_dir", "shapes", "--threads", "two", expected=["--threads", "two"])
    check(path, "--data_dir", "shapes", "--precisions", "int4", expected=["int4"])
    check(path, "--data_dir", "shapes", "--precisions", "trained", expected=["trained", "received none"])
