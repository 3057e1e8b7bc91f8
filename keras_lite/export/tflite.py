"""Writing a model as a TFLite file whose outputs are verified against the model's."""

import hashlib
import importlib.metadata
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_lite.data.model_info import ModelInfo, write_model_info
from keras_lite.data.outputs import task_of
from keras_lite.errors import InputError, import_extra, warn
from keras_lite.export.conversion import PRECISIONS, convert
from keras_lite.export.model_card import labels_path, write_model_card
from keras_lite.export.verification import (
    THRESHOLDS,
    Thresholds,
    Verification,
    verify,
)
from keras_lite.files import atomic_path, write_json, write_text
from keras_lite.graph import (
    as_functional,
    check_output,
    count,
    in_float32,
)
from keras_lite.litert import Graph, QuantizedGraph, model_metadata, takes_pixels, with_ends, write
from keras_lite.quantization import CalibratedGraph, is_quantized, post_training, to_tf_keras
from keras_lite.quantization.aware.quantize_aware import is_finetuned
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.quantization.aware.tf_mot.input_range import know_input_range
from keras_lite.quantization.images import check_images
from keras_lite.quantization.input_range import with_known_input
from keras_lite.quantization.lower import lower
from keras_lite.runtime.inspection import Inspection

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
    stock: bool = False,
    open_batch: bool = False,
    ends: Literal["int8", "uint8", "float32"] = "int8",
    verbose: int = 0,
) -> Verification:
    """Write a model as a TFLite file, once its outputs are verified against the model's.

    The file is written from the model's operators, on any backend, without TensorFlow; int16 files come out of
    TensorFlow's converter.

    The converted model is run in LiteRT with XNNPACK, in another process, on `samples`, and its outputs are compared
    with those of the model. An int8 file must be equal to its quantized model to the bit, computed in whole numbers as
    XNNPACK computes (see `keras_lite.litert.IntegerModel`); where the processor is none of x86, within a step of the
    output. How far it is from the float model is part of the verdict. Only then is the file given its name; if it falls
    short, nothing is left behind. Beside `x.tflite` are written `x.json` (class names, preprocessing, input and output
    with scale and zero point, the figures of the comparison, operators, versions, SHA-256), `x.labels.txt` (one class
    name a line) and `x.md`, the same as a card to read.

    Args:
        model: A functional or Sequential Keras 3 model of any backend, what `keras_lite.quantization.post_training` or
            `quantize_aware` returned, or a `keras_lite.litert.QuantizedGraph`. One of mixed precision is taken as
            float32.
        path: The file to write, `*.tflite`. Its batch is 1, see `open_batch`.
        precision: `"float32"`; `"float16"`: weights of 16 bits; `"dynamic"`: weights of 8 bits, computed with floats;
            `"int16"`: weights of 8 bits, activations of 16, on LiteRT's reference kernels only, which are slow;
            `"int8"`: 8 bits throughout. A plain model is quantized first, a softmax at its end left out, by
            `keras_lite.quantization.post_training`, which tries several ways. A quantized model can only be `"int8"`.
        calibration: Real images, preprocessed, float32, of shape `(count, height, width, 3)`. They quantize a plain
            model for `"int8"` and `"int16"` (512 are enough).
        samples: Real images, preprocessed, to compare the outputs on. Defaults to `calibration`.
        info: Class names and preprocessing, and what `model` outputs. The range of an int8 file's input is then what
            pixels from 0 to 255 can become; without it there is no labels file and the metadata lack all three.
        thresholds: What the file must reach. Defaults to `keras_lite.export.THRESHOLDS` of the precision.
        reference: The float model behind a quantized one, for the verdict.
        stock: Whether TensorFlow's own converter makes the file of a plain model, for comparison; it makes int16 files
            in any case. The ranges of its int8 files are partly wrong (a tensor's and those of what is computed in its
            memory are mixed), and activations that XNNPACK lacks in int8 split them.
        open_batch: Whether a file of floats may be given another batch by LiteRT's `resize_tensor_input`. At a batch
            of 1 it is as fast as another file, and its outputs are the same.
        ends: The type of an int8 file's input and output. MediaPipe and browsers take no `"int8"`. MediaPipe gives a
            `"uint8"` input the pixels as they are; where that is not what `info` says, there is an `InputWarning`.
        verbose: 1 prints what post-training quantization chose, and the verdict of a quantized model's file.

    Returns:
        The figures of the comparison.

    Raises:
        InputError: If an argument is wrong or the model can't be converted.
        VerificationError: If the file falls short of a threshold, can't be run, or holds scales that XNNPACK can't
            run; the message gives the figures or names the tensors, and of an int8 file that is not equal to its
            quantized model the first operator that departs, see `keras_lite.export.first_departure`.
        MissingExtraError: If the extra `litert`, or for int16 and `stock` the extra `quantization`, is not installed.

    Example:

    ```python
    images = preprocessing(source.images(range(512)))
    to_tflite(model, "model.tflite", precision="int8", calibration=images, info=info)
    ```
    """
    path = Path(path)
    quantized = is_quantized(model) or isinstance(model, QuantizedGraph | CalibratedGraph)
    _check_arguments(path, precision, quantized, calibration=calibration, samples=samples, stock=stock)
    if open_batch and (stock or precision in _CALIBRATED):
        raise InputError(f"Expected open_batch=True with floats, not stock, received {precision}, stock={stock}.")
    check_ends(ends, precision, stock)
    check_installed(precision, stock)
    check_writable(path.parent)
    check_classes(model, info)
    if not quantized:
        model = in_float32(model)
        if precision == "int8" and not stock:
            quantized, reference = True, model
            known = {} if info is None else {"preprocessing": info.preprocessing, "output": info.output}
            model, _ = post_training(reference, calibration, **known, verbose=verbose)
    samples = check_images(model, calibration if samples is None else samples)
    if quantized and info is not None:
        info = info.quantized()
        if is_quantized(model):
            know_input_range(model, samples, info.preprocessing, verbose)
        elif isinstance(model, CalibratedGraph):
            model = with_known_input(model, samples, info.preprocessing, verbose)
    if calibration is not None:
        calibration = check_images(model, calibration)
    graph = None
    if quantized:
        graph = model if isinstance(model, QuantizedGraph) else int8_graph(model)
        shipped = with_ends(graph, ends)
        if ends == "uint8" and info is not None and not takes_pixels(shipped.inputs[0], info.preprocessing):
            warn(
                f"The uint8 input of {path.name} does not take pixels as they are: what gives it those, as MediaPipe "
                "does, gets wrong outputs; scale inside the model, or read the scale and zero point."
            )
        content = _written(shipped, "float32", info, 1)
    elif stock or precision == "int16":
        content = convert(to_tf_keras(model), precision, calibration if precision in _CALIBRATED else None)
    else:
        content = _written(lower(model), precision, info, None if open_batch else 1)
    if thresholds is None:
        thresholds = THRESHOLDS["stock int8" if stock and precision == "int8" else precision]
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        inspection, verification = verify(
            temporary,
            path.name,
            graph or model,
            ends=ends,
            reference=reference,
            samples=samples,
            info=info,
            thresholds=thresholds,
        )
    made = "quantization-aware" if is_finetuned(model) else "stock post-training" if stock else "post-training"
    if isinstance(model, QuantizedGraph):
        made = "int8 graph"  # with ranges that were given
    _write_beside(path, info, inspection, {
        "precision": precision,
        "quantization": made if precision in _CALIBRATED else None,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "verification": verification.to_dict(),
    })  # fmt: skip
    # Whoever quantized a model knows the counts of the model behind it.
    counted = reference if quantized else model
    size = None if counted is None else count(counted)
    write_model_card(path, **({} if size is None else {"parameters": size.parameters, "macs": size.macs}))
    if quantized and verbose:
        print(f"{path.name}: {verification}", flush=True)
    return verification


def check_installed(precision: str, stock: bool = False) -> None:
    """Check that what a file of a precision is written and run with is installed.

    Args:
        precision: Out of `PRECISIONS`.
        stock: Whether TensorFlow's own converter makes it.

    Raises:
        MissingExtraError: If not; the message names the extra.
    """
    if stock or precision == "int16":
        check_tf_mot()
    import_extra("ai_edge_litert.interpreter", "litert")


def check_ends(ends: str, precision: str, stock: bool = False) -> None:
    """Check that a file of a precision can be given input and output of a type.

    Args:
        ends: The type.
        precision: Out of `PRECISIONS`.
        stock: Whether TensorFlow's own converter makes the file.

    Raises:
        InputError: If not.
    """
    if ends != "int8" and (stock or precision != "int8"):
        raise InputError(f"Expected ends={ends!r} with an int8 file, not stock, received {precision}, stock={stock}.")


def check_tf_mot() -> None:
    """Check that TF-MOT is installed, which fine-tuning needs, and TensorFlow's converter with it.

    Raises:
        MissingExtraError: If not; the message names the extra.
    """
    for module in ("tf_keras", "tensorflow_model_optimization"):
        import_extra(module, "quantization")


def int8_graph(quantized: Any) -> QuantizedGraph:
    """Return the int8 graph of what `post_training` or `quantize_aware` returned."""
    return quantized.graph if isinstance(quantized, CalibratedGraph) else read_quantized(quantized)


def _written(graph: Graph, precision: str, info: ModelInfo | None, batch: int | None) -> bytes:
    """Return the content of a file, with what `info` says inside."""
    known = {} if info is None else vars(model_metadata(graph, info))
    return write(graph, precision, batch=batch, **known)


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
    path: Path,
    precision: str,
    quantized: bool,
    *,
    calibration: np.ndarray | None,
    samples: np.ndarray | None,
    stock: bool,
) -> None:
    if path.suffix != ".tflite":
        raise InputError(f"Expected a path that ends in .tflite, received {path}.")
    if precision not in PRECISIONS:
        raise InputError(f"Expected precision to be one of {PRECISIONS}, received {precision!r}.")
    if quantized and precision != "int8":
        raise InputError(f'Expected precision "int8" for a quantized model, received {precision!r}.')
    if stock and quantized:
        raise InputError("Expected stock=True with a plain model only, received a quantized one.")
    if calibration is None and samples is None:
        raise InputError("Expected real images as calibration or samples to verify the file with, received none.")
    if precision in _CALIBRATED and not quantized and calibration is None:
        raise InputError(f"Expected calibration images for the {precision} file of a model that is not quantized.")


def check_classes(model: Any, info: ModelInfo | None) -> None:
    """Check that a Keras or tf_keras model outputs a row of numbers, and that the names in `info` fit them.

    Raises:
        InputError: If not.
    """
    if isinstance(model, keras.Model):
        as_functional(model)
    shape = tuple(model.outputs[0].shape)
    if len(shape) != 2:
        raise InputError(f"Expected a model with outputs of shape (batch, numbers), received {shape}.")
    if info is not None:
        task_of(info, shape[1])
        if isinstance(model, keras.Model) and len(model.outputs) == 1:
            check_output(model, info.output)


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
