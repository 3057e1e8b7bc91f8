"""A file is opened, started, run and read in one process of its own, which says how far it came."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from int8_models import calibrated
from small_classifier import color_images, scramble

from keras_lite.export import to_tflite
from keras_lite.litert import write
from keras_lite.quantization import post_training
from keras_lite.runtime import LiteRTError, LiteRTModel, examine, litert_worker, run_in_subprocess

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
IMAGES = color_images(12, seed=0)[0]


def small():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(5, 3, strides=2, activation="relu", name="stem")(inputs)
    return scramble(keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling2D()(x))))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An int8 file."""
    path = tmp_path_factory.mktemp("files") / "small.tflite"
    path.write_bytes(write(calibrated(small(), IMAGES).graph))
    return path


@pytest.fixture
def started(monkeypatch):
    """The command lines of the processes that are started."""
    commands = []

    class Counted(subprocess.Popen):
        def __init__(self, command, *arguments, **options):
            commands.append(list(map(str, command)))
            super().__init__(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)
    return commands


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_export_starts_one_process(precision, started, tmp_path):
    # What quantizes a model runs each file that it tries.
    model = post_training(small(), IMAGES)[0] if precision == "int8" else small()
    started.clear()
    to_tflite(model, tmp_path / "model.tflite", precision, samples=IMAGES)
    [command] = [command for command in started if command[0] == sys.executable]
    assert litert_worker.__file__ in command


def test_all_of_it_from_one_process(file, started):
    found = examine(file, images=IMAGES, with_kernels=True)
    assert len(started) == 1
    assert [operator["name"] for operator in found.inspection.operators] == ["CONV_2D", "MEAN", "FULLY_CONNECTED"]
    assert (found.inspection.partitions, found.inspection.not_delegated) == (1, [])
    np.testing.assert_array_equal(found.outputs, LiteRTModel(file).predict(IMAGES))
    model = small()
    for name, kernel in zip(("stem", "head"), found.kernels, strict=True):
        weights, _ = model.get_layer(name).get_weights()
        assert kernel.values.dtype == "int8"
        assert kernel.bias.shape == weights.shape[-1:]
        steps = kernel.steps.reshape(-1, *[1] * (kernel.values.ndim - 1))
        as_floats = np.moveaxis(kernel.values * steps, 0, -1)
        assert np.abs(as_floats - weights).max() <= 0.51 * kernel.steps.max()


def test_what_is_not_asked_for_is_not_done(file):
    found = examine(file, delegates=False)
    assert (found.inspection.partitions, found.outputs, found.kernels) == (None, None, None)
    assert examine(file).inspection.partitions == 1


def test_scales_that_xnnpack_cannot_run_end_it(file, tmp_path, monkeypatch):
    replace_worker(monkeypatch, tmp_path, "LARGEST_SCALE_RATIO = 0.0")
    found = examine(file, images=IMAGES, with_kernels=True, stop_at_bad_scales=True)
    assert [re.search(r"\((\w+)\)", line)[1] for line in found.inspection.bad_scales] == ["CONV_2D", "FULLY_CONNECTED"]
    assert (found.inspection.partitions, found.outputs, found.kernels) == (None, None, None)
    # Whoever does not mind gets all of it.
    found = examine(file, images=IMAGES, with_kernels=True)
    assert (len(found.inspection.bad_scales), len(found.outputs), len(found.kernels)) == (2, 12, 2)


@pytest.mark.parametrize(
    ("part", "stage"),
    {
        "contents": "LiteRT opened it",
        "delegation": "XNNPACK started",
        "predict": "it ran the images",
        "kernels": "its kernels were read",
    }.items(),
)
def test_the_stage_that_the_process_died_in_is_named(part, stage, file, tmp_path, monkeypatch):
    replace_worker(monkeypatch, tmp_path, DYING, f"{part} = dying")
    with pytest.raises(LiteRTError) as died:
        examine(file, images=IMAGES, with_kernels=True)
    assert str(died.value) == f"LiteRT can't run small.tflite: its process died of SIGABRT while {stage} (out of luck)"


def test_a_file_without_its_name_yet_is_called_by_it(tmp_path, monkeypatch):
    replace_worker(monkeypatch, tmp_path, DYING, "delegation = dying")
    with pytest.raises(LiteRTError, match=r"model\.tflite: .* while XNNPACK started \(out"):
        to_tflite(small(), tmp_path / "files" / "model.tflite", samples=IMAGES)
    assert list((tmp_path / "files").iterdir()) == []


def test_a_refusal_is_what_litert_says(file):
    with pytest.raises(LiteRTError, match=r"^LiteRT can't run small\.tflite: ValueError: .*[Dd]imension") as refused:
        run_in_subprocess(file, IMAGES[:, :16])
    assert "\n" not in str(refused.value)


DYING = """
def dying(*arguments):
    import os, sys
    print("out of luck", file=sys.stderr, flush=True)
    os.abort()
"""


def replace_worker(monkeypatch, folder, *lines):
    """Have the process run a copy of the worker with some of its names given other values."""
    start = 'if __name__ == "__main__":'
    source = Path(litert_worker.__file__).read_text(encoding="utf-8")
    assert source.count(start) == 1
    worker = folder / "worker.py"
    worker.write_text(source.replace(start, "\n".join([*lines, start])), encoding="utf-8")
    monkeypatch.setattr(litert_worker, "__file__", str(worker))
