#!/usr/bin/env bash
# Keras' `BackupAndRestore(save_freq=N)` begins the epoch again with the weights of its middle, and ends with more steps.
#
# One would guess: a training that is backed up every N steps goes on at the step of the last backup; the file beside the
#   weights does hold the number of its batch.
# What happens:
#     Python 3.11.7, keras 3.15.1, jax 0.10.2, numpy 2.4.6
#     3 epochs of 10 steps, a rate that ends at 0 after 30
#       save_freq='epoch'
#         the optimizer counts 30 steps; weights off by 0.0000
#       save_freq='epoch', stopped after step 18, begun again
#         stopped; beside the backup lies {"epoch": 1, "batch": 0}
#         the optimizer counts 30 steps; weights off by 0.0000
#       save_freq=1, stopped after step 18, begun again
#         stopped; beside the backup lies {"epoch": 1, "batch": 7}
#         the optimizer counts 38 steps; weights off by 0.0470
# Why: weights, optimizer and epoch are read back, the batch is not. The epoch begins at its first batch with weights that
#   have seen the first half of it.
# Why it matters: each stop trains on some photos once more, and a schedule by steps runs out before the last epoch does,
#   here with a rate of 0 for the last 8 steps. A training that is stopped within every epoch never gets past it, but goes
#   on learning its first photos.
# What to do instead: `save_freq="epoch"`, with epochs as short as what may be lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 h5py==3.14.0
cd "$folder"
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import json
import platform
import sys
from pathlib import Path

import jax
import keras
import numpy as np

print(f"Python {platform.python_version()}, keras {keras.__version__}, jax {jax.__version__}, numpy {np.__version__}")
PHOTOS = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 4, 100)
EPOCHS, BATCHES = 3, 10


class Stop(keras.callbacks.Callback):
    """Stop as a killed process does, after some steps; count them."""

    def __init__(self, at):
        super().__init__()
        self.at, self.steps = at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt


def train(save_freq, stop_at):
    """Return a model trained for 3 epochs of 10 steps, stopped once if asked for, and how often it was stepped."""
    steps = 0
    for at in (stop_at, None) if stop_at else (None,):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        schedule = keras.optimizers.schedules.PolynomialDecay(0.5, EPOCHS * BATCHES)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(schedule), loss)
        stop, folder = Stop(at), f"backup_{save_freq}"
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)
        try:
            model.fit(PHOTOS, LABELS, batch_size=10, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[backup, stop])
        except KeyboardInterrupt:
            print(f"    stopped; beside the backup lies {Path(folder, 'training_metadata.json').read_text()}")
        steps += stop.steps
    return model, steps


print(f"{EPOCHS} epochs of {BATCHES} steps, a rate that ends at 0 after {EPOCHS * BATCHES}")
seen = []
whole, _ = train("epoch", None)
for save_freq, stop_at in (("epoch", None), ("epoch", 18), (1, 18)):
    print(f"  save_freq={save_freq!r}{f', stopped after step {stop_at}, begun again' if stop_at else ''}")
    model, steps = train(save_freq, stop_at)
    off = max(float(np.abs(one - other).max()) for one, other in zip(model.get_weights(), whole.get_weights()))
    iterations = int(model.optimizer.iterations)
    seen.append((iterations, off == 0))
    print(f"    the optimizer counts {iterations} steps; weights off by {off:.4f}")
if seen != [(30, True), (30, True), (38, False)]:
    sys.exit("Changed: a backup in the middle of an epoch goes on otherwise than described.")
PYTHON
