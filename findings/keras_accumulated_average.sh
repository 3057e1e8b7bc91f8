#!/usr/bin/env bash
# Keras averages weights (`use_ema`) in part-steps of `gradient_accumulation_steps` too, in which no weight moves.
#
# One would guess: batches of 16 with `gradient_accumulation_steps=2` train as batches of 32 do, the average of the
#   weights included; `ema_overwrite_frequency=2` puts the average in place of the weights after every second update.
# What happens (a dense layer, 1,024 samples, SGD; 64 part-steps are 32 updates):
#     Python 3.11.7, keras 3.15.1 (JAX backend), jax 0.10.2
#     32 updates, momentum 0.9; the largest distance from batches of 32:
#                                            of the weights   of their average
#       16, accumulated over 2                     0.000000           0.029307
#       the same, with the root of momentum        0.000000           0.003834
#       part-steps in which the average moves and no weight does: 30 of 31
#     ema_overwrite_frequency=2: weights move in 15 of 31 part-steps without an update
# Why: the optimizer looks at whether gradients are only added up when it updates the weights, not when it averages them.
#   What tells whether weights are overwritten counts updates, which stand still between two of them: it holds for each
#   part-step of an update, the first of which comes before that update. The three backends gave the same numbers on one
#   weight (tensorflow 2.21.0, torch 2.13.0).
# Why it matters: gradients are accumulated where a large batch does not fit. With 8 part-steps a momentum of 0.99 acts as
#   one of 0.92: the average, which is what `fit` leaves in the model in the end, is of the last dozen updates in place of
#   the last hundred. The documentation says of the frequency alone that it counts updates.
# What to do instead: give the root of the momentum, `ema_momentum ** (1 / steps)`, and no `ema_overwrite_frequency`.
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

print(f"Python {platform.python_version()}, keras {keras.__version__} (JAX backend), jax {jax.__version__}")
rng = np.random.default_rng(0)
images, classes = rng.normal(size=(1024, 20)).astype("float32"), rng.integers(0, 5, 1024)


class Kept(keras.callbacks.Callback):
    """What weights and their average are after each batch."""

    def __init__(self):
        super().__init__()
        self.weights, self.average = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.model.jax_state_sync()
        self.weights.append(np.array(self.model.trainable_variables[0]))
        self.average.append(np.array(self.model.optimizer._model_variables_moving_average[0]))


def trained(batch_size, momentum=0.9, steps=None, frequency=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(5)])
    optimizer = keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=momentum, ema_overwrite_frequency=frequency, gradient_accumulation_steps=steps
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    kept = Kept()
    model.fit(images, classes, batch_size=batch_size, shuffle=False, verbose=0, callbacks=[kept])
    return kept


def apart(first, second):
    return float(np.abs(first - second).max())


whole, parts, root = trained(32), trained(16, steps=2), trained(16, np.sqrt(0.9), steps=2)
print("32 updates, momentum 0.9; the largest distance from batches of 32:")
print("                                       of the weights   of their average")
found = {}
for name, run in (("16, accumulated over 2", parts), ("the same, with the root of momentum", root)):
    found[name] = apart(run.weights[-1], whole.weights[-1]), apart(run.average[-1], whole.average[-1])
    print(f"  {name:37}{found[name][0]:14.6f}{found[name][1]:19.6f}")
moved = [apart(*pair) > 0 for pair in zip(parts.average, parts.average[1:])]
still = [not apart(*pair) for pair in zip(parts.weights, parts.weights[1:])]
both = sum(a and b for a, b in zip(moved, still))
print(f"  part-steps in which the average moves and no weight does: {both} of {sum(still)}")
overwritten = trained(16, steps=2, frequency=2)
steps = [apart(*pair) > 0 for pair in zip(overwritten.weights[1:], overwritten.weights[2:])]
print(f"ema_overwrite_frequency=2: weights move in {sum(steps[::2])} of {len(steps[::2])} part-steps without an update")
if not (found["16, accumulated over 2"][1] > 0.001 > found["16, accumulated over 2"][0] and both and sum(steps[::2])):
    sys.exit("Changed: Keras averages weights only when they are updated.")
PYTHON
