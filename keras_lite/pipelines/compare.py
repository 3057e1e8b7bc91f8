"""Comparison of a model at several precisions: accuracy, agreement, size, latency."""

import dataclasses
import os
from pathlib import Path

import keras

from keras_lite.data import ModelInfo, Source, open_data
from keras_lite.errors import InputError
from keras_lite.export.tflite import check_installed, check_writable, to_tflite
from keras_lite.export.trained_model import check_row, open_trained_model
from keras_lite.export.verification import Thresholds
from keras_lite.files import Record, atomic_path
from keras_lite.graph import in_float32
from keras_lite.inference.report import KERAS, Report, report
from keras_lite.inference.samples import sample
from keras_lite.quantization import post_training
from keras_lite.quantization.closeness import agreement_title
from keras_lite.quantization.search import PostTraining
from keras_lite.training import RunFolder
from keras_lite.training.splits import first_shuffled, with_validation

TITLES = {
    "float32": "float32",
    "float16": "float16 weights",
    "dynamic": "int8 weights",
    "int16": "int16 activations, int8 weights",
    "stock-int8": "int8, stock converter",
    "int8": "int8, post-training",
    "trained": "int8, quantized run",
}
# A file that has lost its accuracy is to be shown, not refused.
_ANY = Thresholds()


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """Options of `compare_precisions`.

    Args:
        precisions: Names out of `TITLES`; `None`: all but `"int16"`, with `"trained"` only if that file is given.
        trained: The int8 file for the precision `"trained"`.
        threads: Numbers of threads to measure latency with.
        image_limit: Maximal number of test images; `None`: all.
        calibration_images: Number of images that set the ranges. For `"int8"` only half of them do; the other half
            decides between ways of quantization.
        seed: Seed of the choice of images.
    """

    precisions: tuple[str, ...] | None = None
    trained: str | os.PathLike | None = None
    threads: tuple[int, ...] = (1, 2)
    image_limit: int | None = None
    calibration_images: int = 512
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class ComparisonResult(Record):
    """What a model gives at several precisions, as `result.json` of `compare_precisions` holds it.

    Attributes:
        name: The model's name.
        split: Which images it was measured on: `"test"` or `"valid"`.
        calibration_images: Number of images that set the ranges.
        seed: What the choice of images was drawn from.
        report: The figures of the float model and of the file of each precision.
        post_training: What was tried and chosen for the precision `"int8"`; `None` without that.

    Example:

    ```python
    result = ComparisonResult.read("runs/photos/precisions/result.json")
    print(result.report.row("int8").drop)
    ```
    """

    name: str
    split: str
    calibration_images: int
    seed: int
    report: Report
    post_training: PostTraining | None


def compare_model(
    model: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    output_dir: str | os.PathLike | None = None,
    options: CompareOptions | None = None,
    verbose: int = 0,
) -> ComparisonResult:
    """Write a trained model that is in a file at several precisions, and measure all of them.

    Args:
        model: A run folder, a Keras model or PyTorch weights, with its information file beside it.
        data_dir: The data, as `keras_lite.data.open_data` takes it; `None`: that of the run.
        output_dir: The folder to write to; `None`: `precisions` beside the model.
        options: What to compare. Defaults to `CompareOptions()`; `trained` to what `quantize_model` wrote.
        verbose: 1 prints what happens.

    Returns:
        What `compare_precisions` returns.

    Raises:
        InputError: If there is no such model or data, or what `compare_precisions` raises.
    """
    _precisions(options or CompareOptions())  # before the model is read
    path, network, info = open_trained_model(model, verbose=verbose)
    check_row(network, "keras-lite compare")  # before the data are read
    trained = path.parent / RunFolder(model).quantized.name / f"{info.name}_int8.tflite"
    options = options or CompareOptions()
    if options.trained is None and trained.is_file():
        options = dataclasses.replace(options, trained=trained)
    data = open_data(data_dir or RunFolder(model).data_dir, info.preprocessing.geometry, verbose=verbose)
    folder = output_dir or path.parent / "precisions"
    return compare_precisions(network, info, data, folder, options=options, verbose=verbose)


def compare_precisions(
    model: keras.Model,
    info: ModelInfo,
    data: dict[str, Source],
    output_dir: str | os.PathLike,
    *,
    options: CompareOptions | None = None,
    verbose: int = 0,
) -> ComparisonResult:
    """Write a model at several precisions and measure all of them on test images.

    Args:
        model: A trained Keras 3 model of any backend.
        info: Its class names and preprocessing.
        data: Sources: `"train"` or `"valid"` for the ranges, `"test"` to measure on. Without `"test"` the validation
            images are measured on.
        output_dir: The folder to write to: a `.tflite` file for each precision, `result.json`, `precisions.png`.
        options: What to compare. Defaults to `CompareOptions()`.
        verbose: 1 prints what happens.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: If a precision is unknown, or the model can't be had at one.
        VerificationError: If a file can't be run.
        MissingExtraError: If the extra `litert`, or for int8 and int16 the extra `quantization`, is not installed.

    Example:

    ```python
    from keras_lite.inference.report import format_report

    result = compare_precisions(model, info, open_data("photos", (96, 96)), "precisions")
    print(format_report(result.report))
    ```
    """
    options = options or CompareOptions()
    precisions, seed = _precisions(options), options.seed
    check_row(model, "keras-lite compare")
    model = in_float32(model)
    folder = Path(output_dir)
    check_writable(folder)
    data = with_validation(data, 0.1, seed)
    test = "test" if "test" in data else "valid"
    source = data[test]
    if options.image_limit is not None and options.image_limit < len(source):
        source = first_shuffled(source, options.image_limit, seed)
    calibration = sample(data["train"], info.preprocessing, options.calibration_images, seed)
    samples = sample(data["valid"], info.preprocessing, 100, seed)
    files: dict[str, Path] = {}
    chosen = None
    for name in precisions:
        if name == "trained":
            if options.trained is None:
                raise InputError("Expected the int8 file of a quantized run for the precision trained, received none.")
            files[name] = Path(options.trained)
            continue
        if verbose:
            print(f"converting: {TITLES[name]}", flush=True)
        files[name] = folder / f"{info.name}_{name}.tflite"
        if name == "int8":
            quantized, chosen = post_training(
                model, calibration, preprocessing=info.preprocessing, output=info.output, verbose=verbose
            )
            to_tflite(quantized, files[name], name, samples=samples, info=info, reference=model, verbose=verbose)
        else:
            to_tflite(
                model,
                files[name],
                name.removeprefix("stock-"),
                calibration=calibration,
                samples=samples,
                info=info,
                thresholds=_ANY,
                stock=name == "stock-int8",
                verbose=verbose,
            )
    result = ComparisonResult(
        name=info.name,
        split=test,
        calibration_images=len(calibration),
        seed=seed,
        report=report(model, files, source, info, threads=options.threads, titles=TITLES, verbose=verbose),
        post_training=chosen,
    )
    result.write(folder / "result.json")
    draw_comparison(folder / "precisions.png", result)
    return result


def _precisions(options: CompareOptions) -> tuple[str, ...]:
    """Return which precisions are to be compared, once they are known and what they need is installed."""
    precisions = options.precisions
    if precisions is None:
        precisions = tuple(name for name in TITLES if name != "int16" and (name != "trained" or options.trained))
    unknown = [name for name in precisions if name not in TITLES]
    if unknown or not precisions:
        raise InputError(f"Expected precisions out of {', '.join(TITLES)}, received {', '.join(unknown) or 'none'}.")
    for name in precisions:
        check_installed(name.removeprefix("stock-"), stock=name.startswith("stock-"))
    return precisions


def draw_comparison(path: str | os.PathLike, result: ComparisonResult) -> None:
    """Draw accuracy, or agreement without classes, against latency: a point a precision, its area the file's size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    measured = result.report
    reference = measured.row(KERAS)
    rows = [row for row in measured.rows if row.file]
    labeled = reference.top1 is not None
    height = "top1" if labeled else "agreement"
    largest = max(row.file.bytes for row in rows)
    for row in rows:
        place = (row.file.latency_ms, 100 * getattr(row, height))
        axes.scatter(*place, s=600 * row.file.bytes / largest, alpha=0.6)
        text = f"{row.title}\n{row.file.bytes / 1000:,.0f} kB"
        axes.annotate(text, place, (0, 16), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    axes.axhline(100 * getattr(reference, height), color="gray", linewidth=1, linestyle="dashed", label=reference.title)
    axes.set_xlim(0, 1.25 * max(row.file.latency_ms for row in rows))
    axes.margins(y=0.25)
    axes.set(xlabel=f"latency of one image in ms, threads: {measured.threads}")
    axes.set(ylabel="top-1 in %" if labeled else f"100 x {agreement_title(measured.output, 'Keras')}")
    axes.set_title(f"{result.name}: {measured.images:,} images; area: size of the file")
    axes.legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
