import json
import sys

import pytest
from small_classifier import CLASSES, PREPROCESSING, color_images, scramble, tiny

from checks import verify_arm64
from keras_lite.data import ModelInfo
from keras_lite.export import Thresholds, to_tflite

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def tool():
    return verify_arm64


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "model.tflite"
    info = ModelInfo("small", CLASSES, PREPROCESSING, "logits")
    model, images = scramble(tiny(activation=None)), color_images(8, seed=0)[0]
    to_tflite(model, path, "int8", calibration=images, info=info, thresholds=Thresholds())
    return path


@pytest.fixture
def emulate(tmp_path, file):
    """Return the flags for an emulator that runs this machine's Python and then moves the outputs by some steps."""
    scale = json.loads(file.with_suffix(".json").read_text())["output_tensor"]["scale"]

    def flags(steps=0, command='"$@"'):
        program = tmp_path / "qemu"
        add = f"a['output0'] = a['output0'] + {steps * scale}"
        change = f"import sys, numpy; p = sys.argv[1]; a = dict(numpy.load(p)); {add}; numpy.savez(p, **a)"
        program.write_text(
            f'#!/bin/sh\nshift 4\n{command} || exit\n[ "$4" = examine ] || exit 0\n"$1" -c "{change}" "$9"\n'
        )
        program.chmod(0o755)
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        return ("--qemu", program, "--python", sys.executable, "--site_packages", site, "--images", 4)

    return flags


def test_outputs_may_differ_by_one_step(run_tool, tool, file, emulate, assert_one_line_error):
    finished = run_tool(tool, file, *emulate(steps=1), "--cpus", "one,two")
    assert finished.returncode == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines() if line.startswith("model ")]
    assert [row[:6] for row in rows] == [["model", cpu, "1", "12", "12", "12"] for cpu in ("one", "two")]

    finished = run_tool(tool, file, *emulate(steps=2), "--cpus", "one")
    assert_one_line_error(finished, "model.tflite on one", "difference of 2 steps")


def test_an_emulator_that_fails_is_named(run_tool, tool, file, emulate, assert_one_line_error):
    finished = run_tool(tool, file, *emulate(command="echo uncaught signal >&2; false"))
    assert_one_line_error(finished, "model.tflite", "cortex-a53", "uncaught signal")


def test_without_an_emulator_it_says_so(run_tool, tool, tmp_path, monkeypatch, assert_one_line_error):
    missing = tmp_path / "missing"
    assert_one_line_error(run_tool(tool, "--qemu", missing), "--qemu", missing)
    for name in ("qemu", "python", "site_packages"):
        monkeypatch.setattr(tool.FLAGS[name], "present", 0)
        monkeypatch.setattr(tool.FLAGS[name], "value", str(missing))
    finished = run_tool(tool)
    assert finished.returncode == 0
    assert finished.stdout.startswith("SKIPPED: nothing was run")
    assert "make arm64" in finished.stdout
