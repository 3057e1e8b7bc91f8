"""Writing a model as a TFLite file that is proven to answer like it."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_lite.data.answers import answer_kind
from keras_lite.data.model_info import ModelInfo, write_model_info
from keras_lite.errors import InputError, import_extra
from keras_lite.export.conversion import PRECISIONS, convert
from keras_lite.export.inspection import Inspection, inspect
from keras_lite.export.integer_model import IntegerModel
from keras_lite.export.model_card import labels_path, write_model_card
from keras_lite.export.runner import run_in_subprocess
from keras_lite.export.verification import THRESHOLDS, Thresholds, Verification, VerificationError, compare
from keras_lite.files import atomic_path, write_json, write_text
from keras_lite.graph import in_float32
from keras_lite.profiling import profile
from keras_lite.quantization.calibration import check_images
from keras_lite.quantization.quantize_aware import is_finetuned, is_quantized
from keras_lite.quantization.to_tf_keras import to_tf_keras

_CALIBRATED = ("int16", "int8")
_PACKAGES = ("keras-lite", "keras", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert")


def to_tflite(
    model: Any,
    path: str | os.PathLike,
    precision: Literal["float32", "float16", "dynamic", "int16", "int8"] = "float32",
    calibration: np.ndarray | None = None,
    samples: np.ndarray | None = None,
    info: ModelInfo | None = None,
    thresholds: Thresholds | None = None,
    reference: keras.Model | None = None,
) -> Verification:
    """Write a model as a TFLite file, once the file has been shown to answer like the model.

    The converted model is run in LiteRT with XNNPACK, in another process, on `samples`, and its answers are compared
    with those of the model: a quantisation-aware one is computed in whole numbers, rounded as XNNPACK does (see
    `keras_lite.export.IntegerModel`). Only then is the file given its name; if it falls short, nothing is left behind.
    Beside `x.tflite` are written `x.json` (class names, preprocessing, input and output with
    scale and zero point, the figures of the comparison, operators, versions, SHA-256), `x.labels.txt` (one class name a
    line) and `x.md`, the same as a card to read.

    Args:
        model: A functional or Sequential Keras 3 model of any backend, or a quantisation-aware model from
            `keras_lite.quantization.quantize_aware`. One of mixed precision is taken as float32.
        path: The file to write, `*.tflite`. Its batch is 1.
        precision: `"float32"`; `"float16"`: weights of 16 bits; `"dynamic"`: weights of 8 bits, computed with floats;
            `"int16"`: weights of 8 bits, activations of 16, on LiteRT's reference kernels only, which are slow;
            `"int8"`: 8 bits throughout, input and output included; of a plain model as the stock converter does it,
            which `keras_lite.quantization.post_training` does better. A quantised model can only be `"int8"`.
        calibration: Real images, preprocessed, float32, of shape `(count, height, width, 3)`. They set the activation
            ranges of an `"int8"` or `"int16"` file of a plain model (a hundred are enough).
        samples: Real images, preprocessed, to compare the answers on. Defaults to `calibration`.
        info: Class names and preprocessing. Without it there is no labels file and the metadata lack both.
        thresholds: What the file must reach. Defaults to `keras_lite.export.THRESHOLDS` of the precision.
        reference: The float model behind a quantised one: the agreement is counted with its top-1 classes then, the
            other figures with the answers of `model`.

    Returns:
        The figures of the comparison.

    Raises:
        InputError: If an argument is wrong or the model can't be converted.
        VerificationError: If the file falls short of a threshold, can't be run, or holds scales that XNNPACK can't
            run; the message gives the figures or names the tensors.
        MissingExtraError: If the quantization extra is not installed.

    Example:

    ```python
    images = preprocessing(source.images(range(100)))
    to_tflite(model, "model.tflite", precision="int8", calibration=images, info=info)
    ```
    """
    path = Path(path)
    quantized = is_quantized(model)
    _check_arguments(path, precision, quantized, calibration, samples)
    import_extra("ai_edge_litert.interpreter", "quantization")
    check_writable(path.parent)
    model = model if quantized else in_float32(model)
    twin = model if quantized else to_tf_keras(model)
    samples = check_images(twin, calibration if samples is None else samples)
    if calibration is not None:
        calibration = check_images(twin, calibration)
    check_classes(twin, info)
    content = convert(twin, precision, None if quantized or precision not in _CALIBRATED else calibration)
    if thresholds is None:
        thresholds = THRESHOLDS["int8 quantisation-aware" if quantized else precision]
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        answering = IntegerModel(model, temporary).predict if quantized else functools.partial(model.predict, verbose=0)
        expected = np.asarray(answering(samples))
        classes = (expected if reference is None else np.asarray(reference.predict(samples, verbose=0))).argmax(1)
        inspection, verification = _verify(temporary, path.name, samples, expected, classes, thresholds)
    made = "quantisation-aware" if is_finetuned(model) else "post-training"
    _write_beside(path, info, inspection, {
        "precision": precision,
        "quantization": made if precision in _CALIBRATED else None,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "verification": verification.to_dict(),
    })  # fmt: skip
    # A quantisation-aware model has other layers; whoever made it knows the counts of the model behind it.
    size = None if quantized else profile(model)
    write_model_card(path, **({} if size is None else {"parameters": size.parameters, "macs": size.macs}))
    return verification


def check_writable(folder: Path) -> None:
    """Make a folder, and check that files can be written to it.

    Raises:
        InputError: If not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"Expected a folder that can be written to, received {folder}: {error.strerror}.") from error


def _check_arguments(
    path: Path, precision: str, quantized: bool, calibration: np.ndarray | None, samples: np.ndarray | None
) -> None:
    if path.suffix != ".tflite":
        raise InputError(f"Expected a path that ends in .tflite, received {path}.")
    if precision not in PRECISIONS:
        raise InputError(f"Expected precision to be one of {PRECISIONS}, received {precision!r}.")
    if quantized and precision != "int8":
        raise InputError(f'Expected precision "int8" for a quantisation-aware model, received {precision!r}.')
    if calibration is None and samples is None:
        raise InputError("Expected real images as calibration or samples to verify the file with, received none.")
    if precision in _CALIBRATED and not quantized and calibration is None:
        raise InputError(
            f"Expected calibration images for the {precision} file of a model that is not quantisation-aware."
        )


def check_classes(model: Any, info: ModelInfo | None) -> None:
    """Check that a Keras or tf_keras model answers a row of numbers, and that the names in `info` fit them.

    Raises:
        InputError: If not.
    """
    shape = tuple(model.outputs[0].shape)
    if len(shape) != 2:
        raise InputError(f"Expected a model with answers of shape (batch, numbers), received {shape}.")
    if info is not None:
        answer_kind(info, shape[1])


def _verify(
    file: Path, name: str, samples: np.ndarray, expected: np.ndarray, classes: np.ndarray, thresholds: Thresholds
) -> tuple[Inspection, Verification]:
    # Without XNNPACK first: it may abort the process on a scale near zero, and then name no tensor.
    scales = inspect(file, delegates=False).bad_scales
    if scales:
        shown = "; ".join(scales[:5]) + (f"; and {len(scales) - 5} more" if len(scales) > 5 else "")
        raise VerificationError(f"{name} was not written: XNNPACK can't run the scales of {shown}.")
    inspection = inspect(file)
    received = run_in_subprocess(file, samples)
    verification = dataclasses.replace(
        compare(expected, received), agreement=float((received.argmax(1) == classes).mean())
    )
    missed = verification.shortcomings(thresholds)
    if missed:
        raise VerificationError(
            f"{name} was not written: on {verification.images} images it differs from its model: {', '.join(missed)} "
            f"(mean difference {verification.mean_difference:.2g}, largest answer {verification.largest_answer:.2g})."
        )
    return inspection, verification


def _write_beside(path: Path, info: ModelInfo | None, inspection: Inspection, entries: dict[str, Any]) -> None:
    entries |= {
        "input_tensor": inspection.input,
        "output_tensor": inspection.output,
        "operators": inspection.operator_counts(),
        "partitions": inspection.partitions,
        "not_delegated": inspection.not_delegated,
        "versions": _versions(),
    }
    if info is None:
        write_json(path.with_suffix(".json"), {"name": path.stem, **entries})
        return
    write_text(labels_path(path), "".join(f"{name}\n" for name in info.class_names))
    write_model_info(path, info, **entries)


def _versions() -> dict[str, str]:
    versions = {"backend": keras.backend.backend()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
