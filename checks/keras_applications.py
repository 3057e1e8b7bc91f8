"""Models of `keras.applications` as float32 and int8 files, checked without any training."""

import dataclasses
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from checks.int8_figures import Figures, FloatFigures, convert_and_measure, made_with
from checks.known_weights import draw_weights
from keras_lite import tables
from keras_lite.data import Preprocessing
from keras_lite.litert import write
from keras_lite.profiling import profile
from keras_lite.quantization.lower import lower
from keras_lite.runtime.benchmark import benchmark_files
from keras_lite.runtime.runner import run_in_subprocess
from keras_lite.training.environment import processor

PREFIX = "keras.applications/"
NAMES = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "Xception",
    "NASNetMobile",
)
# Models that scale their input themselves.
TAKE_PIXELS = ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "EfficientNetV2B0")


def preprocessing(name: str, image_size: int) -> Preprocessing:
    """Return how images are prepared for one of `NAMES`, at a height and width in pixels."""
    size = (image_size, image_size)
    return Preprocessing(size, (0.0,) * 3, (1 / 255,) * 3) if name in TAKE_PIXELS else Preprocessing(size)


def build(name: str, images: np.ndarray) -> keras.Model:
    """Return one of `NAMES` with known random weights, whose output are logits, for preprocessed images."""
    model = getattr(keras.applications, name)(weights=None, input_shape=images.shape[1:], classifier_activation=None)
    draw_weights(model, images)
    return model


def verify(name: str, images: np.ndarray, others: np.ndarray) -> Figures:
    """Convert a model of `keras.applications`, with known random weights, to float32 and int8 and compare the files.

    Args:
        name: One of `NAMES`.
        images: Preprocessed images that set the ranges.
        others: Preprocessed images to compare.

    Raises:
        InputError: If it can't be converted or run.
        MissingExtraError: If the litert extra is not installed.
    """
    start = time.monotonic()
    model = build(name, images)
    expected = np.asarray(model.predict(others, verbose=0))
    with tempfile.TemporaryDirectory() as folder:
        plain, quantized = Path(folder, "float32.tflite"), Path(folder, "int8.tflite")
        figures = convert_and_measure(PREFIX + name, model, images, others=others, path=quantized, start=start)
        plain.write_bytes(write(lower(model)))
        received = run_in_subprocess(plain, others)
        [of_float, of_int8] = benchmark_files([plain, quantized], threads=[1], runs=100)
    size = profile(model)
    float32 = FloatFigures(
        parameters=size.parameters,
        macs=size.macs,
        difference=float(np.abs(received - expected).max() / np.abs(expected).max()),
        partitions=of_float.inspection.partitions,
        latency_ms=of_float.latencies[0].median,
        int8_latency_ms=of_int8.latencies[0].median,
    )
    return dataclasses.replace(figures, float32=float32, seconds=round(time.monotonic() - start, 1))


def markdown_table(results: list[Figures]) -> str:
    """Return a Markdown table, one line a model, of what `verify` found."""
    head = (
        "model", "parameters", "multiply-accumulates", "float32 file off by", "int8 operators only",
        "partitions float32 / int8", "outside XNNPACK", "float32 ms", "int8 ms", "ratio", "correlation",
        "correlation without a file",
    )  # fmt: skip
    lines = [head]
    for found in results:
        float32 = found.float32
        lines.append((
            found.network.removeprefix(PREFIX),
            f"{float32.parameters:,}",
            f"{float32.macs / 1e6:,.0f} M",
            f"{float32.difference:.0e}",
            "yes" if found.int8_only else "no",
            f"{float32.partitions} / {found.partitions}",
            ", ".join(found.not_delegated) or "none",
            f"{float32.latency_ms:.2f}",
            f"{float32.int8_latency_ms:.2f}",
            f"{float32.int8_latency_ms / float32.latency_ms:.2f}",
            f"{found.correlation:.3f}",
            f"{found.fake_correlation:.3f}",
        ))  # fmt: skip
    return tables.markdown_table(lines, left=(0, 4, 6))


def page(results: list[Figures], image_size: int, data_dir: str, calibration_images: int, compared_images: int) -> str:
    """Return the Markdown page of a table, with what it was measured on.

    Args:
        results: What `verify` returned.
        image_size: Height and width of the images.
        data_dir: Where they came from.
        calibration_images: How many of them set the ranges.
        compared_images: How many others were compared.
    """
    names = " ".join(found.network for found in results)
    names = PREFIX.rstrip("/") if len(results) == len(NAMES) else names
    settings = f"--image_size {image_size} --calibration_images {calibration_images} --images {compared_images}"
    return f"""# Models of keras.applications as int8 files

Written by `python tools/verify_int8.py {names} {settings} --page FILE`.

{markdown_table(results)}

Input {image_size} x {image_size} x 3, images of {Path(data_dir).name}, random weights, no training. "Off by": largest
difference of an output from Keras' own, as a share of the largest. Latency: median of one image, one thread, the two
files in turns, LiteRT with XNNPACK on {processor()}; only the ratios (int8 / float32) carry over to other machines, as
far as any do. Correlation: of the int8 file's outputs with the float model's, as deviations from their mean over the
images; beside it that of the same 8-bit model computed in floats. A deep network of random weights blows up every
rounding, so the second is what a file can reach.
{made_with()}.
"""
