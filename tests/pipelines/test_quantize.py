import copy
import json
import types

import keras
import numpy as np
import pytest
from PIL import Image
from small_classifier import CLASSES, PREPROCESSING, SIZE, carnet_like, color_source, train

from keras_lite.cli import quantize as tool
from keras_lite.data import ArraySource, Augmentation, ModelInfo, make_shapes, write_model_info
from keras_lite.data.image_folder import open_unlabeled
from keras_lite.errors import InputError
from keras_lite.files import write_json
from keras_lite.inference.report import format_report
from keras_lite.pipelines import quantize
from keras_lite.pipelines.quantize import QuantizationOptions, QuantizationResult, quantize_run
from keras_lite.quantization.closeness import Closeness
from keras_lite.quantization.search import Candidate, PostTraining
from keras_lite.runtime import benchmark, examine, inspect

pytestmark = pytest.mark.tensorflow_only
INFO = ModelInfo("small", CLASSES, PREPROCESSING, "probabilities")
CHANGES = {"epochs": 7, "learning_rate": 0.25, "batch_size": 9, "engine": "tf_mot", "scales": "learned",
           "image_limit": 44, "calibration_images": 55, "seed": 66}  # fmt: skip
OTHERS = [text for name, value in CHANGES.items() for text in (f"--{name}", str(value))]


def in_order(source, numbers):
    """The images of the classes with these numbers, which are numbered anew in this order."""
    chosen = np.flatnonzero(np.isin(source.labels, numbers))
    labels = np.array([numbers.index(label) for label in source.labels[chosen]])
    return ArraySource(source.images(chosen), labels, [source.class_names[number] for number in numbers])


@pytest.mark.parametrize("engine", ["keras", pytest.param("tf_mot", marks=pytest.mark.slow)])
def test_from_trained_model_to_measured_files(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)  # each file in each round is a process
    model = train(carnet_like(activation="softmax"))
    # Data of the model's classes in another order, and of only two of them to measure on.
    data = {"train": in_order(color_source(120, 1), [2, 0, 1]), "test": in_order(color_source(135, 3), [2, 1])}
    options = QuantizationOptions(epochs=1, batch_size=16, image_limit=64, calibration_images=48, engine=engine)

    result = quantize_run(
        model,
        INFO,
        data,
        tmp_path,
        options=options,
        augmentation=Augmentation(horizontal_flip=True),
        row="sports100/carnet18/ours",
    )

    assert QuantizationResult.read(tmp_path / "result.json") == result
    assert capsys.readouterr().out == ""
    names = sorted(path.name for path in tmp_path.iterdir())
    stems = ("small_float32", "small_int8", "small_uint8")
    assert names == ["result.json", *sorted(f"{s}.{e}" for s in stems for e in ("json", "labels.txt", "md", "tflite"))]
    rows = {row.precision: row for row in result.report.rows}
    # One epoch at so small a rate may be no gain: then the file is that of post-training quantization.
    tuned = result.kept == "finetuning"
    assert list(rows) == ["keras", *(["fake_quantized"] if tuned else []), "float32", "int8"]
    images = PREPROCESSING(data["test"].images(np.arange(90)))
    names = np.array(data["test"].class_names)[data["test"].labels]
    top1 = float((np.array(CLASSES)[model.predict(images, verbose=0).argmax(1)] == names).mean())
    assert rows["keras"].top1 == top1
    assert rows["float32"].top1 == top1
    int8 = rows["int8"]
    assert abs(int8.top1 - top1) <= 0.03
    assert int8.agreement_fake_quantized >= 0.97 if tuned else int8.agreement_fake_quantized is None
    assert int8.file.int8_only
    assert int8.file.partitions == 1
    assert int8.file.latency_ms > 0
    assert int8.file.bytes == (tmp_path / "small_int8.tflite").stat().st_size
    assert inspect(tmp_path / "small_int8.tflite").int8_only
    # The quantized model outputs logits, the float file what the model outputs.
    outputs = [json.loads((tmp_path / f"{stem}.json").read_text())["output"] for stem in stems]
    assert outputs == ["probabilities", "logits", "logits"]
    # For browsers the same with uint8 ends, without a warning that it takes other numbers than pixels.
    photos = images[:8]
    same = [examine(tmp_path / f"{stem}.tflite", images=photos) for stem in stems[1:]]
    assert [each.inspection.inputs[0]["dtype"] for each in same] == ["int8", "uint8"]
    np.testing.assert_array_equal(same[0].outputs, same[1].outputs)
    card = (tmp_path / "small_int8.md").read_text()
    assert "`sports100/carnet18/ours`" in card
    assert "On the 90 images of the test split" in card
    for row in rows.values():
        assert f"| {row.title} | {row.top1:.2%} | {row.agreement:.2%} |" in card
    found = result.finetuning
    assert (found.judges, len(found.epochs), found.note) == (21, 1, "")  # a fifth of 108
    assert f"| Precision | int8 ({'quantization-aware' if tuned else 'post-training'}) |" in card
    assert "All outputs are equal to the quantized model's, computed in whole numbers." in card
    exactness = result.verification["int8"].exactness
    assert (exactness.equal, exactness.steps) == (1.0, 0)
    assert len(result.post_training.tried) >= 5
    assert result.post_training.chosen in result.post_training.tried
    assert (result.post_training.images, result.post_training.judges) == (24, 24)
    table = format_report(result.report)
    assert f"{top1:.2%}" in table
    trainable = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert f"{trainable:,} parameters" in table
    assert f"| Parameters | {trainable:,} |" in card


@pytest.mark.parametrize(
    ("output", "divergence", "epochs"),
    [("logits", 0.0049, 0), ("probabilities", 0.0, 0), ("logits", 0.0051, 2), ("regression", 0.0001, 2)],
)
def test_training_follows_only_where_there_is_something_to_gain(output, divergence, epochs):
    chosen = Candidate("99.99 %", closeness=Closeness(divergence, 0.0001, 0.99))
    found = PostTraining(output, chosen, [chosen], images=8, judges=8, weakest={})
    assert QuantizationOptions().epochs_after(found) == epochs
    assert QuantizationOptions(epochs=3).epochs_after(found) == 3
    assert QuantizationOptions(epochs=0).epochs_after(found) == 0


def write_photos(folder, count):
    """Photos without classes, some in the folder and some deeper."""
    for index, image in enumerate(color_source(count, 1).images(np.arange(count))):
        file = folder / ("some" if index % 2 else "") / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)


def test_photos_without_classes_train_in_place_of_the_others(tmp_path, monkeypatch):
    received = {}

    def record(model, info, data, output_dir, **others):
        received.update(data=data, **others)
        return types.SimpleNamespace(report=None)

    monkeypatch.setattr(quantize, "quantize_run", record)
    monkeypatch.setattr(tool, "format_report", str)
    write_photos(tmp_path / "photos", 6)
    info = ModelInfo("small", make_shapes(1, 0, SIZE).class_names, PREPROCESSING, "logits")
    carnet_like().save(tmp_path / "model.keras")
    write_model_info(tmp_path / "model.keras", info)
    command = ["quantize", str(tmp_path / "model.keras"), "--unlabeled_dir", str(tmp_path / "photos")]

    for flags, splits in (
        ([], {"unlabeled"}),
        (["--data_dir", "shapes", *OTHERS], {"train", "valid", "test", "unlabeled"}),
    ):
        values = copy.deepcopy(tool.FLAGS)
        tool.main(values, values([*command, *flags])[1:])
        data, options = received["data"], received["options"]
        assert set(data) == splits
        assert len(data["unlabeled"]) == 6
        assert data["unlabeled"].class_names == info.class_names
        assert options == QuantizationOptions(**(CHANGES if "--seed" in flags else {}))


@pytest.mark.slow
def test_photos_without_classes_are_enough(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)
    model = train(carnet_like())
    model.save(tmp_path / "model.keras")
    write_model_info(tmp_path / "model.keras", ModelInfo("small", CLASSES, PREPROCESSING, "logits"))
    write_photos(tmp_path / "photos", 80)
    values = copy.deepcopy(tool.FLAGS)
    positional = values(["quantize", str(tmp_path / "model.keras"), "--unlabeled_dir", str(tmp_path / "photos"),
                         "--epochs", "1", "--batch_size", "16"])  # fmt: skip

    tool.main(values, positional[1:])

    result = QuantizationResult.read(tmp_path / "quantized" / "result.json")
    assert (result.split, result.report.images) == ("unlabeled", 8)
    # Without labels accuracy is agreement with the float model.
    assert result.report.rows[0].top1 == 1.0
    assert all(row.top1 == row.agreement >= 0.8 for row in result.report.rows)
    assert result.post_training.images + result.post_training.judges == 58  # 14 judge epochs
    assert "* ranges: " in capsys.readouterr().out


def test_classes_of_the_data_must_be_the_models(tmp_path):
    with pytest.raises(
        InputError, match=r"3 classes that the model knows \('blue', 'green', 'red'\), received 10 others"
    ):
        quantize_run(carnet_like(), INFO, {"train": make_shapes(20, 0, SIZE)}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wrong_command_lines_end_in_one_line(run_tool, tmp_path, assert_one_line_error):
    path = tmp_path / "model.keras"
    carnet_like().save(path)

    def check(*arguments, expected):
        assert_one_line_error(run_tool(tool, *arguments), *expected)

    check(expected=["Expected one MODEL"])
    check(path, "--data_dir", "shapes", expected=["model.json", "does not exist"])
    write_model_info(path, INFO)
    check(path, expected=["--data_dir"])
    check(path, "--data_dir", tmp_path / "nowhere", expected=["nowhere"])
    check(path, "--unlabeled_dir", tmp_path / "nowhere", expected=["nowhere", "found nothing"])
    check(path, "--data_dir", "shapes", "--engine", "torch", expected=["engine"])
    check(path, "--data_dir", "shapes", "--output_dir", path / "x", expected=["can be written to"])


def test_photos_without_classes_have_the_models_own(tmp_path):
    info = ModelInfo("small", CLASSES, PREPROCESSING, "logits")
    # The color that a photo has most of.
    model = keras.Sequential([keras.Input((*PREPROCESSING.image_size, 3)), keras.layers.GlobalAveragePooling2D()])
    write_photos(tmp_path, 20)
    photos = open_unlabeled(tmp_path, PREPROCESSING.image_size, CLASSES)
    data, test = quantize._splits(model, info, {"unlabeled": photos}, seed=0, verbose=0)
    assert (test, sum(len(data[split]) for split in ("train", "valid"))) == ("unlabeled", 20)
    found = []
    for split in ("train", "valid"):
        images = PREPROCESSING(data[split].images(np.arange(len(data[split]))))
        np.testing.assert_array_equal(data[split].labels, model.predict(images, verbose=0).argmax(1))
        found += data[split].labels.tolist()
    assert len(set(found)) > 1


def test_a_result_of_0_1_0_is_refused_in_one_line(tmp_path):
    # What 0.1.0 wrote: the rows at the top, by titles, and no word of what was kept.
    row = {"title": "int8, .tflite (LiteRT)", "top1": 0.9, "top5": 1.0, "agreement": 0.98}
    old = {"name": "photos", "split": "test", "images": 100, "rows": [row], "options": {"epochs": 2}, "seconds": 61.2}
    write_json(tmp_path / "result.json", old)
    with pytest.raises(InputError, match=r"result\.json") as refused:
        QuantizationResult.read(tmp_path / "result.json")
    assert len(str(refused.value).splitlines()) == 1
