"""Runs trainings that kill themselves: python resume_driver.py FOLDER START...

Each START is a process of its own, forked after the imports, that trains in FOLDER/run until it is killed as START says
or done:

    step:E:S      killed after step S of epoch E
    save:E:S      killed half through writing the state of epoch E, step S
    validation:E  killed after the second validation step of epoch E
    files:E       killed when the state of epoch E is saved, before metrics are
    test          killed in the test
    done          not killed
    reference     not killed, and in FOLDER/reference

After each it prints one line of JSON: START, the exit status, and epoch and step of the saved state.
"""

import importlib.util
import io
import json
import os
import signal
import sys
from pathlib import Path

import keras
import matplotlib.figure  # noqa: F401  (once for all starts)
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny

import keras_lite.profiling  # noqa: F401
from keras_lite.training import Options, engine, fit, resume, run_folder


class KillAt(keras.callbacks.Callback):
    """Kills the process at a moment of the training."""

    def __init__(self, moment):
        super().__init__()
        self._moment = moment

    def on_epoch_begin(self, epoch, logs=None):
        self._current = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._moment == ("step", self._current, batch):
            die()

    def on_test_batch_end(self, batch, logs=None):
        if self._moment == ("validation", self._current) and batch == 1:
            die()

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def patch(moment):
    """Make a function kill the process where no callback is called."""
    if moment[0] == "save":
        write = np.savez

        def savez(path, **arrays):
            progress = json.loads(arrays["progress"].tobytes())
            if (progress["epoch"], progress["step"]) != moment[1:]:
                return write(path, **arrays)
            whole = io.BytesIO()
            write(whole, **arrays)
            with Path(path).open("wb") as file:
                file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
                file.flush()
                die()

        resume.np.savez = savez
    if moment[0] == "files":
        write_metrics = run_folder.write_metrics
        run_folder.write_metrics = lambda path, rows: die() if len(rows) == moment[1] + 1 else write_metrics(path, rows)
    if moment[0] == "test":
        engine._Run.test = lambda *arguments: die()


def callbacks(moment):
    """Stock callbacks with a state, and the one that kills, as the first."""
    return [
        KillAt(moment),
        keras.callbacks.ReduceLROnPlateau("loss", mode="max", factor=0.5, patience=1),
        keras.callbacks.EarlyStopping("val_loss", patience=50, restore_best_weights=True),
    ]


def start(folder, text):
    name, *numbers = text.split(":")
    moment = (name, *map(int, numbers))
    patch(moment)
    options = Options.of(tiny.RECIPE, seed=3, save_every_steps=3)
    output_dir = folder / ("reference" if name == "reference" else "run")
    fit(tiny.RECIPE, tiny.data(), options, output_dir, callbacks=callbacks(moment))


def main():
    if importlib.util.find_spec("tensorflow"):
        # On any backend Keras imports it to save a model: here once for all starts.
        importlib.import_module("tensorflow")
    folder = Path(sys.argv[1])
    for text in sys.argv[2:]:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                start(folder, text)
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        place = None
        if (folder / "run" / "resume.npz").exists():
            with np.load(folder / "run" / "resume.npz") as file:
                progress = json.loads(file["progress"].tobytes())
            place = [progress["epoch"], progress["step"]]
        print(json.dumps([text, status, place]), flush=True)


if __name__ == "__main__":
    main()
