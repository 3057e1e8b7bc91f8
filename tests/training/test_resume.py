"""Runs that are killed and taken up again, in processes of their own."""

import json
import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_lite.training import callback_state, set_callback_state

KILLED = -9


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """Run the driver for some starts; return the folder and what it said of each start."""
    folder = tmp_path_factory.mktemp("resume")
    settings = {
        "OMP_NUM_THREADS": "1",  # tiny work: threads only wait for each other
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("jax")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def drive(run_script, *starts):
        driver = Path(__file__).with_name("resume_driver.py")
        finished = run_script(driver, folder, *starts, env=os.environ | settings, timeout=500)
        said = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("[")]
        assert len(said) == len(starts), finished.stdout + finished.stderr
        return {start: (status, place) for start, status, place in said}, finished.stderr

    return folder, drive


def test_killed_run_ends_as_an_uninterrupted_one(driven, run_script):
    folder, drive = driven
    # Two processes, so that nothing that differs from process to process (such as hashes) has a say.
    first, _ = drive(run_script, "step:0:4", "save:0:6", "validation:0", "files:0")
    second, _ = drive(run_script, "step:1:5", "test", "done", "reference")
    # Where each start left the state: epoch and step to go on with.
    assert first == {
        "step:0:4": (KILLED, [0, 3]),
        "save:0:6": (KILLED, [0, 3]),
        "validation:0": (KILLED, [0, 6]),
        "files:0": (KILLED, [1, 0]),
    }
    assert second == {
        "step:1:5": (KILLED, [1, 3]),
        "test": (KILLED, [3, 0]),
        "done": (0, [3, 0]),
        "reference": (0, [3, 0]),
    }
    run, reference = folder / "run", folder / "reference"
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in reference.iterdir())
    assert_same_state(run / "resume.npz", reference / "resume.npz")
    for name in ("best.weights.h5", "last.weights.h5"):
        assert_same_arrays(read_h5(run / name), read_h5(reference / name))
    assert (run / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()
    assert without_time(run / "result.json") == without_time(reference / "result.json")
    # The callbacks had something to lose: the learning rate was halved on the way.
    rates = [line.split(",")[-1] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert float(rates[-1]) == pytest.approx(0.005)
    assert float(rates[0]) == pytest.approx(0.01)


def test_full_disk_ends_with_one_line_and_no_partial_file(driven, run_script):
    folder, drive = driven
    # Room for less and less: the model file, weights, the state and the metrics do not fit.
    said, errors = drive(run_script, "full:34000", "full:20000", "full:8000")
    assert [status for status, _ in said.values()] == [1, 1, 1], errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 3
    assert "Traceback" not in errors
    for line, name in zip(lines, ("model.keras", "last.weights.h5", "resume.npz"), strict=True):
        assert line.endswith(name), lines
    assert not [path for path in folder.glob("full-*/*") if "partial" in path.name or path.name == "result.json"]


def read_h5(path):
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]} if hasattr(item, "dtype") else {}))
    return arrays


def assert_same_arrays(arrays, others):
    assert arrays.keys() == others.keys()
    assert len(arrays) > 5
    different = [name for name in arrays if not np.array_equal(arrays[name], others[name])]
    assert not different


def assert_same_state(path, other):
    with np.load(path) as file, np.load(other) as other_file:
        arrays, others = dict(file), dict(other_file)
    progress, other_progress = (json.loads(each.pop("progress").tobytes()) for each in (arrays, others))
    assert progress.pop("seconds") > 0
    assert other_progress.pop("seconds") > 0
    assert progress == other_progress
    assert_same_arrays(arrays, others)


def without_time(path):
    return {name: value for name, value in json.loads(path.read_text()).items() if name != "seconds"}


def test_state_of_stock_callbacks_is_taken_and_given():
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    stopping.on_train_begin()
    stopping.wait, stopping.best, stopping.best_weights = 2, 0.25, [np.arange(3.0)]
    other = keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    other.on_train_begin()
    set_callback_state(other, callback_state(stopping))
    assert (other.wait, other.best) == (2, 0.25)
    np.testing.assert_array_equal(other.best_weights[0], np.arange(3.0))


def test_callback_may_say_what_its_state_is():
    class Counter(keras.callbacks.Callback):
        def get_state(self):
            return {"count": 7}

        def set_state(self, state):
            self.count = state["count"]

    counter = Counter()
    set_callback_state(counter, callback_state(counter))
    assert counter.count == 7
