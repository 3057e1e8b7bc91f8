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
TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.fixture
def drive(run_script, tmp_path, tmp_path_factory):
    """Run the driver in a folder for some starts; return what it said of each."""
    settings = {
        "OMP_NUM_THREADS": "1",  # tiny work: threads only wait for each other
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("jax")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def drive(*starts):
        driver = Path(__file__).with_name("resume_driver.py")
        finished = run_script(driver, tmp_path, *starts, env=os.environ | settings, timeout=500)
        said = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("[")]
        assert len(said) == len(starts), finished.stdout + finished.stderr
        return {start: (status, place) for start, status, place in said}

    return drive


@pytest.mark.parametrize("everywhere", [True] if TENSORFLOW else [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_run_ends_as_an_uninterrupted_one(drive, tmp_path, everywhere):
    # Where each start leaves the state: epoch and step to go on with.
    places = {"step:0:4": (KILLED, [0, 3]), "save:0:6": (KILLED, [0, 3])}
    if everywhere:
        places |= {"validation:0": (KILLED, [0, 6]), "files:0": (KILLED, [1, 0])}
    # Two processes, so that nothing that differs from process to process (such as hashes) has a say.
    assert drive(*places) == places
    second = drive("step:1:5", "test", "done", "reference")
    assert second == {
        "step:1:5": (KILLED, [1, 3]),
        "test": (KILLED, [3, 0]),
        "done": (0, [3, 0]),
        "reference": (0, [3, 0]),
    }
    run, reference = tmp_path / "run", tmp_path / "reference"
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in reference.iterdir())
    assert_same_state(run / "resume.npz", reference / "resume.npz")
    for name in ("best.weights.h5", "last.weights.h5"):
        assert_same_arrays(read_h5(run / name), read_h5(reference / name))
    assert (run / "metrics.csv").read_bytes() == (reference / "metrics.csv").read_bytes()
    assert without_time(run / "result.json") == without_time(reference / "result.json")
    # The callbacks had something to lose: the learning rate was halved on the way.
    rates = [line.split(",")[-1] for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert [float(rate) for rate in rates] == pytest.approx([0.01, 0.01, 0.005])


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
    differ = ("seconds", "peak_memory_bytes")
    return {name: value for name, value in json.loads(path.read_text()).items() if name not in differ}


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
