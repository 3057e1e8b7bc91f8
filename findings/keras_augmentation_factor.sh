#!/usr/bin/env bash
# Keras' `RandomErasing(factor=1.0)` and its kin change half of the photos; `RandomPosterization(4)` never keeps 4 bits.
#
# One would guess: `factor` is the share of photos that are changed, and for 1.0 all are, as the documentation of erasing,
#   perspective and elastic transforms says in so many words; and that of posterizing is how many bits are kept, as it says.
# What happens:
#     Python 3.11.7, keras 3.15.1, jax 0.10.2, numpy 2.4.6
#     share of 2,000 photos that are changed     factor=0.5  factor=1.0  factor=(1.0, 1.0)
#       RandomGrayscale                                 49.6%     100.0%    refused
#       RandomErasing                                   24.7%      49.1%     100.0%
#       RandomInvert                                    25.7%      50.1%     100.0%
#       RandomPerspective                               24.2%      47.8%     100.0%
#       RandomElasticTransform                          26.9%      51.6%     100.0%
#     bits of each photo's pixels that are left, and how many photos have so many
#       RandomPosterization(4): {1: 75, 2: 66, 3: 59}
#       RandomPosterization((4, 4)): {4: 200}
#       RandomPosterization(1): {1: 200}
# Why: a number is not the probability but the upper end of a range from 0, from which each photo draws one; the
#   documentation says that too, two lines below. Only RandomGrayscale takes it as it is. Posterizing draws whole numbers
#   from 1 up to and without `factor`.
# Why it matters: random erasing with the probability of a paper is applied half as often. Posterizing to 4 bits, a mild
#   change, becomes one to 1, 2 or 3 bits.
# What to do instead: give both ends, `factor=(0.25, 0.25)` or `RandomPosterization((4, 4))`.
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
from keras import layers

BATCHES, PHOTOS = 10, 200
print(f"Python {platform.python_version()}, keras {keras.__version__}, jax {jax.__version__}, numpy {np.__version__}")
photos = np.random.default_rng(0).integers(0, 256, (PHOTOS, 16, 16, 3)).astype("float32")


def changed_by(layer):
    changes = [np.abs(np.asarray(layer(photos, training=True)) - photos).max((1, 2, 3)) > 0.01 for _ in range(BATCHES)]
    return np.mean(changes)


print(f"share of {BATCHES * PHOTOS:,} photos that are changed     factor=0.5  factor=1.0  factor=(1.0, 1.0)")
shares = {}
for kind in (
    layers.RandomGrayscale,
    layers.RandomErasing,
    layers.RandomInvert,
    layers.RandomPerspective,
    layers.RandomElasticTransform,
):
    seen = []
    for factor in (0.5, 1.0, (1.0, 1.0)):
        try:
            seen.append(changed_by(kind(factor=factor, seed=0)))
        except (TypeError, ValueError):
            seen.append(None)
    shares[kind.__name__] = seen
    print(f"  {kind.__name__:42}" + "".join("    refused" if share is None else f"{share:11.1%}" for share in seen))

gray = shares.pop("RandomGrayscale")
worked = gray[1] == 1 and all(abs(one - 0.5) < 0.05 and always == 1 for _, one, always in shares.values())

print("bits of each photo's pixels that are left, and how many photos have so many")
for factor in (4, (4, 4), 1):
    posterized = np.asarray(layers.RandomPosterization(factor, seed=0)(photos, training=True))
    bits = [int(np.log2(len(np.unique(photo)))) for photo in posterized]
    counts = {count: bits.count(count) for count in sorted(set(bits))}
    print(f"  RandomPosterization({factor}): {counts}")
    worked &= set(counts) == ({1, 2, 3} if factor == 4 else {4} if factor == (4, 4) else {1})
if not worked:
    sys.exit("Changed: Keras' layers change another share of the photos than described.")
PYTHON
