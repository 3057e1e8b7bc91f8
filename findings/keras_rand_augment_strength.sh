#!/usr/bin/env bash
# Keras' `RandAugment` by default turns photos by up to 180 degrees, moves, turns and brightens them one way only, and
# does the same operations to all photos of a batch.
#
# One would guess: the method of the paper that it names: each photo gets operations of its own, turned by at most 30
#   degrees at full strength, moved, turned and brightened both ways; and half of that by default (`factor=0.5`).
# What happens (2,000 draws of the layer's own operations; then 100 batches of 8 equal photos, `num_ops=1`):
#     Python 3.11.7, keras 3.15.1 (JAX backend), jax 0.10.2, numpy 2.4.6
#     rotation    from    0.0 to  180.0 degrees
#     translation from   0.0% to  50.0% of the side
#     brightness  from    0.0 to  127.5 levels of 255
#     batches whose 8 photos are changed in the same way: 17% (8 draws of their own: 0%)
# Why: `factor` goes to each operation as it is, as the pair (0, 0.5). To `RandomRotation` half of a full circle is 0.5,
#   and for all of them a pair has no other sign. The numbers of the operations are drawn once for a batch.
#   The two operations without a strength of their own (equalize, contrast) give equal photos equal pixels.
# Why it matters: most classes do not look the same upside down, and a network that sees only brighter photos meets dark
#   ones in the field. Numbers for strengths that are published for RandAugment mean something else here; and batches
#   of one operation each make the statistics of batch normalization jump.
# What to do instead: look at the augmented photos. Use a `factor` of 0.1 or less, or compose `RandomRotation`,
#   `RandomTranslation` and `RandomBrightness` with symmetrical ranges yourself, which draw for each photo.
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

versions = f"keras {keras.__version__} (JAX backend), jax {jax.__version__}, numpy {np.__version__}"
print(f"Python {platform.python_version()}, {versions}")
layer = keras.layers.RandAugment(seed=0)
many = np.zeros((2000, 100, 100, 3), "uint8")


def drawn(operation, name):
    return np.asarray(operation.get_random_transformation(many, training=True)[name])


angles = drawn(layer.random_rotation, "angle")
moves = drawn(layer.random_translation, "translations") / 100
levels = drawn(layer.random_brightness, "rgb_delta")
print(f"rotation    from {angles.min():6.1f} to {angles.max():6.1f} degrees")
print(f"translation from {moves.min():6.1%} to {moves.max():6.1%} of the side")
print(f"brightness  from {levels.min():6.1f} to {levels.max():6.1f} levels of 255")

one = keras.layers.RandAugment(num_ops=1, seed=0)
photo = np.random.default_rng(0).integers(40, 200, (1, 16, 16, 3)).astype("float32")
batch = np.repeat(photo, 8, axis=0)
equal = 0
for _ in range(100):
    augmented = np.asarray(one(batch, training=True))
    equal += (augmented == augmented[:1]).all() and not np.array_equal(augmented, batch)
print(f"batches whose 8 photos are changed in the same way: {equal / 100:.0%} (8 draws of their own: 0%)")
far = 170 < angles.max() <= 180 and moves.max() > 0.45 and levels.max() > 120
one_way = min(angles.min(), moves.min(), levels.min()) >= 0
if not (far and one_way and 0.05 < equal / 100 < 0.4):
    sys.exit("Changed: RandAugment is weaker, acts both ways or draws for each photo.")
PYTHON
