"""The published latency table, measured on this machine: one image of 224 x 224 pixels through LiteRT."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import keras
import numpy as np
from absl import flags

from checks.known_weights import set_known_weights
from keras_lite import published
from keras_lite.cli import command_line
from keras_lite.errors import InputError, import_extra
from keras_lite.export import Thresholds, to_tflite
from keras_lite.files import write_json
from keras_lite.quantization import quantize_aware
from keras_lite.quantization.aware.tf_mot.calibration import calibrate
from keras_lite.runtime.benchmark import benchmark_files, thread_count
from keras_lite.tables import text_table
from keras_lite.training.environment import environment
from ledger.results import LatencyResult, write_result

_STOCK = "stock-int8"  # what the stock converter makes of the float model
PRECISIONS = ("float32", "int8", _STOCK)
# What else the builders of networks take, where it makes them faster: without hard-swish and channel attention.
PHONE_FRIENDLY = {"activation": "relu6", "gate": None}
_FORM = " phone-friendly"
_CALIBRATION_IMAGES = 32
_STATISTICS = 8  # images that batch normalization's statistics are taken of


def latency_flags() -> flags.FlagValues:
    """Return the flags of `recipes/latency.py`."""
    values = command_line.new_flags()
    rows = [latency.id.partition("/")[2] for latency in published.latencies()]
    every = [str(count) for count in range(1, (os.cpu_count() or 1) + 1)]
    flags.DEFINE_list("rows", rows, "The rows to measure; of other tables as table/model/variant.", flag_values=values)
    text = f"Out of {', '.join(PRECISIONS)}, which the stock converter makes."
    flags.DEFINE_list("precisions", ["float32", "int8"], text, flag_values=values)
    text = "Also each network that has them without its hard-swish and channel attention: relu6 and nothing."
    flags.DEFINE_boolean("phone_friendly", False, text, flag_values=values)
    flags.DEFINE_list("threads", every, "Numbers of threads.", flag_values=values)
    flags.DEFINE_integer("runs", 100, "Measured runs of each file.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("output_dir", "runs/latency", "Where the .tflite files go and stay.", flag_values=values)
    flags.DEFINE_string("results_dir", None, "Where to record the figures, such as `results`.", flag_values=values)
    flags.DEFINE_string("remark", None, "What a reader of the record must know besides.", flag_values=values)
    flags.DEFINE_boolean("smoke", False, "One small network and few runs.", flag_values=values)
    return values


def run_latency(usage: str, arguments: list[str] | None = None) -> NoReturn:
    """Measure what the command line says, print a table, and end the process.

    Args:
        usage: The help text; the `__doc__` of the recipe.
        arguments: The command line without the program's name. Defaults to `sys.argv[1:]`.
    """
    command_line.run(_main, latency_flags(), usage, arguments)


def write_files(
    rows: Sequence[str], precisions: Sequence[str], folder: Path, phone_friendly: bool = False
) -> dict[tuple[str, str], Path]:
    """Write the TFLite files of latency rows; a file that is there already stays.

    The weights are random, always the same, with the statistics of a trained network: the time does not depend on
    them, but with values that vanish from layer to layer XNNPACK would not take some int8 operators.

    Args:
        rows: Rows of the latency table, as `model/variant`, or of any other, as `table/model/variant`.
        precisions: Out of `PRECISIONS`.
        folder: Where to write.
        phone_friendly: Whether to write each network also in its `PHONE_FRIENDLY` form, if it has one.

    Returns:
        Row and precision -> file; the precision of that form is `"int8 phone-friendly"`, say.

    Raises:
        InputError: If a row or a precision is not known, or a model can't be converted.
    """
    listed = {latency.id.partition("/")[2]: latency.row for latency in published.latencies()}
    known = {**listed, **{row.id: row for row in published.rows()}}
    for row in rows:
        if row not in known:
            raise InputError(
                f"Expected --rows out of {', '.join(listed)}, or as in sports100/carnet18/ours, received {row}."
            )
    for precision in precisions:
        if precision not in PRECISIONS:
            raise InputError(f"Expected --precisions out of {', '.join(PRECISIONS)}, received {precision}.")
    files = {}
    for row in rows:
        forms = {"": {}}
        if phone_friendly and (options := _phone_friendly(known[row])):
            forms[_FORM] = options
        for form, options in forms.items():
            model = None
            for precision in precisions:
                kind = precision + form
                path = folder / f"{row.replace('/', '_')}_{kind.replace(' ', '_')}.tflite"
                files[row, kind] = path
                if path.exists():
                    continue
                print(f"writing {path}", flush=True)
                if model is None:
                    model = known[row].build(classifier_activation=None, **options)
                    images = np.random.default_rng(0).normal(size=(_CALIBRATION_IMAGES, *known[row].input))
                    images = images.astype("float32")
                    set_known_weights(model, images[:_STATISTICS])
                _write(model, path, precision, images)
    return files


def _phone_friendly(row: published.Row) -> dict[str, str | None]:
    """Return which options of the phone-friendly form a row's network has."""
    return {name: value for name, value in PHONE_FRIENDLY.items() if name in row.options()}


def _write(model: keras.Model, path: Path, precision: str, images: np.ndarray) -> None:
    if precision == "float32":
        to_tflite(model, path, samples=images[:2])
        return
    if precision == _STOCK:
        # With random weights, outputs for noise are too close together to be compared.
        to_tflite(model, path, "int8", calibration=images, samples=images[:2], thresholds=Thresholds(), stock=True)
        return
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images)
    to_tflite(quantized, path, "int8", samples=images[:2])


def _main(values: flags.FlagValues, positional: list[str]) -> None:
    if positional:
        raise InputError(f"Expected flags only, received {' '.join(positional)}.")
    threads = [thread_count(text) for text in values.threads]
    rows, runs = values.rows, values.runs
    if values.smoke:
        rows, runs, threads = ["shufflenetv2/original", "shufflenetv2/ours"], 5, threads[:1]
    import_extra("ai_edge_litert.interpreter", "litert")
    files = write_files(rows, values.precisions, Path(values.output_dir), values.phone_friendly)
    benchmarks = benchmark_files(list(files.values()), threads, runs)
    times = {
        (row, precision, latency.threads): latency.median
        for (row, precision), benchmark in zip(files, benchmarks, strict=True)
        for latency in benchmark.latencies
    }
    print(latency_table(times))
    write_json(Path(values.output_dir) / "latency.json", [benchmark.to_dict() for benchmark in benchmarks])
    if values.results_dir is not None:
        for count, precision in sorted({key[1:][::-1] for key in times}):
            _record(times, count, precision, results_dir=values.results_dir, remark=values.remark)


def latency_table(times: dict[tuple[str, str, int], float]) -> str:
    """Return milliseconds, with the ratio of ours to the original, beside the published ones.

    Args:
        times: Row (`model/variant`), precision (with its form) and number of threads -> milliseconds.
    """
    columns = sorted({key[1:] for key in times})
    printed = {latency.id.partition("/")[2]: latency.milliseconds for latency in published.latencies()}
    devices = list(next(iter(printed.values())))
    head = ("row", *(f"{precision}, threads: {count}" for precision, count in columns), *devices)
    lines = [head]
    for row in dict.fromkeys(key[0] for key in times):
        measured = (_cell(row, {key[0]: value for key, value in times.items() if key[1:] == c}) for c in columns)
        theirs = (_cell(row, {name: values[device] for name, values in printed.items()}) for device in devices)
        lines.append((row, *measured, *theirs))
    return text_table(lines) + "\nmilliseconds; in brackets the ratio of ours to the original"


def _cell(row: str, times: dict[str, float]) -> str:
    if row not in times:
        return "-"
    model, _, variant = row.partition("/")
    original = times.get(f"{model}/original")
    ratio = f" ({times[row] / original:.2f})" if variant == "ours" and original else ""
    return f"{times[row]:.2f}{ratio}"


def _row_id(row: str) -> str:
    """Return the id of a row of the latency table, or that of a row of another table as it is."""
    return row if row.count("/") == 2 else f"latency/{row}"


def _record(times: dict, threads: int, precision: str, *, results_dir: str, remark: str | None) -> None:
    here = environment()
    result = LatencyResult(
        device=here["machine"]["processor"] or platform.machine(),
        threads=threads,
        precision=precision,
        milliseconds={
            _row_id(row): round(value, 3)
            for (row, kind, count), value in times.items()
            if (kind, count) == (precision, threads)
        },
        versions=here["versions"],
        commit=here["commit"],
        remark=remark,
    )
    write_result(result, results_dir)
