"""One table of a model in Keras, fake-quantised, and as TFLite files: accuracy, agreement, size, latency."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import Preprocessing, Source
from keras_lite.export.benchmark import benchmark_files
from keras_lite.export.runner import LiteRTModel
from keras_lite.export.samples import answers
from keras_lite.profiling import format_table, profile

KERAS, FAKE_QUANTISED = "Keras float32", "Keras fake-quantised"


def report(
    model: keras.Model,
    files: dict[str, str | os.PathLike],
    source: Source,
    preprocessing: Preprocessing,
    quantized: Any = None,
    threads: Sequence[int] = (1,),
) -> dict[str, Any]:
    """Measure a model and the TFLite files made from it, on labelled images.

    Args:
        model: The float Keras 3 model.
        files: Title -> TFLite file, for example `{"TFLite int8": "model_int8.tflite"}`. They must have run before.
        source: Labelled images that were not trained on.
        preprocessing: Of the model.
        quantized: The quantisation-aware model that an int8 file was made from.
        threads: Numbers of threads that latency is measured with, the one that counts first.

    Returns:
        Figures ready for JSON: `images`, `parameters`, `macs`, `threads`, and `rows`, one for each model and file:
        `title`, `top1`, `drop` (points of accuracy below `model`'s), `agreement` (share of images with the same top-1
        class as `model`), `agreement_fake_quantised` (the same as `quantized`), `bytes`, `latency_ms` (median),
        `latencies_ms` (for each number of threads), `partitions`, `int8_only`. `format_report` makes a table of them.

    Example:

    ```python
    print(format_report(report(model, {"TFLite int8": "model_int8.tflite"}, data["test"], preprocessing)))
    ```
    """
    threads_here = os.cpu_count() or 1
    predictors = {KERAS: lambda images: model.predict(images, verbose=0)}
    if quantized is not None:
        predictors[FAKE_QUANTISED] = lambda images: quantized.predict(images, verbose=0)
    predictors |= {title: LiteRTModel(path, threads_here).predict for title, path in files.items()}
    classes = {
        title: answers(predict, source, preprocessing, f"{title}: answers on {len(source)} images").argmax(1)
        for title, predict in predictors.items()
    }
    benchmarks = dict(zip(files, benchmark_files(list(files.values()), threads), strict=True))
    size = profile(model)
    return {
        "images": len(source),
        "parameters": size.parameters,
        "macs": size.macs,
        "threads": threads[0],
        "rows": [
            {
                "title": title,
                "top1": _share(found, source.labels),
                "drop": 100 * (_share(classes[KERAS], source.labels) - _share(found, source.labels)),
                "agreement": _share(found, classes[KERAS]),
                "agreement_fake_quantised": _share(found, classes[FAKE_QUANTISED]) if quantized is not None else None,
                **(_file_figures(benchmarks[title]) if title in benchmarks else {}),
            }
            for title, found in classes.items()
        ],
    }


def format_report(figures: dict[str, Any]) -> str:
    """Return what `report` returned as text: a line of sizes and a table."""
    timed = [row for row in figures["rows"] if "latencies_ms" in row]
    threads = list(timed[0]["latencies_ms"]) if timed else []
    quantized = any(row["agreement_fake_quantised"] is not None for row in figures["rows"])
    latencies = [f"{count} thread{'' if count == '1' else 's'}" for count in threads]
    compared = ["with fake-quantised"] if quantized else []
    head = ("", "top-1", "drop", "agrees with Keras", *compared, "size", *latencies, "XNNPACK")
    rows = [
        (
            row["title"],
            f"{row['top1']:.2%}",
            f"{row['drop']:.2f}",
            f"{row['agreement']:.2%}",
            *([_percent(row["agreement_fake_quantised"])] if quantized else []),
            f"{row['bytes'] / 1000:,.0f} kB" if "bytes" in row else "",
            *(f"{row['latencies_ms'][count]:.2f} ms" if "latencies_ms" in row else "" for count in threads),
            _parts(row["partitions"]) if "partitions" in row else "",
        )
        for row in figures["rows"]
    ]
    return (
        f"{figures['parameters']:,} parameters, {figures['macs']:,} multiply-accumulates; "
        f"{figures['images']:,} images; drop in points, latency of one image\n{format_table([head, *rows])}"
    )


def _share(first: np.ndarray, second: np.ndarray) -> float:
    return float((first == second).mean())


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


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
