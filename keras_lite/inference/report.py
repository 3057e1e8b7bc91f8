"""One table of a model in Keras, fake-quantized, and as TFLite files: accuracy, agreement, size, latency."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.data import ModelInfo, Source, interpret, task_of, with_classes
from keras_lite.errors import InputError
from keras_lite.files import Record
from keras_lite.graph import outputs_for
from keras_lite.inference.samples import outputs_of
from keras_lite.profiling import profile
from keras_lite.quantization.closeness import agreement, agreement_title, format_agreement
from keras_lite.runtime.benchmark import benchmark_files
from keras_lite.runtime.runner import LiteRTModel
from keras_lite.tables import text_table

KERAS, FAKE_QUANTIZED = "keras", "fake_quantized"
_TITLES = {KERAS: "Keras float32", FAKE_QUANTIZED: "Keras fake-quantized"}


@dataclasses.dataclass(frozen=True)
class FileFigures:
    """What a TFLite file takes.

    Attributes:
        name: The file's name.
        bytes: Its size.
        latencies_ms: Number of threads -> milliseconds of one image (median), the number that counts first.
        partitions: Parts that XNNPACK runs; 1: all in one.
        int8_only: Whether all tensors are int8 (or int32 biases).
    """

    name: str
    bytes: int
    latencies_ms: dict[int, float]
    partitions: int
    int8_only: bool

    @property
    def latency_ms(self) -> float:
        """The latency at the number of threads that counts."""
        return next(iter(self.latencies_ms.values()))


@dataclasses.dataclass(frozen=True)
class ReportRow:
    """What one model, or the file made from it, is worth.

    Attributes:
        precision: Which: `"keras"` (the float model), `"fake_quantized"` (the quantized one), or the name that
            `report` was given a file by, such as `"int8"`.
        title: The same in words.
        top1: Share of the images that it gets right; `None` unless the model is multiclass or multilabel.
        drop: Points of accuracy below the float model's; `None` likewise.
        agreement: Agreement with the float model (see `keras_lite.quantization.closeness.agreement`).
        agreement_fake_quantized: Agreement with the quantized model; `None` without one.
        file: Of a file: what it takes.
    """

    precision: str
    title: str
    top1: float | None
    drop: float | None
    agreement: float
    agreement_fake_quantized: float | None
    file: FileFigures | None


@dataclasses.dataclass(frozen=True)
class Report(Record):
    """A model and the TFLite files made from it, measured on the same images. `format_report` makes a table of it.

    Attributes:
        images: Number of images.
        parameters: Parameters of the model, frozen ones included.
        macs: Multiply-accumulates for one image.
        threads: Number of threads whose latency counts.
        output: Kind of the model's output, as `keras_lite.data.ModelInfo.output` names it.
        rows: One for each model and file, the float model's first.
    """

    images: int
    parameters: int
    macs: int
    threads: int
    output: str
    rows: tuple[ReportRow, ...]

    def row(self, precision: str) -> ReportRow:
        """Return the row of a precision.

        Raises:
            InputError: If there is none.
        """
        for row in self.rows:
            if row.precision == precision:
                return row
        there = ", ".join(row.precision for row in self.rows)
        raise InputError(f"Expected a precision of the report, one of {there}; received {precision!r}.")

    def accuracy_entry(self, split: str) -> dict[str, Any]:
        """Return the accuracies as a model card holds them, see `keras_lite.export.model_card.write_model_card`.

        Args:
            split: Name of the images that were measured on, for example `"test"`.
        """
        names = ("precision", "title", "top1", "agreement")
        rows = [{name: getattr(row, name) for name in names} for row in self.rows]
        return {"split": split, "images": self.images, "rows": rows}


def report(
    model: keras.Model,
    files: Mapping[str, str | os.PathLike],
    source: Source,
    info: ModelInfo,
    *,
    quantized: Any = None,
    threads: Sequence[int] = (1,),
    titles: Mapping[str, str] | None = None,
    verbose: int = 0,
) -> Report:
    """Measure a model and the TFLite files made from it, on labeled images.

    Args:
        model: The float Keras 3 model.
        files: Precision -> TFLite file, for example `{"int8": "model_int8.tflite"}`. They must have run before.
        source: Images that were not trained on. For a multiclass or multilabel model they are of some of its classes,
            in any order.
        info: Class names, preprocessing and kind of output of the model.
        quantized: The quantized model that an int8 file was made from.
        threads: Numbers of threads that latency is measured with, the one that counts first.
        titles: Precision -> what it is called in the table; of those that are not there "TFLite" and the precision.
        verbose: 1 shows progress.

    Raises:
        InputError: If the images have a class that the model doesn't know.

    Example:

    ```python
    print(format_report(report(model, {"int8": "model_int8.tflite"}, data["test"], info)))
    ```
    """
    labels = _labels(model, info, source)
    threads_here = os.cpu_count() or 1
    predictors = {KERAS: lambda images: outputs_for(model, images)}
    if quantized is not None:
        predictors[FAKE_QUANTIZED] = lambda images: quantized.predict(images, verbose=0)
    predictors |= {precision: LiteRTModel(path, threads_here).predict for precision, path in files.items()}
    titles = {precision: f"TFLite {precision}" for precision in files} | _TITLES | dict(titles or {})
    found = {
        precision: outputs_of(
            predict,
            source,
            info.preprocessing,
            title=f"{titles[precision]}: outputs on {len(source)} images",
            verbose=verbose,
        )
        for precision, predict in predictors.items()
    }
    top1 = {name: None if labels is None else _top1(received, info, labels) for name, received in found.items()}
    benchmarks = dict(zip(files, benchmark_files(list(files.values()), threads), strict=True))
    size = profile(model)
    rows = [
        ReportRow(
            precision=precision,
            title=titles[precision],
            top1=top1[precision],
            drop=None if labels is None else 100 * (top1[KERAS] - top1[precision]),
            agreement=agreement(info.output, found[KERAS], received),
            agreement_fake_quantized=(
                None if quantized is None else agreement(info.output, found[FAKE_QUANTIZED], received)
            ),
            file=_file_figures(benchmarks[precision]) if precision in benchmarks else None,
        )
        for precision, received in found.items()
    ]
    return Report(len(source), size.parameters, size.macs, threads=threads[0], output=info.output, rows=tuple(rows))


def format_report(figures: Report) -> str:
    """Return a report as text: a line of sizes and a table."""
    files = [row.file for row in figures.rows if row.file]
    threads = list(files[0].latencies_ms) if files else []
    output = figures.output
    quantized = any(row.agreement_fake_quantized is not None for row in figures.rows)
    labeled = any(row.top1 is not None for row in figures.rows)
    latencies = [f"{count} thread{'' if count == 1 else 's'}" for count in threads]
    accuracy, compared = ("top-1", "drop") if labeled else (), ("with fake-quantized",) if quantized else ()
    head = ("", *accuracy, agreement_title(output, "Keras"), *compared, "size", *latencies, "XNNPACK")
    rows = [
        (
            row.title,
            *((f"{row.top1:.2%}", f"{row.drop:.2f}") if labeled else ()),
            format_agreement(output, row.agreement),
            *((format_agreement(output, row.agreement_fake_quantized),) if quantized else ()),
            f"{row.file.bytes / 1000:,.0f} kB" if row.file else "",
            *(f"{row.file.latencies_ms[count]:.2f} ms" if row.file else "" for count in threads),
            _parts(row.file.partitions) if row.file else "",
        )
        for row in figures.rows
    ]
    return (
        f"{figures.parameters:,} parameters, {figures.macs:,} multiply-accumulates; "
        f"{figures.images:,} images; {'drop in points, ' if labeled else ''}latency of one image\n"
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


def _file_figures(benchmark: Any) -> FileFigures:
    return FileFigures(
        name=Path(benchmark.path).name,
        bytes=benchmark.size,
        latencies_ms={latency.threads: latency.median for latency in benchmark.latencies},
        partitions=benchmark.inspection.partitions,
        int8_only=benchmark.inspection.int8_only,
    )
