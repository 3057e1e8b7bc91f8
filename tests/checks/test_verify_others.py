"""Models of other packages: the page, what is kept, and what is left."""

import dataclasses

import keras
import numpy as np
import pytest
from good_figures import GOOD

from checks import verify_others
from checks.other_models import NAMES, OtherModel, other_models

pytestmark = pytest.mark.tensorflow_only
FLOATS = {
    "parameters": 1_000, "macs": 2_000_000, "difference": 3e-6, "keras_difference": 2e-6, "partitions": 1,
    "latency_ms": 2.5, "int8_latency_ms": 1.0,
}  # fmt: skip
RESEMBLING = dataclasses.replace(GOOD, correlation=0.5, fake_correlation=0.5, rounded_correlation=0.6)
RESULT = {"float32": FLOATS, "int8": dataclasses.asdict(RESEMBLING), "refused": None, "seconds": 2.0}


def test_a_small_model_of_another_package_passes(tmp_path):
    def build(shape):
        inputs = keras.Input(shape)
        x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(inputs)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        return keras.Model(inputs, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(x)))

    model = OtherModel("others/small", build=build, takes_pixels=False)
    images = np.random.default_rng(0).normal(size=(24, 32, 32, 3)).astype("float32")
    files = [tmp_path / "float32.tflite", tmp_path / "int8.tflite"]
    result = verify_others.verify(model, images[:16], images[16:], files)
    assert verify_others.shortcomings(result) == [] and result["refused"] is None
    assert result["float32"]["parameters"] == 3 * 3 * 3 * 8 + 2 * 8 + 8 * 5 + 5
    assert result["int8"]["equal"] == 1.0
    assert 0 < result["float32"]["difference"] < 1e-5 and 0 < result["float32"]["keras_difference"] < 1e-5
    assert result["float32"]["latency_ms"] == 0.0 and result["float32"]["partitions"] == 1
    assert min(verify_others.latencies(files).values()) > 0.0
    assert list(verify_others.latencies(files[:1])) == ["latency_ms"]
    # Rounding the weights too costs more, and neither costs much here.
    assert 0.98 < result["int8"]["correlation"] <= result["int8"]["rounded_correlation"] + 0.01


def test_what_falls_short():
    wrong = RESULT | {"int8": dataclasses.asdict(dataclasses.replace(RESEMBLING, equal=0.9))}
    assert verify_others.shortcomings(wrong) == ["10.00% unequal to the quantized model"]
    far = RESULT | {"float32": FLOATS | {"difference": 2e-3, "keras_difference": 8e-4}}
    assert verify_others.shortcomings(far) == ["float32 file off by 2.0e-03 > 1.6e-03"]
    near = RESULT | {"float32": FLOATS | {"difference": 1.5e-3, "keras_difference": 8e-4}}
    assert verify_others.shortcomings(near) == []


def test_finished_models_are_kept_and_the_page_names_what_is_left(
    run_tool, tmp_path, monkeypatch, assert_one_line_error
):
    calls, timed = [], []

    def verify(model, images, others, files):
        calls.append((model.name, images.shape, others.shape, float(images.max() - images.min())))
        refused = {"int8": None, "refused": "Expected layers that an int8 file can hold."}
        floats = FLOATS | {"latency_ms": 0.0, "int8_latency_ms": 0.0}
        return RESULT | {"float32": floats} | (refused if model.name.endswith("ConvNeXtTiny") else {})

    def latencies(files):
        timed.append([file.name for file in files])
        return {"latency_ms": 2.5, "int8_latency_ms": 1.0} if len(files) == 2 else {"latency_ms": 2.5}

    monkeypatch.setattr(verify_others, "verify", verify)
    monkeypatch.setattr(verify_others, "latencies", latencies)
    find = verify_others.importlib.util.find_spec
    monkeypatch.setattr(
        verify_others.importlib.util, "find_spec", lambda name: None if name.startswith("keras_") else find(name)
    )
    names = [f"keras.applications/{name}" for name in ("ConvNeXtTiny", "MobileNet")] + ["keras_cv"]
    page = tmp_path / "page.md"
    arguments = (*names, "--image_size", 80, "--images", 4, "--cache_dir", tmp_path / "cache", "--page", page)
    assert run_tool(verify_others, *arguments, "--skip_latency").returncode == 0
    assert "| 1,000 | 2 M | 3e-06 | 2e-06 | equal | 1 / 1 | none | - | - | - | 0.500 | 0.600 |" in page.read_text()
    assert timed == []
    for _ in range(2):  # the latency is measured once, without another conversion
        finished = run_tool(verify_others, *arguments)
        assert finished.returncode == 0, finished.stderr
        assert "2 of 2 models pass; 2 left" in finished.stdout
    assert [(name, shape, others) for name, shape, others, _ in calls] == [
        ("keras.applications/MobileNet", (4, 80, 80, 3), (2, 80, 80, 3)),
        ("keras.applications/ConvNeXtTiny", (4, 80, 80, 3), (2, 80, 80, 3)),
    ]
    name = "keras.applications-MobileNet"
    assert timed == [
        [f"{name}-float32.tflite", f"{name}-int8.tflite"],
        ["keras.applications-ConvNeXtTiny-float32.tflite"],
    ]
    assert calls[1][3] > 200 > 10 > calls[0][3]  # pixels, and normalized ones
    text = page.read_text()
    assert "| 1,000 | 2 M | 3e-06 | 2e-06 | equal | 1 / 1 | none | 2.50 | 1.00 | 0.40 | 0.500 | 0.600 |" in text
    assert "- keras.applications/ConvNeXtTiny: Expected layers that an int8 file can hold." in text
    assert "- keras_cv/ResNetV2Backbone: keras_cv is not installed" in text
    assert_one_line_error(run_tool(verify_others, "keras.applications/VGG20"), "keras.applications/VGG20", "VGG16")


def test_models_of_each_package_are_known():
    names = list(other_models())
    assert names[: len(NAMES)] == [f"keras.applications/{name}" for name in NAMES]
    counts = {package: sum(name.startswith(f"{package}/") for name in names) for package in ("keras_hub", "keras_cv")}
    assert counts["keras_hub"] >= 5 and counts["keras_cv"] >= 2
    assert all(hasattr(keras.applications, name.split("/")[1]) for name in names if name.startswith("keras.app"))
