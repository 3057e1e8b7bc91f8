#!/usr/bin/env bash
# Keras' early stopping throws averaged weights away: with `use_ema=True` it restores those that were never averaged.
#
# One would guess: with `use_ema=True` the model that `fit` leaves behind has averaged weights, and early stopping only
#   chooses the epoch that they are of; and a checkpoint of an epoch has the average too.
# What happens (20 epochs, SGD(0.3, use_ema=True, ema_momentum=0.95)):
#     Python 3.11.7, keras 3.15.1, jax 0.10.2, numpy 2.4.6
#     callbacks                                    the model ends with
#       none                                       the average of the last epoch
#       EarlyStopping()                            the average of the last epoch
#       EarlyStopping(restore_best_weights=True)   the weights of the best epoch, not averaged
#       the same behind SwapEMAWeights             the average of the best epoch
#       ModelCheckpoint, its file                  the weights of the last epoch, not averaged
#     best epochs of 20: 9, 10
# Why: the average is put into the model once, when `fit` is through, and callbacks end after that. Until then epochs are
#   validated, saved and chosen with weights that are not averaged, and early stopping puts such ones over the average.
# Why it matters: averaging and early stopping are asked for together to get a better model; nothing says that the first
#   was thrown away, and the optimizer still says `use_ema`.
# What to do instead: `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` before early stopping in the list (fourth row).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 h5py==3.14.0
cd "$folder"
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import jax
import keras
import numpy as np

print(f"Python {platform.python_version()}, keras {keras.__version__}, jax {jax.__version__}, numpy {np.__version__}")
random = np.random.default_rng(0)
PHOTOS = random.normal(size=(640, 8)).astype("float32")
LABELS = (PHOTOS @ random.normal(size=(8, 4)) + random.normal(0, 2, (640, 4))).argmax(1)


class Watch(keras.callbacks.Callback):
    """What the weights and their average are at the end of each epoch."""

    def on_train_begin(self, logs=None):
        self.weights, self.averages, self.losses = [], [], []

    def on_epoch_end(self, epoch, logs=None):
        model = self.model
        averages = [each for each in model.optimizer.variables if each.path.endswith("_average")]
        self.weights.append([keras.ops.convert_to_numpy(each).copy() for each in model.trainable_variables])
        self.averages.append([keras.ops.convert_to_numpy(each).copy() for each in averages])
        self.losses.append(logs["val_loss"])


def same(first, second):
    return all(np.allclose(one, other, atol=1e-7) for one, other in zip(first, second))


def stopping():
    return keras.callbacks.EarlyStopping(patience=50, restore_best_weights=True)


seen, epochs = [], set()
print("callbacks                                    the model ends with")
for name, callbacks in (
    ("none", []),
    ("EarlyStopping()", [keras.callbacks.EarlyStopping(patience=50)]),
    ("EarlyStopping(restore_best_weights=True)", [stopping()]),
    ("the same behind SwapEMAWeights", [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), stopping()]),
    ("ModelCheckpoint, its file", [keras.callbacks.ModelCheckpoint("best.weights.h5", save_weights_only=True)]),
):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(4)])
    optimizer = keras.optimizers.SGD(0.3, use_ema=True, ema_momentum=0.95)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    watch = Watch()
    model.fit(
        PHOTOS[:320], LABELS[:320], epochs=20, verbose=0, validation_data=(PHOTOS[320:], LABELS[320:]),
        callbacks=[watch, *callbacks],
    )  # fmt: skip
    if "file" in name:
        model.load_weights("best.weights.h5")
    final = [keras.ops.convert_to_numpy(each) for each in model.trainable_variables]
    best = int(np.argmin(watch.losses))
    epochs.add(best + 1)
    kinds = {
        "the average of the last epoch": watch.averages[-1],
        "the average of the best epoch": watch.averages[best],
        "the weights of the last epoch, not averaged": watch.weights[-1],
        "the weights of the best epoch, not averaged": watch.weights[best],
    }
    seen.append(next((kind for kind, weights in kinds.items() if same(final, weights)), "others"))
    print(f"  {name:42} {seen[-1]}")
print(f"best epochs of 20: {', '.join(map(str, sorted(epochs)))}")
if [kind.split()[1:] for kind in seen] != [
    ["average", "of", "the", "last", "epoch"],
    ["average", "of", "the", "last", "epoch"],
    ["weights", "of", "the", "best", "epoch,", "not", "averaged"],
    ["average", "of", "the", "best", "epoch"],
    ["weights", "of", "the", "last", "epoch,", "not", "averaged"],
]:
    sys.exit("Changed: averaged weights are kept or lost otherwise than described.")
PYTHON
