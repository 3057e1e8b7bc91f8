"""Fine-tuning in a process of its own: the same result, and what its death leaves."""

import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from small_classifier import scramble

from keras_lite.data import ArraySource, Batches, Preprocessing
from keras_lite.errors import InputError
from keras_lite.quantization import calibrate, finetune, quantize_aware
from keras_lite.quantization.aware import finetuning_worker
from keras_lite.quantization.aware.finetuning_process import finetune_apart
from keras_lite.quantization.aware.tf_mot.wrapping import is_finetuned

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
SIZE = 8
PREPROCESSING = Preprocessing((SIZE, SIZE), (0.5,) * 3, (0.5,) * 3)
ARGUMENTS = {"epochs": 2, "learning_rate": 2e-2}


class Changed(ArraySource):
    """A source of someone's own: this module is known to the process that runs the tests alone."""

    def images(self, indices):
        return 255 - super().images(indices)


def photos(count, seed):
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 200, (count, 1, 1, 3))
    return (colors + rng.integers(0, 56, (count, SIZE, SIZE, 3))).astype("uint8")


def batches(kind=ArraySource):
    return Batches(kind(photos(48, 1), np.arange(48) % 3, ["a", "b", "c"]), 16, PREPROCESSING, shuffle=True)


JUDGES = PREPROCESSING(photos(32, 2))


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False)(inputs)))
    outputs = layers.Dense(3, name="predictions")(layers.GlobalAveragePooling2D()(x))
    return scramble(keras.Model(inputs, outputs))


def blank(quantized):
    """Make a start that is bad, so that an epoch is kept: the classifier knows nothing."""
    for variable in quantized.trainable_variables:
        if "predictions" in getattr(variable, "path", variable.name):
            variable.assign(np.zeros(variable.shape))
    return quantized.get_weights()


@pytest.fixture(scope="module")
def once():
    model = network()
    quantized = quantize_aware(model, JUDGES, preprocessing=PREPROCESSING)
    return model, quantized, blank(quantized)


@pytest.fixture
def start(once):
    model, quantized, weights = once
    quantized.set_weights(weights)
    return model, quantized


def assert_as_it_was(once):
    _, quantized, weights = once
    assert all(np.array_equal(old, new) for old, new in zip(weights, quantized.get_weights(), strict=True))


@pytest.fixture
def replace_worker(tmp_path, monkeypatch):
    """Have another script run in place of the worker; REAL stands for its path."""
    real = finetuning_worker.__file__

    def replace(text):
        script = tmp_path / "worker.py"
        script.write_text("import os, pathlib, runpy, signal, sys\n" + text.replace("REAL", repr(real)))
        monkeypatch.setattr(finetuning_worker, "__file__", str(script))

    return replace


@pytest.mark.parametrize("engine", ["keras", pytest.param("tf_mot", marks=pytest.mark.slow)])
def test_the_result_is_that_of_this_process(start, engine):
    model, quantized = start
    if engine == "tf_mot":
        quantized = quantize_aware(model, engine="tf_mot")
        calibrate(quantized, JUDGES)
    weights = blank(quantized)
    wanted = finetune(quantized, batches(), model, judges=JUDGES, **ARGUMENTS)
    trained = quantized.get_weights()
    assert wanted.kept > 0
    quantized.set_weights(weights)

    found = finetune_apart(quantized, model, batches(), JUDGES, **ARGUMENTS)

    assert found == wanted
    assert all(np.array_equal(old, new) for old, new in zip(trained, quantized.get_weights(), strict=True))
    assert is_finetuned(quantized) == (engine == "tf_mot")


def test_a_death_is_one_line_and_survived_without_onednn(start, replace_worker, tmp_path, capfd):
    model, quantized = start
    replace_worker(
        "here = pathlib.Path(__file__)\n"
        "with here.with_name('tries.txt').open('a') as tries:\n"
        "    print(os.environ.get('TF_ENABLE_ONEDNN_OPTS'), file=tries)\n"
        "if os.environ.get('TF_ENABLE_ONEDNN_OPTS') != '0':\n"
        "    os.abort()\n"
        "runpy.run_path(REAL, run_name='__main__')\n"
    )
    found = finetune_apart(
        quantized, model, batches(), JUDGES, state_path=tmp_path / "state.npz", verbose=1, **ARGUMENTS
    )

    assert (tmp_path / "tries.txt").read_text().split()[-1] == "0"
    assert len((tmp_path / "tries.txt").read_text().split()) == 2
    line = "fine-tuning ended without a message (SIGABRT): it goes on after what was saved, without oneDNN"
    assert capfd.readouterr().out.splitlines().count(line) == 1
    assert (found.kept > 0, len(found.epochs), found.note) == (True, 2, line)
    assert line in str(found)


@pytest.mark.parametrize(("end", "name"), [("os.abort()", "SIGABRT"), ("os._exit(3)", "exit code 3")])
def test_two_deaths_leave_the_model_as_it_was(once, start, replace_worker, capfd, end, name):
    model, quantized = start
    replace_worker(end)
    found = finetune_apart(quantized, model, batches(), JUDGES, verbose=1, **ARGUMENTS)

    lines = [line for line in capfd.readouterr().out.splitlines() if "without a message" in line]
    assert lines == [
        f"fine-tuning ended without a message ({name}): it goes on after what was saved, without oneDNN",
        f"fine-tuning ended without a message ({name}): the model stays as it was",
    ]
    assert (found.kept, found.epochs, found.note) == (0, [], lines[1])
    assert str(found).splitlines()[1:] == [lines[1], "kept: the start"]
    assert_as_it_was(once)


def test_an_error_arrives_as_what_it_is(once, start):
    model, quantized = start
    with pytest.raises(InputError, match=r"Expected epochs to be 0 or more, received -1"):
        finetune_apart(quantized, model, batches(), JUDGES, epochs=-1)
    assert_as_it_was(once)


def test_a_source_that_no_other_process_knows_trains_here(start, monkeypatch):
    model, quantized = start
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "tests" not in path])
    found = finetune_apart(quantized, model, batches(Changed), JUDGES, **ARGUMENTS)
    assert (found.judges, len(found.epochs), found.note) == (32, 2, "")


PARENT = """
import pathlib, sys
from keras_lite.quantization.aware import finetuning_process, finetuning_worker
finetuning_worker.__file__ = sys.argv[1]
finetuning_process._run(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[2], "state.npz"), {})
"""


def test_it_ends_with_the_process_that_started_it(replace_worker, tmp_path, quick_environment):
    """What both print goes into one pipe, which ends when the last of them does."""
    replace_worker(
        "os.mkfifo(pathlib.Path(sys.argv[1], 'training.pickle'))\n"  # to be read for ever: nobody writes
        "print('here', flush=True)\n"
        "runpy.run_path(REAL, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", PARENT, finetuning_worker.__file__, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quick_environment) as parent:
        assert parent.stdout.readline() == "here\n"
        assert parent.poll() is None
        parent.kill()
        rest, _ = parent.communicate(timeout=120)
    assert rest == ""
    assert parent.returncode == -signal.SIGKILL
