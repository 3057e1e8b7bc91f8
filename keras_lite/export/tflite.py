"""Writing a model as a TFLite file whose outputs are verified against the model's."""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras

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
from keras_lite.export.versions import versions
from keras_lite.files import atomic_path, write_json, write_text
from keras_lite.graph import (
    as_functional,
    check_output,
    count,
    in_float32,
)
from keras_lite.litert import Graph, QuantizedGraph, model_metadata, takes_pixels, with_ends, write
from keras_lite.litert.ends import check_ends
from keras_lite.litert.samples import Given
from keras_lite.quantization import CalibratedGraph, post_training, to_tf_keras
from keras_lite.quantization.aware.keras_native import is_trainable, read_trained
from keras_lite.quantization.aware.quantize_aware import int8_graph
from keras_lite.quantization.aware.tf_mot.input_range import know_input_range
from keras_lite.quantization.aware.tf_mot.wrapping import is_finetuned, is_wrapped
from keras_lite.quantization.images import check_images, for_images
from keras_lite.quantization.input_range import with_known_input
from keras_lite.quantization.lower import lower
from keras_lite.runtime.inspection import Inspection

_CALIBRATED = ("int16", "int8")


def to_tflite(
    model: Any,
    path: str | os.PathLike,
    precision: Literal["float32", "float16", "dynamic", "int16", "int8"] = "float32",
    calibration: Given | None = None,
    samples: Given | None = None,
    info: ModelInfo | None = None,
    thresholds: Thresholds | None = None,
    reference: keras.Model | None = None,
    stock: bool = False,
    open_batch: bool = False,
    ends: Literal["int8", "uint8", "float32"] | Mapping[str, str] = "int8",
    output: str | Sequence[str] | Mapping[str, str] | None = None,
    allow_float: bool = False,
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
            float32. It may have several inputs and outputs, of any kind; the file has them in the model's order, by
            the names that `keras_lite.graph.input_names` and `output_names` return. Where it leaves the size of its
            input open, the file is for that of `samples`.
        path: The file to write, `*.tflite`. Its batch is 1, see `open_batch`.
        precision: `"float32"`; `"float16"`: weights of 16 bits; `"dynamic"`: weights of 8 bits, computed with floats;
            `"int16"`: weights of 8 bits, activations of 16, on LiteRT's reference kernels only, which are slow;
            `"int8"`: 8 bits throughout. A plain model is quantized first, a softmax at its end left out, by
            `keras_lite.quantization.post_training`, which tries several ways. A quantized model can only be `"int8"`.
        calibration: Real images, preprocessed, float32, of shape `(count, height, width, 3)`, or what else the model
            takes; of several inputs a list of arrays, or a dictionary by their names. They quantize a plain model for
            `"int8"` and `"int16"` (512 are enough).
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
        ends: The type of an int8 file's inputs and outputs, or that of some of them by their names. MediaPipe and
            browsers take no `"int8"`. MediaPipe gives a `"uint8"` input the pixels as they are; where that is not what
            `info` says, there is an `InputWarning`.
        output: What the model outputs, where `info` doesn't say it, as `keras_lite.data.ModelInfo.output` names it; of
            several outputs kinds in their order, or by their names. It decides by which measure outputs are compared.
        allow_float: Whether layers that int8 has no operators for stay in floats in the int8 file of a plain model.
            Without it such a layer is an error. Each part of the file is then compared by itself, from the integers
            that the file gave it: int8 parts must be equal to the bit, and what a part in floats hands on may be a step
            from float32 of NumPy. The result names the operators in floats and their share of the
            multiply-accumulates.
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
    images = preprocessing(source.images(range(len(source))))
    to_tflite(model, "model.tflite", precision="int8", calibration=images, info=info)
    ```
    """
    path = Path(path)
    aware = is_trainable(model) or is_finetuned(model)
    if is_trainable(model):
        model = read_trained(model)
    quantized = is_wrapped(model) or isinstance(model, QuantizedGraph | CalibratedGraph)
    _check_arguments(path, precision, quantized, calibration=calibration, samples=samples, stock=stock)
    if open_batch and (stock or precision in _CALIBRATED):
        raise InputError(f"Expected open_batch=True with floats, not stock, received {precision}, stock={stock}.")
    check_ends_fit(ends, precision, stock)
    if allow_float and (stock or precision != "int8"):
        raise InputError(
            f"Expected allow_float=True with an int8 file, not stock, received {precision}, stock={stock}."
        )
    check_installed(precision, stock)
    check_writable(path.parent)
    check_classes(model, info)
    _check_one_end(model, precision, stock)
    if not quantized:
        model = in_float32(model)
        model = for_images(model, check_images(model, calibration if samples is None else samples))
        if precision == "int8" and not stock:
            quantized, reference = True, model
            known = {} if info is None else {"preprocessing": info.preprocessing, "output": info.output}
            known |= {} if output is None else {"output": output}
            model, _ = post_training(reference, calibration, **known, allow_float=allow_float, verbose=verbose)
    samples = check_images(model, calibration if samples is None else samples)
    if quantized and info is not None:
        info = info.quantized()
        if is_wrapped(model):
            know_input_range(model, samples, info.preprocessing, verbose)
        elif isinstance(model, CalibratedGraph):
            model = with_known_input(model, samples, info.preprocessing, verbose)
    if calibration is not None:
        calibration = check_images(model, calibration)
    graph = None
    if quantized:
        graph = model if isinstance(model, QuantizedGraph) else int8_graph(model)
        shipped = with_ends(graph, ends)
        as_bytes = info is not None and shipped.inputs[0].dtype == "uint8"
        if as_bytes and not takes_pixels(shipped.inputs[0], info.preprocessing):
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
            output=output,
            thresholds=thresholds,
        )
    made = "quantization-aware" if aware else "stock post-training" if stock else "post-training"
    if isinstance(model, QuantizedGraph) and not aware:
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


def check_ends_fit(ends: str | Mapping[str, str], precision: str, stock: bool = False) -> None:
    """Check that a file of a precision can be given input and output of a type.

    Args:
        ends: The type.
        precision: Out of `PRECISIONS`.
        stock: Whether TensorFlow's own converter makes the file.

    Raises:
        InputError: If not.
    """
    check_ends(ends)
    if ends != "int8" and (stock or precision != "int8"):
        raise InputError(f"Expected ends={ends!r} with an int8 file, not stock, received {precision}, stock={stock}.")


def check_tf_mot() -> None:
    """Check that TF-MOT is installed, and TensorFlow's converter with it.

    Raises:
        MissingExtraError: If not; the message names the extra.
    """
    for module in ("tf_keras", "tensorflow_model_optimization"):
        import_extra(module, "quantization")


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
    calibration: Given | None,
    samples: Given | None,
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
    """Check that what `info` says fits a Keras or tf_keras model, or a graph: names of classes, and the kind of output.

    Raises:
        InputError: If not, or `model` is no functional or Sequential model.
    """
    if isinstance(model, keras.Model):
        model = as_functional(model)
    if info is None:
        return
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
        raise InputError(f"Expected info of a model of one image, received one that takes {shapes}; leave it out.")
    shapes = [tuple(tensor.shape) for tensor in model.outputs]
    if (len(shapes) > 1) != (info.output == "several"):
        raise InputError(
            f'Expected output "several" in info of a model with several outputs, and only there, received '
            f'"{info.output}" for {len(shapes)}.'
        )
    [shape, *_] = shapes
    if info.output == "image" and len(shape) != 4:
        raise InputError(f'Expected an image or map for the output "image", received outputs of shape {shape}.')
    task_of(info, shape[-1])
    if isinstance(model, keras.Model) and len(shapes) == 1:
        check_output(model, info.output)


def _check_one_end(model: Any, precision: str, stock: bool) -> None:
    if (stock or precision == "int16") and (len(model.inputs) != 1 or len(model.outputs) != 1):
        what = "stock=True" if stock else "int16"
        raise InputError(
            f"Expected a model with one input and one output for {what}, which TensorFlow's converter makes, received "
            f"{len(model.inputs)} and {len(model.outputs)}; take another precision, without stock."
        )


def _write_beside(path: Path, info: ModelInfo | None, inspection: Inspection, entries: dict[str, Any]) -> None:
    for name, tensors in (("input_tensor", inspection.inputs), ("output_tensor", inspection.outputs)):
        entries |= {name: tensors[0]} if len(tensors) == 1 else {f"{name}s": tensors}
    entries |= {
        "operators": inspection.operator_counts(),
        "partitions": inspection.partitions,
        "not_delegated": inspection.not_delegated,
        "versions": versions(),
    }
    if info is None:
        write_json(path.with_suffix(".json"), {"name": path.stem, **entries})
        return
    write_text(labels_path(path), "".join(f"{name}\n" for name in info.class_names))
    write_model_info(path, info, **entries)
