#!/usr/bin/env bash
# Keras' schedules count batches, not updates, with `gradient_accumulation_steps`, which `optimizer.iterations` counts.
#
# One would guess: four batches of 4 photos to an update train as one batch of 16 does, with the same schedule, whose steps
#   are those of `optimizer.iterations`.
# What happens:
#     Python 3.11.7, keras 3.15.1, jax 0.10.2, numpy 2.4.6
#     10 updates of 16 photos, a rate from 0.1 to 0 over 10 steps
#       batches of 16: optimizer.iterations 10, weights moved 10 times, at rates of
#         0.10 0.09 0.08 0.07 0.06 0.05 0.04 0.03 0.02 0.01
#       batches of 4, 4 to an update: optimizer.iterations 10, weights moved 2 times, at rates of
#         0.07 0.03
# Why: the optimizer divides its count of batches by the part-steps where it shows it, as for Adam's bias correction, but
#   gives the schedule the count itself.
# Why it matters: gradients are accumulated to train with a large batch on a small device, and decay_steps taken from the
#   number of updates. The rate is then used up after a quarter of the training, and the rest of it does nothing.
# What to do instead: steps of a schedule in batches, `decay_steps = updates * gradient_accumulation_steps`, and so for
#   warm-up and boundaries.
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
PHOTOS = np.random.default_rng(0).normal(size=(160, 8)).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 4, 160)
UPDATES, PARTS = 10, 4


class Watch(keras.callbacks.Callback):
    """The rate before each batch, and how far the batch moved the weights."""

    def on_train_begin(self, logs=None):
        self.rates, self.moves, self.before = [], [], self.weights()

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))

    def on_train_batch_end(self, batch, logs=None):
        after = self.weights()
        self.moves.append(float(np.abs(after - self.before).max()))
        self.before = after

    def weights(self):
        return keras.ops.convert_to_numpy(self.model.trainable_variables[0]).copy()


def train(parts, batch_size):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, UPDATES, end_learning_rate=0.0)
    optimizer = keras.optimizers.SGD(schedule, gradient_accumulation_steps=parts)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    watch = Watch()
    model.fit(PHOTOS, LABELS, batch_size=batch_size, shuffle=False, verbose=0, callbacks=[watch])
    updates = [at for at, moved in enumerate(watch.moves) if moved]
    return int(optimizer.iterations), [watch.rates[at] for at in updates]


print(f"{UPDATES} updates of 16 photos, a rate from 0.1 to 0 over {UPDATES} steps")
seen = []
for name, parts, batch_size in (("batches of 16", None, 16), ("batches of 4, 4 to an update", PARTS, 4)):
    iterations, rates = train(parts, batch_size)
    seen.append((iterations, len(rates)))
    print(f"  {name}: optimizer.iterations {iterations}, weights moved {len(rates)} times, at rates of")
    print(f"    {' '.join(f'{rate:.2f}' for rate in rates)}")
if seen != [(10, 10), (10, 2)]:
    sys.exit("Changed: schedules count updates when gradients are accumulated.")
PYTHON
