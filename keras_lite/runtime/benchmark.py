"""Benchmark of TFLite files: latency and size, side by side."""

import dataclasses
import os
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.errors import InputError
from keras_lite.runtime.inspection import Inspection, inspect
from keras_lite.runtime.worker_process import call_worker, check_tflite

_ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Latency:
    """The time of one run in milliseconds.

    Args:
        threads: Number of threads.
        median: Median of the runs.
        p95: 95th percentile of the runs.
    """

    threads: int
    median: float
    p95: float


@dataclasses.dataclass(frozen=True)
class FileBenchmark:
    """Size and latency of a TFLite file.

    Args:
        path: The file.
        size: Its size in bytes.
        inspection: Its contents.
        latencies: A `Latency` for each number of threads.
    """

    path: Path
    size: int
    inspection: Inspection
    latencies: list[Latency]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return {
            "file": self.path.name,
            "bytes": self.size,
            "operators": self.inspection.operator_counts(),
            "partitions": self.inspection.partitions,
            "not_delegated": self.inspection.not_delegated,
            "latency_ms": [dataclasses.asdict(latency) for latency in self.latencies],
        }


def benchmark_files(
    paths: Sequence[str | os.PathLike], threads: Sequence[int] = (1,), runs: int = 100, warm_up: int = 10
) -> list[FileBenchmark]:
    """Return the size and latency of TFLite files in LiteRT with XNNPACK, with a batch of 1.

    The files take turns, each in a process of its own, so that changes of the machine's speed affect all of them.

    Args:
        paths: The files.
        threads: Numbers of threads to measure with.
        runs: Measured runs of each file at each number of threads.
        warm_up: Runs before the measured ones, in each turn.

    Returns:
        A `FileBenchmark` for each file, in order.

    Raises:
        InputError: If a file is missing, is no TFLite file, or can't be run.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    [float32, int8] = benchmark_files(["model.tflite", "model_int8.tflite"], threads=[1])
    int8.latencies[0].median / float32.latencies[0].median  # such as 0.4: the share of the time
    ```
    """
    paths = [check_tflite(path) for path in paths]
    inspections = [inspect(path) for path in paths]
    times: dict[tuple[Path, int], list[float]] = {(path, count): [] for path in paths for count in threads}
    share = -(-runs // _ROUNDS)
    for _ in range(_ROUNDS):
        for path, count in times:
            measured = call_worker("measure", path, threads=count, runs=share, warm_up=warm_up)
            times[path, count] += measured["milliseconds"]
    return [
        FileBenchmark(
            path,
            path.stat().st_size,
            inspection,
            [_latency(count, times[path, count]) for count in threads],
        )
        for path, inspection in zip(paths, inspections, strict=True)
    ]


def format_benchmarks(benchmarks: Sequence[FileBenchmark]) -> str:
    """Return the figures of files as text, with ratios to the first."""
    width = max(len(str(benchmark.path)) for benchmark in benchmarks)
    first = benchmarks[0]
    lines = [f"{'file':{width}}  threads  median ms  p95 ms  ratio  size kB  ratio  XNNPACK"]
    for benchmark in benchmarks:
        for latency, reference in zip(benchmark.latencies, first.latencies, strict=True):
            lines.append(
                f"{benchmark.path!s:{width}}  {latency.threads:7d}  {latency.median:9.3f}  {latency.p95:6.2f}  "
                f"{latency.median / reference.median:5.2f}  {benchmark.size / 1000:7.0f}  "
                f"{benchmark.size / first.size:5.2f}  {_delegated(benchmark.inspection)}"
            )
    for benchmark in benchmarks:
        counts = ", ".join(f"{count} {name}" for name, count in benchmark.inspection.operator_counts().items())
        lines.append(f"{benchmark.path}: {counts}")
    return "\n".join(lines)


def thread_count(text: str) -> int:
    """Return a number of threads from its text on the command line.

    Raises:
        InputError: If it is none.
    """
    if not re.fullmatch(r"[1-9]\d{0,2}", text.strip()):
        raise InputError(f"Expected --threads as whole numbers with commas between, received {text!r}.")
    return int(text)


def _latency(threads: int, times: list[float]) -> Latency:
    return Latency(threads, statistics.median(times), float(np.percentile(times, 95)))


def _delegated(inspection: Inspection) -> str:
    left = inspection.not_delegated
    parts = f"{inspection.partitions} partition{'' if inspection.partitions == 1 else 's'}"
    return parts if not left else f"{parts}, without {', '.join(sorted(set(left)))}"
