"""Every way to an int8 file leads to one that meets the same standard."""

import json

import numpy as np
import pytest
from PIL import Image
from small_classifier import CLASSES, PREPROCESSING, SIZE, color_source, tiny, train

from keras_lite.cli import export as export_tool
from keras_lite.cli import finetune, quantize
from keras_lite.data import ModelInfo, open_data, read_model_info, write_model_info
from keras_lite.export import model_card_path, to_tflite
from keras_lite.pipelines.compare import CompareOptions, compare_precisions
from keras_lite.quantization import post_training
from keras_lite.runtime import benchmark, inspect

pytestmark = pytest.mark.tensorflow_only
INFO = ModelInfo("tiny", CLASSES, PREPROCESSING, "probabilities")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    source = color_source(66, seed=1)
    for number, pixels in enumerate(source.images(np.arange(66))):
        file = root / CLASSES[source.labels[number]] / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file)
    return root


@pytest.fixture(scope="module")
def model():
    return train(tiny(), epochs=3)


@pytest.fixture
def way(request, model, photos, tmp_path, run_tool, monkeypatch):
    """Make an int8 file in one way, and return its path."""
    monkeypatch.setattr(benchmark, "_ROUNDS", 1)  # each file in each round is a process
    images = PREPROCESSING(color_source(24, seed=1).images(np.arange(24)))
    path = tmp_path / "model.tflite"

    def plain():
        to_tflite(model, path, "int8", calibration=images, info=INFO)
        return path

    def post_trained():
        quantized, _ = post_training(model, images, preprocessing=PREPROCESSING)
        to_tflite(quantized, path, "int8", samples=images, info=INFO, reference=model)
        return path

    def command(tool, *flags):
        model.save(tmp_path / "tiny.keras")
        write_model_info(tmp_path / "tiny.keras", INFO)
        finished = run_tool(tool, tmp_path / "tiny.keras", "--data_dir", photos, *flags)
        assert finished.returncode == 0, finished.stderr

    def quantize_command():
        command(quantize, "--epochs", 0, "--calibration_images", 24)
        return tmp_path / "quantized" / "tiny_int8.tflite"

    def export_command():
        command(export_tool, "--precision", "int8", "--images", 12)
        return tmp_path / "tiny_int8.tflite"

    def finetune_command():
        network = ("--model", "cifar_resnet", "--options", "depth=8,stem=plain", "--weights", "none")
        short = ("--epochs", 1, "--image_size", SIZE, "--quantize", "--quantize_epochs", 0)
        finished = run_tool(finetune, "--data_dir", photos, *network, *short, "--output_dir", tmp_path / "run")
        assert finished.returncode == 0, finished.stderr
        return tmp_path / "run" / "quantized" / "cifar_resnet_int8.tflite"

    def comparison():
        data = open_data(photos, PREPROCESSING.geometry)
        compare_precisions(
            model, INFO, data, tmp_path, options=CompareOptions(("int8",), threads=(1,), calibration_images=24)
        )
        return tmp_path / "tiny_int8.tflite"

    return locals()[request.param]()


@pytest.mark.parametrize(
    "way",
    ["plain", "post_trained", "quantize_command", "export_command", "finetune_command", "comparison"],
    indirect=True,
)
def test_the_file_meets_the_one_standard(way):
    found = inspect(way)
    assert (found.inputs[0]["dtype"], found.outputs[0]["dtype"], found.int8_only) == ("int8", "int8", True)
    assert (found.partitions, found.not_delegated) == (1, [])

    entries = json.loads(way.with_suffix(".json").read_text())
    verdict = entries["verification"]
    assert verdict["exactness"] == {"equal": 1.0, "steps": 0, "inexact": [], "parts": None, "elsewhere": {"arm64": 0}}
    assert verdict["float_closeness"]["divergence"] > 0
    assert (entries["precision"], entries["output"]) == ("int8", "logits")  # the softmax is left out
    assert entries["quantization"] in ("post-training", "quantization-aware")
    assert way.with_suffix(".labels.txt").read_text().splitlines() == entries["class_names"] == CLASSES

    # All that pixels can become fits in: by NumPy, from what the file says of its preprocessing.
    preprocessing = read_model_info(way).preprocessing
    assert preprocessing.image_size == (SIZE, SIZE)
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    tensor = entries["input_tensor"]
    ends = [(level - tensor["zero_point"]) * tensor["scale"] for level in (-128, 127)]
    limits = ((0 - mean) / std).min(), ((1 - mean) / std).max()
    np.testing.assert_allclose(ends, limits, atol=0.501 * tensor["scale"])

    card = model_card_path(way).read_text()
    assert "All outputs are equal to the quantized model's, computed in whole numbers." in card
    assert f"Compared with the float model: divergence {verdict['float_closeness']['divergence']:.5f}" in card
    assert f"same top-1 class {verdict['agreement']:.2%}." in card
