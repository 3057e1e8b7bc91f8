#!/usr/bin/env bash
# Keras' `OrbaxCheckpoint` saves nothing of a second `fit` into its folder, without a word, unless `initial_epoch` is given.
#
# One would guess: who loads the last model of the folder and trains on with the same callback finds the new epochs there
#   afterwards, as with `ModelCheckpoint`.
# What happens:
#     Python 3.11.7, keras 3.15.1, jax 0.10.2, numpy 2.4.6,
#     orbax-checkpoint 0.12.8
#     3 epochs of 2 steps, then                steps of the model   steps of the model in the folder
#       fit(epochs=2)                                    10                     6
#       fit(epochs=3)                                    12                     6  StepAlreadyExistsError: Step 2 already exists.
#       fit(epochs=5, initial_epoch=3)                   10                    10
# Why: a checkpoint is named by the number of its epoch, which `fit` counts from 0 again. Orbax skips numbers below the
#   last one in the folder without a word; at the last one itself it raises.
# Why it matters: a training that is gone on with is lost when the process ends, or stops with an error at the epoch where
#   the first one ended. Another model's training into the same folder fares alike, and what is loaded is the first one.
# What to do instead: `initial_epoch=` the number of epochs that were trained, or a new folder for each call of `fit`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 orbax-checkpoint==0.12.8 numpy==2.4.6 h5py==3.14.0
cd "$folder"
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import importlib.metadata
import platform
import sys
from pathlib import Path

import jax
import keras
import numpy as np
from keras import layers

print(f"Python {platform.python_version()}, keras {keras.__version__}, jax {jax.__version__}, numpy {np.__version__},")
print(f"orbax-checkpoint {importlib.metadata.version('orbax-checkpoint')}")
PHOTOS = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 3, 64)


def make():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,), name="photo")
    hidden = layers.Dense(16, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="logits")(hidden), name="small")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def fit(model, folder, epochs, initial_epoch=0):
    callback = keras.callbacks.OrbaxCheckpoint(folder)
    model.fit(PHOTOS, LABELS, epochs=epochs, initial_epoch=initial_epoch, verbose=0, callbacks=[callback])


print("3 epochs of 2 steps, then                steps of the model   steps of the model in the folder")
seen = []
for name, arguments in (
    ("fit(epochs=2)", {"epochs": 2}),
    ("fit(epochs=3)", {"epochs": 3}),
    ("fit(epochs=5, initial_epoch=3)", {"epochs": 5, "initial_epoch": 3}),
):
    folder = Path.cwd() / name
    fit(make(), folder, 3)
    model = keras.models.load_model(folder)
    try:
        fit(model, folder, **arguments)
        error = ""
    except Exception as raised:
        error = f"  {type(raised).__name__}: {raised}"
    kept = keras.models.load_model(folder)
    seen.append((int(model.optimizer.iterations), int(kept.optimizer.iterations), bool(error)))
    print(f"  {name:32} {seen[-1][0]:18} {seen[-1][1]:21}{error}")
if seen != [(10, 6, False), (12, 6, True), (10, 10, False)]:
    sys.exit("Changed: OrbaxCheckpoint saves other epochs of a second training than described.")
PYTHON
