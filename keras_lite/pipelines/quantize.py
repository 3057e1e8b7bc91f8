"""From a trained float model to verified TFLite files, by post-training quantization and fine-tuning."""

import dataclasses
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import Augmentation, Batches, ModelInfo, Source, interpret, open_data, task_of, with_classes
from keras_lite.data.image_folder import open_unlabeled
from keras_lite.errors import InputWarning
from keras_lite.export.mixed import float_parts
from keras_lite.export.model_card import write_model_card
from keras_lite.export.tflite import check_writable, to_tflite
from keras_lite.export.trained_model import check_row, open_trained_model
from keras_lite.export.verification import Verification
from keras_lite.files import Record
from keras_lite.graph import in_float32, output_of, outputs_for
from keras_lite.inference.report import Report, report
from keras_lite.inference.samples import outputs_of, sample
from keras_lite.litert import write
from keras_lite.pipelines.quantization_options import CLOSE, QuantizationOptions
from keras_lite.quantization import CalibratedGraph, post_training, quantize_aware
from keras_lite.quantization.aware.epoch_judge import Epochs
from keras_lite.quantization.aware.finetuning import forget
from keras_lite.quantization.aware.finetuning_process import finetune_apart
from keras_lite.quantization.aware.quantize_aware import int8_graph
from keras_lite.quantization.aware.tf_mot.start import trainable_start
from keras_lite.quantization.closeness import as_quantized, divergences, is_closer, judged_as
from keras_lite.quantization.search import PostTraining
from keras_lite.runtime.inspection import examine
from keras_lite.training import RunFolder
from keras_lite.training.splits import divide, first_shuffled, with_validation

# Fewer images tell nothing of a difference.
_LEAST_JUDGES = 8
_UINT8_SAMPLES = 16
FLOAT32, INT8 = "float32", "int8"


@dataclasses.dataclass(frozen=True)
class QuantizationResult(Record):
    """What came of `quantize_run`, as its `result.json` holds it.

    Attributes:
        name: The model's name.
        split: Which images it was measured on: `"test"`, `"valid"` or `"unlabeled"`.
        report: The figures of the float model, the quantized one, and the files `"float32"` and `"int8"`.
        options: How it was quantized.
        post_training: What post-training quantization chose.
        finetuning: What each epoch of the fine-tuning gave and which was kept; `None` without one.
        kept: What the int8 file is of: `"post_training"` or `"finetuning"`, whichever is closer to the float model on
            photos that are held out.
        verification: How each file compares with its model, by precision.
        seconds: What it took, without the measuring.

    Example:

    ```python
    result = QuantizationResult.read("runs/photos/quantized/result.json")
    print(result.report.row("int8").top1)
    ```
    """

    name: str
    split: str
    report: Report
    options: QuantizationOptions
    post_training: PostTraining
    finetuning: Epochs | None
    kept: str
    verification: dict[str, Verification]
    seconds: float


@dataclasses.dataclass(frozen=True)
class QuantizeOptions:
    """Options of `quantize_model`.

    Args:
        model: A run folder, a Keras model or PyTorch weights, with its information file beside it.
        data_dir: The data, as `keras_lite.data.open_data` takes it; `None`: that of the run, unless there are photos in
            `unlabeled_dir`.
        unlabeled_dir: Photos without classes, which train in place of the data's training images.
        output_dir: The folder to write to; `None`: `quantized` beside the model.
        augment: Whether training images are changed as the run did.
        skip_broken: Whether unreadable photos are left out; else they are an error.
        quantization: How to quantize.
    """

    model: str | os.PathLike
    data_dir: str | os.PathLike | None = None
    unlabeled_dir: str | os.PathLike | None = None
    output_dir: str | os.PathLike | None = None
    augment: bool = True
    skip_broken: bool = False
    quantization: QuantizationOptions = dataclasses.field(default_factory=QuantizationOptions)


def quantize_model(options: QuantizeOptions, verbose: int = 0) -> tuple[Path, QuantizationResult]:
    """Quantize a trained model that is in a file, as `quantize_run` does.

    Args:
        options: Which model, with which photos.
        verbose: 1 prints what happens.

    Returns:
        The folder that was written to, and what `quantize_run` returns.

    Raises:
        InputError: If there is no such model or data, or what `quantize_run` raises.

    Example:

    ```python
    folder, result = quantize_model(QuantizeOptions("model.keras", unlabeled_dir="photos"))
    ```
    """
    options.quantization.check()
    path, model, info = open_trained_model(options.model, verbose=verbose)
    check_row(model, "keras-lite quantize")  # before the data are read
    run, unlabeled = RunFolder(options.model), options.unlabeled_dir is not None
    data_dir = options.data_dir or (None if unlabeled else run.data_dir)
    output_dir = Path(options.output_dir or path.parent / run.quantized.name)
    check_writable(output_dir)
    geometry = info.preprocessing.geometry
    data = {} if data_dir is None else open_data(data_dir, geometry, skip_broken=options.skip_broken, verbose=verbose)
    if unlabeled:
        names = info.class_names or ["photo"]  # an embedding has none
        data["unlabeled"] = open_unlabeled(
            options.unlabeled_dir, geometry, names, skip_broken=options.skip_broken, verbose=verbose
        )
    augmentation = run.augmentation if options.augment else None
    result = quantize_run(
        model,
        info,
        data,
        output_dir,
        options=options.quantization,
        augmentation=augmentation,
        row=run.row,
        verbose=verbose,
    )
    return output_dir, result


def quantize_run(
    model: keras.Model,
    info: ModelInfo,
    data: dict[str, Source],
    output_dir: str | os.PathLike,
    *,
    options: QuantizationOptions | None = None,
    augmentation: Augmentation | None = None,
    row: str | None = None,
    verbose: int = 0,
) -> QuantizationResult:
    """Quantize a trained model, fine-tune it, export it as float32 and int8, and measure all of them.

    Fine-tuning starts from what `keras_lite.quantization.post_training` gives, and an epoch takes the place of the
    start only if it is closer to the float model on photos that are held out (see `keras_lite.quantization.finetune`).
    It runs in a process of its own, so that a crash there does not end this one.

    Written into `output_dir`: `NAME_float32.tflite`, `NAME_int8.tflite`, the same with uint8 input and output for
    browsers, `NAME_uint8.tflite`, each with its `.json`, `.labels.txt` and model card (`.md`), and `result.json`. While
    it trains, `finetune.npz` holds the state, and `finetune.json` what it is of: if it was killed, the same call
    continues from there and ends with the same files.

    Args:
        model: A trained Keras 3 model of any backend.
        info: Its class names and preprocessing.
        data: Sources of some of the model's classes, in any order: `"train"`, `"valid"` and `"test"`. Without `"valid"`
            some training images are held out; without `"test"` the validation images are measured on. `"unlabeled"`
            images, if given, train in place of `"train"`, with the float model's outputs as labels. If they are given
            alone, some of them are held out to measure on, and top-1 means agreement with the float model.
        output_dir: The folder to write to.
        options: The options. Defaults to `QuantizationOptions()`.
        augmentation: Random changes to the training images.
        row: Id of the published row that the model stands for, for its card.
        verbose: 1 prints what happens.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: If the model can't be quantized, the data has a class that it doesn't know, or an option is wrong.
        VerificationError: If a file's outputs are too far from its model's.
        MissingExtraError: If the extra `litert`, or for TF-MOT the extra `quantization`, is not installed.

    Example:

    ```python
    options = QuantizationOptions(epochs=0)  # post-training quantization only
    result = quantize_run(model, info, open_data("flowers", (96, 96)), "runs/flowers/quantized", options=options)
    print(result.report.row("int8").top1)
    ```
    """
    options = options or QuantizationOptions()
    options.check()
    check_row(model, "keras-lite quantize")
    task = task_of(info, model.outputs[0].shape[-1])
    if task in ("multiclass", "multilabel"):
        data = {split: with_classes(source, info.class_names) for split, source in data.items()}
    start = time.monotonic()
    model = in_float32(model)
    folder = Path(output_dir)
    data, test = _splits(model, info, data, seed=options.seed, verbose=verbose)
    held_out = min(options.judge_images, len(data["train"]) // 5)
    judges, train = divide(data["train"], held_out, options.seed)
    samples = sample(data["valid"], info.preprocessing, 200, options.seed)
    if options.image_limit is not None and options.image_limit < len(train):
        train = first_shuffled(train, options.image_limit, options.seed)
    calibration = sample(train, info.preprocessing, options.calibration_images, options.seed)
    files = {FLOAT32: folder / f"{info.name}_float32.tflite", INT8: int8_file(folder, info)}
    # First what is quick: an error of conversion shows before the training.
    verification = {FLOAT32: to_tflite(model, files[FLOAT32], "float32", samples=samples, info=info, verbose=verbose)}
    quantized, chosen = post_training(
        model,
        calibration,
        preprocessing=info.preprocessing,
        output=info.output,
        allow_float=options.allow_float,
        verbose=verbose,
    )
    state = folder / "finetune.npz"
    finetuning, tuned = None, None
    floats = float_parts(quantized.graph)
    epochs = options.epochs_after(chosen)
    if not epochs and options.epochs is None:
        if verbose:
            print(
                f"no fine-tuning: post-training quantization is within {CLOSE} nats of the float model, where training "
                "rarely gains anything; a number of epochs asks for it",
                flush=True,
            )
    elif epochs and floats is not None:
        if verbose:
            print(f"no fine-tuning: {floats}, which can't be trained", flush=True)
    elif epochs and held_out < _LEAST_JUDGES:
        if verbose:
            print(
                f"no fine-tuning: {len(data['train'])} training images are too few to hold out {_LEAST_JUDGES} of five "
                "times as many, which tell whether it helps",
                flush=True,
            )
    elif epochs:
        batches = Batches(
            train, min(options.batch_size, len(train)), info.preprocessing, augmentation,
            shuffle=True, seed=options.seed, drop_remainder=True,
        )  # fmt: skip
        if options.engine == "tf_mot":
            tuned = trainable_start(model, calibration, chosen.chosen, info.preprocessing)
        else:
            tuned = quantize_aware(quantized, scales=options.scales)
        images = info.preprocessing(judges.images(np.arange(held_out)))
        finetuning = finetune_apart(
            tuned, model, batches, images, state_path=state, epochs=epochs,
            learning_rate=options.learning_rate, output=info.output, verbose=verbose,
        )  # fmt: skip
        if not (finetuning.kept and _closer(tuned, quantized, model, images, info.output)):
            tuned = None
            if verbose:
                print("kept: post-training quantization; fine-tuning gives no file that is closer", flush=True)
    quantized = quantized if tuned is None else tuned
    verification[INT8] = to_tflite(
        quantized, files[INT8], "int8", samples=samples, info=info, reference=model, verbose=verbose
    )
    # The same for browsers, which take no int8 at the ends. What is between is compared already.
    uint8 = uint8_file(folder, info)
    with warnings.catch_warnings():
        # Its input may be other numbers than pixels: what runs it there reads how to get them.
        warnings.simplefilter("ignore", InputWarning)
        to_tflite(quantized, uint8, "int8", samples=samples[:_UINT8_SAMPLES], info=info, reference=model, ends="uint8")
    seconds = time.monotonic() - start
    figures = report(model, files, data[test], info, quantized=tuned, verbose=verbose)
    accuracy = figures.accuracy_entry(test)
    for file in (*files.values(), uint8):
        write_model_card(file, parameters=figures.parameters, macs=figures.macs, row=row, accuracy=accuracy)
    result = QuantizationResult(
        name=info.name,
        split=test,
        report=figures,
        options=options,
        post_training=chosen,
        finetuning=finetuning,
        kept="post_training" if tuned is None else "finetuning",
        verification=verification,
        seconds=round(seconds, 1),
    )
    result.write(folder / "result.json")
    forget(state)
    return result


def _closer(tuned: Any, calibrated: CalibratedGraph, model: keras.Model, images: np.ndarray, output: str) -> bool:
    """Return whether the file of a tuned model is closer to the float model than that of a calibrated graph."""
    expected = outputs_for(model, images)
    output = judged_as(model, output)
    expected = as_quantized(output_of(model), expected)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for graph in (int8_graph(calibrated), int8_graph(tuned)):
            path = Path(folder, "int8.tflite")
            path.write_bytes(write(graph))
            found.append(divergences(output, expected, examine(path, delegates=False, images=images).outputs))
    return is_closer(found[1], found[0])


def _splits(
    model: keras.Model, info: ModelInfo, data: dict[str, Source], *, seed: int, verbose: int
) -> tuple[dict[str, Source], str]:
    """Return the splits `"train"`, `"valid"` and the one to measure on, and the name of that one."""
    labeled = {split: source for split, source in data.items() if split != "unlabeled"}
    if labeled:
        labeled = with_validation(labeled, 0.1, seed)
    test = "test" if "test" in labeled else "valid"
    if "unlabeled" not in data:
        return labeled, test
    photos = data["unlabeled"]
    found = outputs_of(
        lambda images: outputs_for(model, images),
        photos,
        info.preprocessing,
        title="labels: the model's",
        verbose=verbose,
    )
    if task_of(info, found.shape[1]) in ("multiclass", "multilabel"):
        photos = photos.with_labels(interpret(found, info).argmax(1))
    if labeled:
        return labeled | {"train": photos}, test
    held_out = with_validation({"train": photos}, 0.1, seed)
    return held_out | {"unlabeled": held_out["valid"]}, "unlabeled"


def int8_file(output_dir: Path, info: ModelInfo) -> Path:
    """Return where `quantize_run` writes the int8 file of a model."""
    return output_dir / f"{info.name}_int8.tflite"


def uint8_file(output_dir: Path, info: ModelInfo) -> Path:
    """Return where `quantize_run` writes the same int8 file with uint8 input and output."""
    return output_dir / f"{info.name}_uint8.tflite"
