"""Comparison of a model at several precisions: accuracy, agreement, size, latency."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import keras

from keras_lite.data import ModelInfo, Source, open_data
from keras_lite.errors import InputError
from keras_lite.export.tflite import check_writable, to_tflite
from keras_lite.export.trained_model import open_trained_model
from keras_lite.export.verification import Thresholds
from keras_lite.files import atomic_path, write_json
from keras_lite.graph import in_float32
from keras_lite.inference.report import report
from keras_lite.inference.samples import sample
from keras_lite.quantization import post_training
from keras_lite.quantization.closeness import agreement_title
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


def compare_model(
    model: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    output_dir: str | os.PathLike | None = None,
    options: CompareOptions | None = None,
) -> dict[str, Any]:
    """Write a trained model from a file at several precisions, and measure all of them.

    Args:
        model: A run folder, a Keras model or PyTorch weights, with its information file beside it.
        data_dir: The data, as `keras_lite.data.open_data` takes it; `None`: that of the run.
        output_dir: The folder to write to; `None`: `precisions` beside the model.
        options: What to compare. Defaults to `CompareOptions()`; `trained` to what `quantize_model` wrote.

    Returns:
        What `compare_precisions` returns.

    Raises:
        InputError: If there is no such model or data, or what `compare_precisions` raises.
    """
    path, network, info = open_trained_model(model)
    trained = path.parent / RunFolder(model).quantized.name / f"{info.name}_int8.tflite"
    options = options or CompareOptions()
    if options.trained is None and trained.is_file():
        options = dataclasses.replace(options, trained=trained)
    data = open_data(data_dir or RunFolder(model).data_dir, info.preprocessing.geometry)
    return compare_precisions(network, info, data, output_dir or path.parent / "precisions", options)


def compare_precisions(
    model: keras.Model,
    info: ModelInfo,
    data: dict[str, Source],
    output_dir: str | os.PathLike,
    options: CompareOptions | None = None,
) -> dict[str, Any]:
    """Write a model at several precisions and measure all of them on test images.

    Args:
        model: A trained Keras 3 model of any backend.
        info: Its class names and preprocessing.
        data: Sources: `"train"` or `"valid"` for the ranges, `"test"` to measure on. Without `"test"` the validation
            images are measured on.
        output_dir: The folder to write to: a `.tflite` file for each precision, `result.json`, `precisions.png`.
        options: What to compare. Defaults to `CompareOptions()`.

    Returns:
        What `result.json` holds: the figures of `keras_lite.inference.report.report`, what they were measured on, and
        under `post_training` what was tried and chosen for the precision `"int8"`.

    Raises:
        InputError: If a precision is unknown, or the model can't be had at one.
        VerificationError: If a file can't be run.
        MissingExtraError: If the quantization extra is not installed.

    Example:

    ```python
    print(format_report(compare_precisions(model, info, open_data("photos", (96, 96)), "precisions")))
    ```
    """
    options = options or CompareOptions()
    precisions, seed = options.precisions, options.seed
    if precisions is None:
        precisions = tuple(name for name in TITLES if name != "int16" and (name != "trained" or options.trained))
    unknown = [name for name in precisions if name not in TITLES]
    if unknown or not precisions:
        raise InputError(f"Expected precisions out of {', '.join(TITLES)}, received {', '.join(unknown) or 'none'}.")
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
        print(f"converting: {TITLES[name]}", flush=True)
        files[name] = folder / f"{info.name}_{name}.tflite"
        if name == "int8":
            quantized, chosen = post_training(model, calibration, preprocessing=info.preprocessing, output=info.output)
            to_tflite(quantized, files[name], name, samples=samples, info=info, reference=model)
        else:
            stock = name == "stock-int8"
            to_tflite(model, files[name], name.removeprefix("stock-"), calibration, samples, info, _ANY, stock=stock)
    by_title = {TITLES[name]: path for name, path in files.items()}
    figures = report(model, by_title, source, info, threads=options.threads)
    result = {"name": info.name, "split": test, "calibration_images": len(calibration), "seed": seed, **figures}
    if chosen is not None:
        result["post_training"] = chosen.to_dict()
    write_json(folder / "result.json", result)
    draw_comparison(folder / "precisions.png", result)
    return result


def draw_comparison(path: str | os.PathLike, figures: dict[str, Any]) -> None:
    """Draw accuracy, or agreement without classes, against latency: a point a precision, its area the file's size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    reference, *rows = figures["rows"]
    labeled = reference["top1"] is not None
    height = "top1" if labeled else "agreement"
    largest = max(row["bytes"] for row in rows)
    for row in rows:
        place = (row["latency_ms"], 100 * row[height])
        axes.scatter(*place, s=600 * row["bytes"] / largest, alpha=0.6)
        text = f"{row['title']}\n{row['bytes'] / 1000:,.0f} kB"
        axes.annotate(text, place, (0, 16), textcoords="offset points", ha="center", va="bottom", fontsize=8)
    axes.axhline(100 * reference[height], color="gray", linewidth=1, linestyle="dashed", label=reference["title"])
    axes.set_xlim(0, 1.25 * max(row["latency_ms"] for row in rows))
    axes.margins(y=0.25)
    axes.set(xlabel=f"latency of one image in ms, threads: {figures['threads']}")
    axes.set(ylabel="top-1 in %" if labeled else f"100 x {agreement_title(figures['output'], 'Keras')}")
    axes.set_title(f"{figures['name']}: {figures['images']:,} images; area: size of the file")
    axes.legend(loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
