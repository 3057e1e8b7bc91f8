#!/usr/bin/env bash
# Keras' `image_dataset_from_directory(format="grain", shuffle=True)` gives the same order in every epoch.
#
# One would guess: photos are shuffled anew in each epoch, as with `format="tf"` (TensorFlow 2.21: a new order each
#   time), and with arrays in `fit`. The documentation says of `format` only what type comes back and what it requires.
# What happens (12 photos in batches of 4, 3 epochs of `fit`; the numbers of the photos that the model trained on):
#     Python 3.11.7, keras 3.15.1 (JAX backend), jax 0.10.2, grain 0.2.18, numpy 2.4.6
#     of the folder:
#         [[5, 7, 0, 2], [1, 11, 9, 4], [8, 10, 3, 6]]
#         [[5, 7, 0, 2], [1, 11, 9, 4], [8, 10, 3, 6]]
#         [[5, 7, 0, 2], [1, 11, 9, 4], [8, 10, 3, 6]]
#     of the folder, with steps_per_epoch=3:
#         [[5, 7, 0, 2], [1, 11, 9, 4], [8, 10, 3, 6]]
#         [[5, 7, 0, 2], [1, 11, 9, 4], [8, 10, 3, 6]]
#     of a pipeline of Grain's own, which repeats after it shuffles:
#         [[11, 7, 6, 0], [4, 8, 9, 2], [10, 3, 1, 5]]
#         [[8, 4, 1, 7], [6, 9, 3, 2], [0, 5, 11, 10]]
#         [[4, 7, 11, 8], [2, 5, 10, 6], [1, 9, 3, 0]]
# Why: Grain's `shuffle` is a function of seed and place. A new order is drawn only where `repeat` follows it in one
#   pipeline, and Keras shuffles, batches and begins at the beginning in each epoch. `repeat` can't be added afterwards:
#   it has to come before the batches. As Keras doesn't know how many these are, `steps_per_epoch` has it look for one
#   more in the next epoch, which then has no step, repeats the loss of the one before, and warns, once, that the
#   training is interrupted, which it is not.
# Why it matters: the same photos make up each batch, so a batch's statistics, and the noise that helps training, are
#   the same for ever, also without `seed`. All one sees is a warning that `shuffle` of `fit` is ignored.
# What to do instead: a pipeline of one's own (last three lines), or a `PyDataset` that shuffles in `on_epoch_end`.
# Known to the library: its own test of this function expects it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 grain==0.2.18 pillow==13.0.0 numpy==2.4.6 h5py==3.14.0
cd "$folder"
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import importlib.metadata
import pathlib
import platform
import sys
import warnings

import grain
import jax
import keras
import numpy as np
from PIL import Image

print(f"Python {platform.python_version()}, keras {keras.__version__} (JAX backend), jax {jax.__version__}, "
      f"grain {importlib.metadata.version('grain')}, numpy {np.__version__}")
warnings.simplefilter("ignore")
EPOCHS, BATCH = 3, 4
for number in range(12):
    path = pathlib.Path("photos", "cats" if number < 6 else "dogs", f"{number:02}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
dataset = keras.utils.image_dataset_from_directory(
    "photos", image_size=(8, 8), batch_size=BATCH, shuffle=True, seed=1, format="grain", verbose=False
)


def loaded(number):
    return np.full((8, 8, 3), (number, 0, 0), "float32"), number // 6


own = grain.MapDataset.source(range(12)).shuffle(seed=1).repeat().map(loaded).to_iter_dataset().batch(BATCH)


class Seen(keras.layers.Layer):
    """Passes photos on, and keeps the numbers of those that it trained on."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def call(self, photos):
        jax.debug.callback(lambda red: self.epochs.append(red.astype(int).tolist()), photos[:, 0, 0, 0], ordered=True)
        return photos


def orders(data, **arguments):
    """The photos of each epoch of `fit` that has any, batch by batch."""
    seen = Seen()
    model = keras.Sequential([keras.Input((8, 8, 3)), seen, keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(data, epochs=EPOCHS, verbose=0, **arguments)
    jax.effects_barrier()
    steps = int(model.optimizer.iterations)
    batches = seen.epochs[-steps:]
    epochs = [batches[start : start + 3] for start in range(0, steps, 3)]
    for batches in epochs:
        print(f"    {batches}")
    return epochs


def drawn_anew(epochs):
    return len(epochs) == EPOCHS and all(epochs[0] != other for other in epochs[1:])


print("of the folder:")
folder = orders(dataset)
print("of the folder, with steps_per_epoch=3:")
steps = orders(dataset, steps_per_epoch=3)
print("of a pipeline of Grain's own, which repeats after it shuffles:")
repeated = orders(own, steps_per_epoch=3)
if folder != [folder[0]] * EPOCHS or steps != [folder[0]] * 2 or not drawn_anew(repeated):
    sys.exit("Changed: photos of a folder come in another order in each epoch, or not in all epochs.")
PYTHON
