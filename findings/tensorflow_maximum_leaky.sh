#!/usr/bin/env bash
# TensorFlow's `tf.function` computes `tf.maximum(x, 1.5 * x)` as the smaller of the two.
#
# One would guess: the larger of both, as without `tf.function`.
# What happens (x = -2, -1, 1, 2):
#     Python 3.11.7, tensorflow 2.21.0
#     alone:                    [-2.0, -1.0, 1.5, 3.0]
#     in tf.function:           [-3.0, -1.5, 1.0, 2.0]
#     in it, without remapping: [-2.0, -1.0, 1.5, 3.0]
# Why: with oneDNN, which is on by itself on many x86 processors, the graph's optimizer takes the larger of x and
#   a multiple of x for a leaky ReLU, x above zero and the multiple below, also where the factor is above 1.
# Why it matters: Keras' `predict`, `evaluate` and `fit` give other numbers than the model called by itself, and a file
#   that computes the maximum differs from them.
# What to do instead: write `1.5 * tf.nn.leaky_relu(x, 1 / 1.5)`, or set TF_ENABLE_ONEDNN_OPTS=0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=1
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import tensorflow as tf

print(f"Python {platform.python_version()}, tensorflow {tf.__version__}")
x = tf.constant([-2.0, -1.0, 1.0, 2.0])


def larger(x):
    return tf.maximum(x, 1.5 * x)


inside = tf.function(larger)(x).numpy().tolist()
print(f"alone:                    {larger(x).numpy().tolist()}")
print(f"in tf.function:           {inside}")
tf.config.optimizer.set_experimental_options({"remapping": False})
print(f"in it, without remapping: {tf.function(larger)(x).numpy().tolist()}")
if inside == [-2.0, -1.0, 1.5, 3.0]:
    sys.exit("Changed: tf.function computes the larger of x and 1.5 x.")
PYTHON
