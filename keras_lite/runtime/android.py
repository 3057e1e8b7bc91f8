"""Latency of TFLite files on an Android phone, measured by LiteRT's own program through adb."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from keras_lite.errors import InputError
from keras_lite.tables import text_table

_PROGRAM = "/data/local/tmp/benchmark_model"
# One name for all, since the phone's shell would take a space in a file's own name for its end.
_MODEL = "/data/local/tmp/keras_lite_model.tflite"


@dataclasses.dataclass(frozen=True)
class PhoneLatency:
    """Latency of a file on a phone.

    Args:
        path: The file.
        threads: Number of threads.
        average: Milliseconds of one run.
    """

    path: Path
    threads: int
    average: float


def set_up_commands(benchmark_model: str | os.PathLike | None, serial: str | None = None) -> list[list[str]]:
    """Return the commands that bring the program to a phone; none if it is there.

    Args:
        benchmark_model: LiteRT's `benchmark_model` for Android; None if it is on the phone.
        serial: Which phone; None if there is only one.
    """
    if benchmark_model is None:
        return []
    return [_adb(serial, "push", str(benchmark_model), _PROGRAM), _adb(serial, "shell", "chmod", "+x", _PROGRAM)]


def measure_commands(
    path: str | os.PathLike, threads: Sequence[int], runs: int = 100, serial: str | None = None
) -> list[list[str]]:
    """Return the commands that measure one file: bring it to the phone, run it with each number of threads, remove it.

    Args:
        path: The file.
        threads: Numbers of threads to measure with.
        runs: Measured runs.
        serial: Which phone; None if there is only one.

    Example:

    >>> measure_commands("model.tflite", [1])[0]
    ['adb', 'push', 'model.tflite', '/data/local/tmp/keras_lite_model.tflite']
    """
    options = [_PROGRAM, f"--graph={_MODEL}", "--use_xnnpack=true", f"--num_runs={runs}"]
    return [
        _adb(serial, "push", str(path), _MODEL),
        *(_adb(serial, "shell", *options, f"--num_threads={count}") for count in threads),
        _adb(serial, "shell", "rm", _MODEL),
    ]


def read_average(output: str) -> float:
    """Return the average milliseconds of a run from what `benchmark_model` printed.

    Raises:
        InputError: If there is none.
    """
    found = re.findall(r"Inference \(avg\): ([0-9.]+(?:e[+-]?[0-9]+)?)", output)
    if not found:
        raise InputError(f'Expected "Inference (avg)" from benchmark_model, received: {_last_line(output)}')
    return float(found[-1]) / 1000.0


def format_latencies(latencies: Sequence[PhoneLatency]) -> str:
    """Return a table, with ratios to the first file at the same number of threads."""
    first = {latency.threads: latency.average for latency in latencies if latency.path == latencies[0].path}
    rows = [("file", "threads", "average ms", "ratio")]
    for latency in latencies:
        ratio = latency.average / first[latency.threads]
        rows.append((str(latency.path), str(latency.threads), f"{latency.average:.3f}", f"{ratio:.2f}"))
    return text_table(rows)


def measure_on_phone(
    paths: Sequence[str | os.PathLike],
    threads: Sequence[int] = (1, 2, 4),
    runs: int = 100,
    *,
    benchmark_model: str | os.PathLike | None = None,
    serial: str | None = None,
    verbose: int = 0,
) -> list[PhoneLatency]:
    """Return the average time of one image of each file, at each number of threads, on the phone that adb finds.

    Args:
        paths: TFLite files.
        threads: Numbers of threads to measure with.
        runs: Measured runs of each file.
        benchmark_model: LiteRT's `benchmark_model` for Android; `None` if it is on the phone.
        serial: Which phone, if there are several.
        verbose: 1 prints the commands as they run.

    Raises:
        InputError: If a command fails or says no time.
    """
    for command in set_up_commands(benchmark_model, serial):
        _run(command, verbose)
    latencies = []
    for path in paths:
        outputs = [_run(command, verbose) for command in measure_commands(path, threads, runs, serial)]
        latencies += [
            PhoneLatency(Path(path), count, read_average(output))
            for count, output in zip(threads, outputs[1:-1], strict=True)
        ]
    return latencies


def has_phone(serial: str | None = None) -> bool:
    """Return whether adb is here and finds a phone.

    Args:
        serial: Which phone, as `adb devices` names it; `None` if there is only one.

    Raises:
        InputError: If it finds others, or several.
    """
    if shutil.which("adb") is None:
        return False
    listed = subprocess.run(["adb", "devices"], capture_output=True, text=True)
    phones = [line.partition("\t")[0] for line in listed.stdout.splitlines() if line.endswith("\tdevice")]
    if serial is not None and serial not in phones:
        raise InputError(f"Expected --serial to be one of adb's phones ({', '.join(phones)}), received {serial}.")
    if serial is None and len(phones) > 1:
        raise InputError(f"Expected --serial, because adb finds several phones: {', '.join(phones)}.")
    return bool(phones)


def _adb(serial: str | None, *arguments: str) -> list[str]:
    return ["adb", *([] if serial is None else ["-s", serial]), *arguments]


def _run(command: list[str], verbose: int) -> str:
    """Run a command and return what it said, on either stream."""
    if verbose:
        print(shlex.join(command), flush=True)
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    output = result.stdout + result.stderr
    if result.returncode:
        raise InputError(f"Expected `{shlex.join(command)}` to succeed, received: {_last_line(output)}")
    return output


def _last_line(output: str) -> str:
    return ([line.strip() for line in output.splitlines() if line.strip()] or ["no message"])[-1]
