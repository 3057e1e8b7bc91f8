#!/usr/bin/env bash
# Keras' `Solarization(threshold_factor=(0.5, 0.5))` has no fixed threshold: it draws from 0.5 to 127.5 levels.
#
# One would guess: a pair of equal ends gives that value, half of the range of levels, as Pillow's
#   `ImageOps.solarize(photo, 128)`: brighter pixels are inverted, darker ones stay. The documentation says that a value
#   "is sampled from the provided range".
# What happens (2,000 photos that hold each level once; the lowest level that comes out inverted):
#     Python 3.11.7, keras 3.15.1 (JAX backend), jax 0.10.2, numpy 2.4.6
#     threshold_factor=(0.5, 0.5): thresholds from   1 to 128, median 63; expected from 128 to 128
#     threshold_factor=(0.9, 0.9): thresholds from   2 to 230, median 114; expected from 230 to 230
#     threshold_factor=(0.25, 0.75): thresholds from   1 to 192, median 95; expected from 64 to 191
# Why: the upper end is multiplied by 255 and the lower end is not, for the threshold and the addition alike.
# Why it matters: dark pixels are inverted where only bright ones should be: half of the photos lose more than half of
#   the levels that were to stay. No setting but a lower end of 0 does what it says.
# What to do instead: use lower ends of 0 only, or `keras.ops.where(x < 128, x, 255 - x)`.
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
photos = np.broadcast_to(np.arange(256, dtype="float32").reshape(1, 16, 16, 1), (2000, 16, 16, 3))


def thresholds(low, high):
    layer = keras.layers.Solarization(threshold_factor=(low, high), value_range=(0, 255), seed=0)
    inverted = np.asarray(layer(photos, training=True))[..., 0].reshape(2000, 256) == 255 - np.arange(256)
    return inverted.argmax(axis=1)


found = {}
for low, high in ((0.5, 0.5), (0.9, 0.9), (0.25, 0.75)):
    found[low] = thresholds(low, high)
    shown = f"from {found[low].min():3} to {found[low].max():3}, median {np.median(found[low]):.0f}"
    print(f"threshold_factor=({low}, {high}): thresholds {shown}; expected from {255 * low:.0f} to {255 * high:.0f}")
if any(values.min() > 5 for values in found.values()):
    sys.exit("Changed: Solarization heeds the lower end of threshold_factor.")
PYTHON
