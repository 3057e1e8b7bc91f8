import hashlib
import json
import sys

import keras
import numpy as np
import pytest
from small_classifier import CLASSES, PREPROCESSING, carnet_like, color_images, preactivation, scramble, train

import keras_lite.export.tflite
from keras_lite.data import ModelInfo, read_model_info
from keras_lite.errors import InputError, MissingExtraError
from keras_lite.export import Thresholds, VerificationError, compare, to_tflite
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.runtime import LiteRTError, LiteRTModel, inspect, litert_worker, run_in_subprocess

INFO = ModelInfo("small", CLASSES, PREPROCESSING, "logits")
once = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def images():
    return color_images(120, seed=2)[0]


@pytest.fixture(scope="module")
def trained():
    return train(carnet_like(gate="hard_sigmoid"))


@pytest.fixture(scope="module")
def quantized(trained):
    model = quantize_aware(trained, engine="tf_mot")
    calibrate(model, color_images(120, seed=1)[0])
    return model


def reference_kernels(path, images):
    """Outputs as LiteRT's reference kernels compute them: no XNNPACK, no optimized code."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for image in images:
        scale, zero_point = source["quantization"]
        interpreter.set_tensor(
            source["index"], np.clip(np.rint(image[None] / scale) + zero_point, -128, 127).astype("int8")
        )
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(outputs).astype(int)


def test_float32_file_of_any_backend_outputs_like_its_model(tmp_path):
    model = scramble(preactivation())
    images, _ = color_images(8, seed=0)
    path = tmp_path / "model.tflite"

    figures = to_tflite(model, path, samples=images)

    expected = model.predict(images, verbose=0)
    received = LiteRTModel(path).predict(images)
    np.testing.assert_allclose(received, expected, atol=1e-5)
    assert figures.largest_difference == pytest.approx(np.abs(received - expected).max(), abs=1e-6)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "model.md", "model.tflite"]


@once
def test_quantization_aware_file_is_int8_throughout(quantized, images, tmp_path):
    path = tmp_path / "model.tflite"
    figures = to_tflite(quantized, path, "int8", samples=images, info=INFO)

    found = inspect(path)
    assert found.int8_only
    assert found.partitions == 1
    assert found.not_delegated == []
    # Batch norm and ReLU are inside the convolutions: what is left is what CARNet is made of.
    assert {operator["name"] for operator in found.operators} <= {
        "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "LOGISTIC", "MUL", "FULLY_CONNECTED",
    }  # fmt: skip

    expected = quantized.predict(images, verbose=0)
    received = LiteRTModel(path).predict(images)
    assert (expected.argmax(1) == received.argmax(1)).mean() >= 0.97
    assert (figures.exactness.equal, figures.exactness.steps, figures.exactness.inexact) == (1.0, 0, [])
    assert figures.agreement == 1.0
    # XNNPACK against the reference kernels, in steps of the output.
    scale, zero_point = found.outputs[0]["scale"], found.outputs[0]["zero_point"]
    steps = np.rint(received / scale).astype(int) + zero_point
    assert np.abs(steps - reference_kernels(path, images)).max() <= 1


@once
def test_metadata_say_what_an_app_must_know(quantized, images, tmp_path):
    path = tmp_path / "model.tflite"
    to_tflite(quantized, path, "int8", samples=images, info=INFO)

    metadata = json.loads((tmp_path / "model.json").read_text())
    assert read_model_info(path) == INFO
    assert (tmp_path / "model.labels.txt").read_text() == "blue\ngreen\nred\n"
    assert metadata["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert metadata["bytes"] == path.stat().st_size
    assert (metadata["precision"], metadata["quantization"]) == ("int8", "post-training")
    assert metadata["versions"]["tensorflow"].startswith("2.")
    assert metadata["verification"]["images"] == len(images)
    # An app that turns pixels to int8 by these two numbers must meet all that pixels can be, in photos or not.
    entry = metadata["input_tensor"]
    assert (entry["dtype"], entry["shape"]) == ("int8", [1, 32, 32, 3])
    lowest = (-128 - entry["zero_point"]) * entry["scale"]
    highest = (127 - entry["zero_point"]) * entry["scale"]
    mean, std = np.array(PREPROCESSING.mean), np.array(PREPROCESSING.std)
    assert lowest == pytest.approx(((0 - mean) / std).min(), abs=0.51 * entry["scale"])
    assert highest == pytest.approx(((1 - mean) / std).max(), abs=0.51 * entry["scale"])
    assert highest > images.max() + entry["scale"]  # the brightest image is darker


@once
@pytest.mark.parametrize("precision", ["float16", "dynamic", "int8"])
def test_smaller_precisions_without_training(trained, images, tmp_path, precision):
    path = tmp_path / "model.tflite"
    figures = to_tflite(trained, path, precision, calibration=color_images(60, seed=1)[0], samples=images)

    assert figures.agreement >= 0.95
    assert figures.images == len(images)
    assert inspect(path).int8_only == (precision == "int8")
    assert figures.largest_difference < (0.2 if precision == "int8" else 0.01) * figures.largest_output


@once
def test_file_of_other_weights_is_refused(trained, images, tmp_path, monkeypatch):
    lower = keras_lite.export.tflite.lower

    def lower_another(model):
        another = keras_lite.graph.flatten(model)
        another.set_weights([value[..., ::-1] for value in another.get_weights()])
        return lower(another)

    monkeypatch.setattr(keras_lite.export.tflite, "lower", lower_another)
    with pytest.raises(VerificationError, match=r"model\.tflite was not written.*same top-1 class\) \d.*% < 99\.0%"):
        to_tflite(trained, tmp_path / "model.tflite", samples=images, info=INFO)
    assert list(tmp_path.iterdir()) == []


@once
def test_open_batch(trained, images, tmp_path):
    path = tmp_path / "model.tflite"
    to_tflite(trained, path, samples=images[:8], info=INFO, open_batch=True)
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    assert list(source["shape_signature"]) == [-1, 32, 32, 3]
    interpreter.resize_tensor_input(source["index"], (5, 32, 32, 3))
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], images[:5])
    interpreter.invoke()
    expected = keras.ops.convert_to_numpy(trained(images[:5], training=False))
    np.testing.assert_allclose(interpreter.get_tensor(target["index"]), expected, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match="open_batch=True with floats"):
        to_tflite(trained, path, "int8", calibration=images, open_batch=True)


@once
def test_tensorflows_converter_by_name(trained, images, tmp_path):
    for name, stock in (("stock", True), ("own", False)):
        to_tflite(trained, tmp_path / f"{name}.tflite", samples=images[:8], info=INFO, stock=stock)
    described = {name: (tmp_path / f"{name}.tflite").read_bytes() for name in ("stock", "own")}
    assert b"MLIR Converted." in described["stock"] and b"MLIR Converted." not in described["own"]


@once
def test_threshold_is_an_argument(trained, images, tmp_path):
    path = tmp_path / "model.tflite"
    with pytest.raises(VerificationError, match="largest difference"):
        to_tflite(trained, path, "float16", samples=images, thresholds=Thresholds(0.9, 0.9, difference=1e-9))
    assert list(tmp_path.iterdir()) == []


@once
def test_scale_of_a_dead_layer_is_named(images, tmp_path):
    model = scramble(carnet_like())
    dead = model.get_layer("depthwise")
    dead.set_weights([np.zeros(value.shape) for value in dead.get_weights()])
    norm = next(
        layer for layer in model.layers if type(layer).__name__ == "BatchNormalization" and layer.input is dead.output
    )
    norm.set_weights([value * 0 + (index == 3) for index, value in enumerate(norm.get_weights())])

    with pytest.raises(
        VerificationError, match=r"XNNPACK can't run the scales of carnet_like/.*scale \d\.\de-\d+, below"
    ):
        to_tflite(model, tmp_path / "model.tflite", "int8", calibration=images[:20], stock=True)
    assert list(tmp_path.iterdir()) == []


@once
def test_process_that_dies_is_one_line(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\0\0\0\0TFL3" + b"\0" * 64)
    with pytest.raises(LiteRTError, match=r"LiteRT can't run model\.tflite: .+") as refused:
        inspect(path)
    assert "\n" not in str(refused.value)

    worker = tmp_path / "worker.py"
    worker.write_text("import os, sys; print('out of luck', file=sys.stderr, flush=True); os.abort()")
    monkeypatch.setattr(litert_worker, "__file__", str(worker))
    with pytest.raises(LiteRTError, match=r"died of SIGABRT \(out of luck\)"):
        run_in_subprocess(path, np.zeros((1, 32, 32, 3)))


@once
def test_bad_arguments_are_refused_at_the_door(images, tmp_path):
    model = carnet_like()
    path = tmp_path / "model.tflite"
    too_few = ModelInfo("small", CLASSES[:2], PREPROCESSING, "logits")
    for expected, arguments in {
        "received none": {},
        "Expected precision to be one of": {"precision": "int4", "samples": images},
        "Expected calibration images": {"precision": "int8", "samples": images},
        "received 2": {"samples": images, "info": too_few},
        r"\(count, 32, 32, 3\), received float32 of shape \(120, 16, 32, 3\)": {"samples": images[:, :16]},
    }.items():
        with pytest.raises(InputError, match=expected):
            to_tflite(model, path, **arguments)
    with pytest.raises(InputError, match=r"ends in \.tflite"):
        to_tflite(model, tmp_path / "model.tfl", samples=images)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can be written to"):
        to_tflite(model, tmp_path / "file" / "model.tflite", samples=images)


@once
def test_quantization_aware_model_is_int8_only_by_name_too(quantized, images, tmp_path):
    with pytest.raises(InputError, match='Expected precision "int8" for a quantized model'):
        to_tflite(quantized, tmp_path / "model.tflite", "float32", samples=images)
    with pytest.raises(InputError, match="stock=True"):
        to_tflite(quantized, tmp_path / "model.tflite", "int8", samples=images, stock=True)


@once
@pytest.mark.parametrize(
    ("precision", "package", "extra"),
    [
        ("float32", "ai_edge_litert", "litert"),
        ("int8", "ai_edge_litert", "litert"),
        ("int16", "tensorflow_model_optimization", "quantization"),
    ],
)
def test_missing_extra_is_named(images, tmp_path, monkeypatch, precision, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    with pytest.raises(MissingExtraError, match=rf'{package}\. Install it with: pip install "keras-lite\[{extra}\]"'):
        to_tflite(carnet_like(), tmp_path / "model.tflite", precision, calibration=images)


@once
def test_comparison():
    expected = np.array([[0.0, 1.0], [3.0, 2.0], [-4.0, 1.0], [2.0, 0.0]])
    figures = compare(expected, expected + np.array([[0.0, 0.5], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]]))
    assert figures.agreement == 0.75
    assert figures.largest_difference == 2.0
    assert figures.mean_difference == pytest.approx(2.5 / 8)
    assert figures.largest_output == 4.0
    # A file that outputs a constant may agree on many images, but has nothing to do with the model.
    constant = compare(np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([[0.0, 1.5], [0.0, 1.5]]))
    assert (constant.agreement, constant.correlation) == (1.0, 0.0)
    assert constant.shortcomings(Thresholds(0.9, 0.9)) == ["correlation 0.000 < 0.9"]
    # An untrained network's outputs may be constant but for rounding.
    rounded = compare(np.array([[0.1, 0.1 + 1e-9], [0.1, 0.1]]), np.array([[0.1 + 1e-9, 0.1], [0.1, 0.1]]))
    assert rounded.agreement == 0.5
    assert rounded.shortcomings(Thresholds(0.9, 0.9, 1e-3)) == []
    with pytest.raises(VerificationError, match="inf or nan from the TFLite file"):
        compare(expected, expected * np.nan)


@once
def test_mixed_precision_is_exported_as_float32(images, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = scramble(carnet_like())
    finally:
        keras.config.set_dtype_policy("float32")
    assert to_tflite(model, tmp_path / "model.tflite", samples=images[:16]).largest_difference < 1e-4
    # Numbers that vary by less than a step of their file: what correlation is left is chance, and may be negative.
    chance = compare(np.array([[0.50], [0.51]]), np.array([[0.53], [0.50]]), "regression")
    assert chance.agreement == pytest.approx(-1.0)
    assert chance.shortcomings(Thresholds()) == []
