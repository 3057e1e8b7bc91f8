"""One table of a model in Keras, fake-quantized, and as TFLite files: accuracy, agreement, size, latency."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import ModelInfo, Source, interpret, task_of, with_classes
from keras_lite.inference.samples import outputs_of
from keras_lite.profiling import profile
from keras_lite.quantization.closeness import agreement, agreement_title, format_agreement
from keras_lite.runtime.benchmark import benchmark_files
from keras_lite.runtime.runner import LiteRTModel
from keras_lite.tables import text_table

KERAS, FAKE_QUANTIZED = "Keras float32", "Keras fake-quantized"


def report(
    model: keras.Model,
    files: dict[str, str | os.PathLike],
    source: Source,
    info: ModelInfo,
    quantized: Any = None,
    threads: Sequence[int] = (1,),
) -> dict[str, Any]:
    """Measure a model and the TFLite files made from it, on labeled images.

    Args:
        model: The float Keras 3 model.
        files: Title -> TFLite file, for example `{"TFLite int8": "model_int8.tflite"}`. They must have run before.
        source: Images that were not trained on. For a multiclass or multilabel model they are of some of its classes,
            in any order.
        info: Class names, preprocessing and kind of output of the model.
        quantized: The quantized model that an int8 file was made from.
        threads: Numbers of threads that latency is measured with, the one that counts first.

    Returns:
        Figures ready for JSON: `images`, `parameters`, `macs`, `threads`, `output` (of `info`), and `rows`, one for
        each model and file: `title`, `top1`, `drop` (points of accuracy below `model`'s), `agreement` with `model` (see
        `keras_lite.quantization.closeness.agreement`), `agreement_fake_quantized` (the same with `quantized`), `bytes`,
        `latency_ms` (median), `latencies_ms` (for each number of threads), `partitions`, `int8_only`. `top1` and `drop`
        are None unless the model is multiclass or multilabel. `format_report` makes a table of them.

    Raises:
        InputError: If the images have a class that the model doesn't know.

    Example:

    ```python
    print(format_report(report(model, {"TFLite int8": "model_int8.tflite"}, data["test"], info)))
    ```
    """
    labels = _labels(model, info, source)
    threads_here = os.cpu_count() or 1
    predictors = {KERAS: lambda images: model.predict(images, verbose=0)}
    if quantized is not None:
        predictors[FAKE_QUANTIZED] = lambda images: quantized.predict(images, verbose=0)
    predictors |= {title: LiteRTModel(path, threads_here).predict for title, path in files.items()}
    found = {
        title: outputs_of(predict, source, info.preprocessing, f"{title}: outputs on {len(source)} images")
        for title, predict in predictors.items()
    }
    top1 = {title: None if labels is None else _top1(received, info, labels) for title, received in found.items()}
    benchmarks = dict(zip(files, benchmark_files(list(files.values()), threads), strict=True))
    size = profile(model)
    return {
        "images": len(source),
        "parameters": size.parameters,
        "macs": size.macs,
        "threads": threads[0],
        "output": info.output,
        "rows": [
            {
                "title": title,
                "top1": top1[title],
                "drop": None if labels is None else 100 * (top1[KERAS] - top1[title]),
                "agreement": agreement(info.output, found[KERAS], received),
                "agreement_fake_quantized": (
                    None if quantized is None else agreement(info.output, found[FAKE_QUANTIZED], received)
                ),
                **(_file_figures(benchmarks[title]) if title in benchmarks else {}),
            }
            for title, received in found.items()
        ],
    }


def format_report(figures: dict[str, Any]) -> str:
    """Return what `report` returned as text: a line of sizes and a table."""
    timed = [row for row in figures["rows"] if "latencies_ms" in row]
    threads = list(timed[0]["latencies_ms"]) if timed else []
    output = figures["output"]
    quantized = any(row["agreement_fake_quantized"] is not None for row in figures["rows"])
    labeled = any(row["top1"] is not None for row in figures["rows"])
    latencies = [f"{count} thread{'' if count == '1' else 's'}" for count in threads]
    accuracy, compared = ("top-1", "drop") if labeled else (), ("with fake-quantized",) if quantized else ()
    head = ("", *accuracy, agreement_title(output, "Keras"), *compared, "size", *latencies, "XNNPACK")
    rows = [
        (
            row["title"],
            *((f"{row['top1']:.2%}", f"{row['drop']:.2f}") if labeled else ()),
            format_agreement(output, row["agreement"]),
            *((format_agreement(output, row["agreement_fake_quantized"]),) if quantized else ()),
            f"{row['bytes'] / 1000:,.0f} kB" if "bytes" in row else "",
            *(f"{row['latencies_ms'][count]:.2f} ms" if "latencies_ms" in row else "" for count in threads),
            _parts(row["partitions"]) if "partitions" in row else "",
        )
        for row in figures["rows"]
    ]
    return (
        f"{figures['parameters']:,} parameters, {figures['macs']:,} multiply-accumulates; "
        f"{figures['images']:,} images; {'drop in points, ' if labeled else ''}latency of one image\n"
        f"{text_table([head, *rows])}"
    )


def _labels(model: keras.Model, info: ModelInfo, source: Source) -> np.ndarray | None:
    """Return the numbers of the model's classes that the images show, or None if it predicts no classes."""
    task = task_of(info, model.outputs[0].shape[1])
    return with_classes(source, info.class_names).labels if task in ("multiclass", "multilabel") else None


def _top1(received: np.ndarray, info: ModelInfo, labels: np.ndarray) -> float:
    return float((interpret(received, info).argmax(1) == labels).mean())


def _parts(count: int) -> str:
    return f"{count} partition{'' if count == 1 else 's'}"


def _file_figures(benchmark: Any) -> dict[str, Any]:
    return {
        "file": Path(benchmark.path).name,
        "bytes": benchmark.size,
        "latency_ms": benchmark.latencies[0].median,
        "latencies_ms": {str(latency.threads): latency.median for latency in benchmark.latencies},
        "partitions": benchmark.inspection.partitions,
        "int8_only": benchmark.inspection.int8_only,
    }
