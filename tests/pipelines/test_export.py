import copy
import json

import keras
import numpy as np
import pytest
from PIL import Image
from small_classifier import CLASSES, PREPROCESSING, SIZE, carnet_like, color_source, preactivation, scramble

from keras_lite.cli import export as export_tool
from keras_lite.data import ImageGeometry, ModelInfo, read_model_info, write_model_info
from keras_lite.files import write_json
from keras_lite.inference.samples import read_samples
from keras_lite.runtime import LiteRTModel

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "run" / "model.keras"
    path.parent.mkdir()
    scramble(preactivation(activation=None)).save(path)
    write_model_info(path, ModelInfo("small", CLASSES, PREPROCESSING, "logits"))
    return path


@pytest.fixture
def photos(tmp_path):
    source = color_source(12, seed=0)
    for index, pixels in enumerate(source.images(np.arange(12))):
        file = tmp_path / "photos" / CLASSES[source.labels[index]] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return tmp_path / "photos"


def test_keras_file_with_its_information(run_tool, model_file, photos):
    finished = run_tool(export_tool, model_file, "--data_dir", photos, "--images", 4)

    path = model_file.with_name("model_float32.tflite")
    assert finished.returncode == 0, finished.stderr
    verdict = "on 4 images: with its model: same top-1 class 100.00%"
    assert f"{path}: {path.stat().st_size:,} bytes; {verdict}" in finished.stdout
    assert read_model_info(path) == ModelInfo("small", CLASSES, PREPROCESSING, "logits")
    assert (model_file.with_name("model_float32.labels.txt")).read_text().split() == CLASSES
    # The export's information file is another than the model's.
    assert read_model_info(model_file).name == "small"


def test_run_folder_names_its_data(run_tool, model_file, photos, tmp_path):
    write_json(model_file.with_name("config.json"), {"data_dir": str(photos), "row": "sports100/carnet18/ours"})
    output = tmp_path / "new" / "out.tflite"

    finished = run_tool(export_tool, model_file.parent, "--images", 3, "--output", output)

    assert finished.returncode == 0, finished.stderr
    assert "`sports100/carnet18/ours`" in output.with_suffix(".md").read_text()
    assert LiteRTModel(output).predict(np.zeros((1, SIZE, SIZE, 3), "float32")).shape == (1, 3)


def test_int8_is_quantized_in_the_way_that_keeps_the_outputs_best(model_file, photos, capsys):
    def export(*flags):
        values = copy.deepcopy(export_tool.FLAGS)
        arguments = [model_file, "--data_dir", photos, "--precision", "int8", "--images", 6, "--min_agreement", 0]
        positional = values(["export", *map(str, [*arguments, *flags])])
        export_tool.main(values, positional[1:])
        return capsys.readouterr().out

    printed = export()
    assert "3 images for ranges and biases, 3 others to judge each file by" in printed
    assert "* ranges: " in printed
    metadata = json.loads(model_file.with_name("model_int8.json").read_text())
    assert (metadata["precision"], metadata["quantization"]) == ("int8", "post-training")
    # Agreement is with the float model.
    images = read_samples(photos, PREPROCESSING, 12)[6:]
    classes = keras.models.load_model(model_file).predict(images, verbose=0).argmax(1)
    received = LiteRTModel(model_file.with_name("model_int8.tflite")).predict(images).argmax(1)
    assert metadata["verification"]["agreement"] == (classes == received).mean()

    assert "to judge each" not in export("--stock_converter")


def test_keras_file_without_information_takes_flags(run_tool, tmp_path, photos, assert_one_line_error):
    path = tmp_path / "bare.keras"
    scramble(preactivation()).save(path)

    assert_one_line_error(
        run_tool(export_tool, path, "--data_dir", photos), "bare.json", "--class_names and --image_size"
    )

    names = tmp_path / "names.txt"
    names.write_text("blue\ngreen\nred\n")
    flags = ("--class_names", names, "--image_size", SIZE, "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
    finished = run_tool(export_tool, path, "--data_dir", photos, "--images", 3, *flags)

    info = read_model_info(tmp_path / "bare_float32.tflite")
    assert finished.returncode == 0, finished.stderr
    assert (info.class_names, info.output) == (CLASSES, "probabilities")
    assert info.preprocessing.to_dict() == {"image_size": [32, 32], "mean": [0.5] * 3, "std": [0.25] * 3}

    keras_way = ("--nokeep_aspect", "--interpolation", "bilinear_no_antialias")
    finished = run_tool(export_tool, path, "--data_dir", photos, "--images", 3, *flags, *keras_way)
    assert finished.returncode == 0, finished.stderr
    geometry = ImageGeometry((SIZE, SIZE), keep_aspect=False, interpolation="bilinear_no_antialias")
    assert read_model_info(tmp_path / "bare_float32.tflite").preprocessing.geometry == geometry
    assert "(bilinear without antialiasing: " in (tmp_path / "bare_float32.md").read_text()


def test_wrong_models_end_in_one_line(run_tool, tmp_path, photos, assert_one_line_error):
    def check(path, *expected, flags=()):
        before = sorted(tmp_path.rglob("*"))
        given = ("--class_names", "a,b", "--image_size", "32", *flags)
        assert_one_line_error(run_tool(export_tool, path, "--data_dir", photos, *given), *expected)
        assert sorted(tmp_path.rglob("*")) == before

    def saved(name, model):
        model.save(tmp_path / name)
        return tmp_path / name

    check(tmp_path / "none.keras", "none.keras", "does not exist")
    text = tmp_path / "text.keras"
    text.write_text("a text")
    check(text, "text.keras", "which is none")
    check(photos, "photos", "model.keras")
    check(photos / "blue" / "0.png", "0.png", "Expected a run folder")

    vector = keras.Input((7,))
    check(saved("vector.keras", keras.Model(vector, keras.layers.Dense(2)(vector))), "(32, 32, 3)", "(7,)")
    image = keras.Input((32, 32, 3))
    features = keras.layers.Conv2D(2, 3)(image)
    rows = keras.layers.Reshape((30, 60))(features)
    check(saved("unit.keras", keras.Model(image, keras.layers.LSTM(2, name="unit")(rows))), "unit of type")
    check(saved("three.keras", carnet_like()), "Expected 3 class names", "received 2")
    check(saved("sized.keras", carnet_like()), "(16, 16, 3)", flags=("--image_size", "16"))


def test_model_of_unknown_layers_ends_in_one_line(run_tool, tmp_path, photos, assert_one_line_error):
    class Unheard(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, Unheard()(inputs)).save(tmp_path / "unheard.keras")

    finished = run_tool(
        export_tool, tmp_path / "unheard.keras", "--data_dir", photos, "--class_names=a,b", "--image_size=32"
    )
    assert_one_line_error(finished, "unheard.keras", "can't be loaded")


def test_wrong_flags_end_in_one_line(run_tool, model_file, photos, tmp_path, assert_one_line_error):
    def check(*arguments, expected):
        assert_one_line_error(run_tool(export_tool, *arguments), *expected)

    data = ("--data_dir", photos)
    check(expected=["Expected one MODEL, received 0"])
    check(model_file, expected=["--data_dir", "not a run folder"])
    check(model_file, "--data_dir", tmp_path / "nowhere", expected=["nowhere", "found nothing"])
    check(model_file, "--data_dir", model_file.parent, expected=["Expected photos in", "found"])
    check(model_file, *data, "--output", tmp_path / "model.bin", expected=["--output", ".tflite"])
    check(model_file, *data, "--output", photos / "blue" / "0.png" / "x.tflite", expected=["can be written to"])
    check(model_file, *data, "--precision", "int4", expected=["int4"])
    check(model_file, *data, "--class_names", "a,b", expected=["both --class_names and --image_size"])
    check(model_file, *data, "--class_names", "a,b", "--image_size", "big", expected=["--image_size", "big"])
    check(model_file, *data, "--mean", "0,0,0", expected=["beside --mean"])
    check(model_file, *data, "--interpolation", "box", expected=["beside --interpolation"])
    check(model_file, *data, "--interpolation", "cubic", expected=["--interpolation", "bicubic"])
    (photos / "broken.jpg").write_text("a text")
    for file in photos.rglob("*.png"):
        file.unlink()
    check(model_file, *data, expected=["broken.jpg"])


def test_as_a_script(run_script, quick_environment, assert_one_line_error, tmp_path):
    """A tool of the repository, as a user calls it; all are the same three lines."""
    finished = run_script(
        "tools/export_tflite.py", tmp_path / "none.keras", "--data_dir", tmp_path, env=quick_environment
    )
    assert_one_line_error(finished, "none.keras")
