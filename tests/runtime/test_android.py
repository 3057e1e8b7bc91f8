import os
import shlex

import pytest

from keras_lite.cli import android

pytestmark = pytest.mark.tensorflow_only

# What LiteRT's benchmark_model prints at its end, with times in microseconds.
REPORT = (
    "count=50 first=900 curr=1000 min=800 max=2000 avg={average} std=41\\n"
    "Inference timings in us: Init: 20283, First inference: 33930, Warmup (avg): 30281, Inference (avg): {average}\\n"
)


@pytest.fixture
def files(tmp_path):
    """Two files that begin like TFLite files; none is run here."""
    paths = [tmp_path / "float 32.tflite", tmp_path / "int8.tflite"]
    for path in paths:
        path.write_bytes(b"\0\0\0\0TFL3")
    return paths


@pytest.fixture
def adb(tmp_path, monkeypatch):
    """Put a program named adb first in PATH that notes its calls and answers as it is told."""

    def install(phones, answer="exit 0"):
        listed = "".join(f"{phone}\\n" for phone in ("List of devices attached", *phones))
        program = tmp_path / "bin" / "adb"
        program.parent.mkdir()
        program.write_text(
            f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\nall="$*"\n'
            f'if [ "$1" = devices ]; then printf "{listed}"; exit 0; fi\n{answer}\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return lambda: (tmp_path / "calls").read_text().splitlines()

    return install


def test_without_a_phone_the_commands_are_printed(run_tool, files, tmp_path, adb):
    calls = adb([])
    program = tmp_path / "benchmark_model"
    program.write_text("")

    finished = run_tool(android, *files, "--threads", "1,4", "--runs", 7, "--benchmark_model", program)

    assert finished.returncode == 0, finished.stderr
    assert calls() == ["devices"]
    first, *lines = finished.stdout.splitlines()
    assert "No phone" in first
    there, model = "/data/local/tmp/benchmark_model", "/data/local/tmp/keras_lite_model.tflite"
    run = f"adb shell {there} --graph={model} --use_xnnpack=true --num_runs=7 --num_threads="
    expected = [f"adb push {program} {there}", f"adb shell chmod +x {there}"]
    for file in files:
        expected += [f"adb push {shlex.quote(str(file))} {model}", f"{run}1", f"{run}4", f"adb shell rm {model}"]
    assert lines == expected


def test_phone_is_measured(run_tool, files, adb):
    # The second file, once it is pushed, is the faster one with one thread.
    calls = adb(
        ["phone\\tdevice"],
        'case "$all" in\n'
        '*push*int8*) touch "$0.second";;\n'
        f'*threads=1) if [ -e "$0.second" ]; then printf "{REPORT.format(average="1.5e+03")}" >&2; '
        f'else printf "{REPORT.format(average=4000)}"; fi;;\n'
        f'*threads=2) printf "{REPORT.format(average=2000.25)}";;\nesac',
    )

    finished = run_tool(android, *files, "--threads", "1,2")

    assert finished.returncode == 0, finished.stderr
    rows = [line.rsplit(maxsplit=3) for line in finished.stdout.splitlines()[-4:]]
    assert rows == [
        [str(files[0]), "1", "4.000", "1.00"],
        [str(files[0]), "2", "2.000", "1.00"],
        [str(files[1]), "1", "1.500", "0.38"],
        [str(files[1]), "2", "2.000", "1.00"],
    ]
    assert calls()[1] == f"push {files[0]} /data/local/tmp/keras_lite_model.tflite"
    assert calls()[-1] == "shell rm /data/local/tmp/keras_lite_model.tflite"


def test_one_of_several_phones(run_tool, files, adb, assert_one_line_error):
    calls = adb(["one\\tdevice", "two\\tdevice", "three\\tunauthorized"], f'printf "{REPORT.format(average=1)}"')

    assert_one_line_error(run_tool(android, files[0]), "--serial", "one, two")
    assert_one_line_error(run_tool(android, files[0], "--serial", "three"), "one, two", "three")
    finished = run_tool(android, files[0], "--serial", "two")

    assert finished.returncode == 0, finished.stderr
    used = [call for call in calls() if call != "devices"]
    assert len(used) == 5
    assert all(call.startswith("-s two ") for call in used)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("echo no space left >&2; exit 1", "no space left"),
        ("echo something else", "something else"),
        ("exit 0", "no message"),
    ],
)
def test_what_goes_wrong_on_the_phone_is_one_line(run_tool, files, adb, assert_one_line_error, answer, expected):
    adb(["phone\\tdevice"], answer)
    assert_one_line_error(run_tool(android, files[1]), expected)


def test_wrong_input_ends_in_one_line(run_tool, files, tmp_path, assert_one_line_error):
    assert_one_line_error(run_tool(android), "received none")
    assert_one_line_error(run_tool(android, tmp_path / "none.tflite"), "none.tflite", "not a file")
    assert_one_line_error(run_tool(android, files[0], "--threads", "0"), "--threads")
    missing = run_tool(android, files[0], "--benchmark_model", tmp_path / "x")
    assert_one_line_error(missing, "--benchmark_model")
