#!/usr/bin/env bash
# Keras loads an Orbax checkpoint by the names of layers, and says nothing where none fits: the model stays as it was.
#
# One would guess: weights go where those of a `.weights.h5` file go, by the layers' order, or an error says that a name is
#   missing; and `load_model` of a folder gives the model that was saved.
# What happens:
#     Python 3.11.7, keras 3.15.1, jax 0.10.2, numpy 2.4.6,
#     orbax-checkpoint 0.12.8
#     largest difference of the answers from those that were saved
#                      load_model(folder)   load_weights(folder)   load_weights(.weights.h5)
#       with_names                    0.00                  0.00                  0.00
#       functional                    0.00                  3.41                  0.00
#       sequential                    3.76                  3.41                  0.00
# Why: the checkpoint is a tree of paths such as "functional/dense/kernel", and what has no path in the model is left out
#   in silence. Names that Keras gives count up, so a second model of a process has others. A Sequential model that is made
#   from its configuration has other paths than one that was written, so `load_model` itself gives random weights
#   (keras-team/keras issue 23251).
# Why it matters: the loaded model answers at random, or is the untrained one, and nothing was raised, warned or printed.
# What to do instead: name the model and every layer; after loading compare one answer; or save `.keras` files.
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


def functional():
    inputs = keras.Input((8,))
    hidden = layers.Dense(16, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(3)(hidden))


def with_names():
    inputs = keras.Input((8,), name="photo")
    hidden = layers.Dense(16, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(hidden), name="small")


def sequential():
    return keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(3)])


def compiled(make):
    model = make()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def trained(make):
    model = compiled(make)
    for folder, weights_only in (("whole", False), ("weights", True)):
        callback = keras.callbacks.OrbaxCheckpoint(Path.cwd() / make.__name__ / folder, save_weights_only=weights_only)
        model.fit(PHOTOS, LABELS, epochs=2, verbose=0, callbacks=[callback])
        if folder == "whole":
            answers = model.predict(PHOTOS, verbose=0)
    model.save_weights(f"{make.__name__}.weights.h5")
    return answers, model.predict(PHOTOS, verbose=0)


def loaded(make, file):
    model = compiled(make)
    model.load_weights(file)
    return model.predict(PHOTOS, verbose=0)


print("largest difference of the answers from those that were saved")
print("                 load_model(folder)   load_weights(folder)   load_weights(.weights.h5)")
seen = {}
for make in (with_names, functional, sequential):
    keras.utils.set_random_seed(0)
    whole, weights = trained(make)
    received = (
        keras.models.load_model(Path.cwd() / make.__name__ / "whole").predict(PHOTOS, verbose=0) - whole,
        loaded(make, Path.cwd() / make.__name__ / "weights") - weights,
        loaded(make, f"{make.__name__}.weights.h5") - weights,
    )
    seen[make.__name__] = [float(np.abs(each).max()) for each in received]
    print(f"  {make.__name__:12}" + "".join(f"{off:22.2f}" for off in seen[make.__name__]))
wrong = {name: [off > 0.01 for off in row] for name, row in seen.items()}
if wrong != {"with_names": [False] * 3, "functional": [False, True, False], "sequential": [True, True, False]}:
    sys.exit("Changed: other Orbax checkpoints are loaded, or not, than described.")
PYTHON
