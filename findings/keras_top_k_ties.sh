#!/usr/bin/env bash
# Keras' top-k accuracy counts every tie as right, so int8 outputs gain by being coarse; on JAX it counts NaN as right.
#
# One would guess: top-5 accuracy is the share of photos whose class is among the five classes of the highest outputs, and
#   for k = 1 it is the accuracy that `SparseCategoricalAccuracy` gives; outputs that are NaN are right by chance at most.
# What happens (5,000 photos of 100 classes; an int8 file that ends in a softmax gives steps of 1/256):
#     Python 3.11.7, keras 3.15.1, tensorflow 2.21.0, numpy 2.4.6
#                                      k   Keras' top-k accuracy   k largest outputs, of equal ones the earlier class
#       float32                        1           46.70%           46.70%
#       float32                        5           76.10%           76.10%
#       in steps of 1/256              1           46.72%           46.70%
#       in steps of 1/256              5           80.22%           74.44%
#       all equal                      1          100.00%            1.24%
#       all equal                      5          100.00%            5.66%
#       NaN                            1            0.00%
#       NaN                            5            0.00%
#     With jax 0.10.2 the same numbers, but for
#       NaN                            1          100.00%
#       NaN                            5          100.00%
# Why: a photo is right if fewer than k outputs are above its class', as TensorFlow's `in_top_k` has it; its class may
#   share that place with any number of others. On JAX that is a count of comparisons, and none with NaN is true; on
#   TensorFlow NaN is wrong.
# Why it matters: of a confident network most probabilities round to 0, and a class at 0 is among five as soon as fewer
#   than five are above it: here quantization seems to gain 4 points of top-5 while it loses 2. A network that answers
#   the same for all classes, or a training on JAX that has diverged, seems perfect, and is kept as the best.
# What to do instead: quantize logits, or count by `numpy.argsort(-outputs, kind="stable")[:, :k]`; stop at NaN with
#   `keras.callbacks.TerminateOnNaN`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 h5py==3.14.0 protobuf==7.36.2 \
  ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
cat >ties.py <<'PYTHON'
import importlib.metadata
import platform
import sys

import keras
import numpy as np

backend = keras.backend.backend()
print(f"Python {platform.python_version()}, keras {keras.__version__}, {backend} {importlib.metadata.version(backend)}, "
      f"numpy {np.__version__}")
PHOTOS, CLASSES = 5000, 100
random = np.random.default_rng(0)
LABELS = random.integers(0, CLASSES, PHOTOS)
logits = random.normal(0, 5, (PHOTOS, CLASSES))
logits[np.arange(PHOTOS), LABELS] += 12
PROBABILITIES = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def by_keras(outputs, k):
    metric = keras.metrics.SparseTopKCategoricalAccuracy(k=k)
    metric.update_state(LABELS, outputs.astype("float32"))
    return float(metric.result())


def first_wins(outputs, k):
    """Return the accuracy of the k largest outputs, the earlier class of equal ones."""
    order = np.argsort(-outputs, axis=1, kind="stable")[:, :k]
    return float((order == LABELS[:, None]).any(1).mean())


seen = {}
print("                                 k   Keras' top-k accuracy   k largest outputs, of equal ones the earlier class")
for name, outputs in (
    ("float32", PROBABILITIES),
    ("in steps of 1/256", np.round(PROBABILITIES * 256) / 256),
    ("all equal", np.full_like(PROBABILITIES, 1 / CLASSES)),
    ("NaN", np.full_like(PROBABILITIES, np.nan)),
):
    for k in (1, 5):
        seen[name, k] = by_keras(outputs, k), first_wins(outputs, k)
        right = "" if name == "NaN" else f"{seen[name, k][1]:16.2%}"
        print(f"  {name:28} {k:3} {seen[name, k][0]:16.2%} {right}".rstrip())
coarse = [by_keras - own for (name, _), (by_keras, own) in seen.items() if name == "in steps of 1/256"]
nan = seen["NaN", 1][0], seen["NaN", 5][0]
if (
    seen["float32", 5][0] != np.float32(seen["float32", 5][1])
    or coarse[1] < 0.05
    or (seen["all equal", 1][0], seen["all equal", 5][0]) != (1, 1)
    or nan != ((1, 1) if backend == "jax" else (0, 0))
):
    sys.exit("Changed: Keras' top-k accuracy counts ties or NaN otherwise than described.")
PYTHON
for backend in tensorflow jax; do
  KERAS_BACKEND=$backend "$folder/venv/bin/python" -I ties.py 2>log || { tail -n 1 log >&2; exit 1; }
done
