#!/usr/bin/env bash
# Keras 3 loads a Keras 2 model with `hard_sigmoid` and computes another function, without a word.
#
# One would guess: what a Keras 2 file loads in Keras 3 gives the same outputs. Layers whose arguments have changed are
#   refused (DepthwiseConv2D and LSTM are, with an error that names the argument), and an activation has none.
# What happens (a convolution with each activation, saved by tf-keras, loaded by Keras 3; largest difference, warnings):
#     Python 3.11.7, keras 3.15.1, tf-keras 2.21.0, tensorflow 2.21.0, numpy 2.4.6
#     hard_sigmoid .h5    0.083170, warnings: 0
#     hard_sigmoid .keras 0.083170, warnings: 0
#     sigmoid      .h5    0.000000, warnings: 0
#     sigmoid      .keras 0.000000, warnings: 0
#     relu6        .h5    0.000000, warnings: 0
#     relu6        .keras 0.000000, warnings: 0
#     swish        .h5    0.000000, warnings: 0
#     swish        .keras 0.000000, warnings: 0
#     gelu         .h5    0.000000, warnings: 0
#     gelu         .keras 0.000000, warnings: 0
#     leaky_relu   .h5    0.000000, warnings: 0
#     leaky_relu   .keras 0.000000, warnings: 0
#     elu          .h5    0.000000, warnings: 0
#     elu          .keras 0.000000, warnings: 0
# Why: Keras 2 computes 0.2 x + 0.5, cut off at 0 and 1; Keras 3, as PyTorch, x / 6 + 0.5. Both call it `hard_sigmoid`,
#   and files hold the name.
# Why it matters: it is the usual gate of channel attention in light networks. Where it was written by this name, gates
#   are off by up to 1/12 all through the network, and accuracy falls without a trace in the log.
# What to do instead: after loading replace it by `keras.ops.clip(0.2 * x + 0.5, 0, 1)`, and compare outputs of both
#   versions on one batch. Of fourteen activations and some forty layers that were tried no other changed silently.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 tf-keras==2.21.0 keras==3.15.1 numpy==2.4.6 h5py==3.14.0 protobuf==7.36.2 ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys
import warnings

import keras
import numpy as np
import tensorflow as tf
import tf_keras

print(f"Python {platform.python_version()}, keras {keras.__version__}, tf-keras {tf_keras.__version__}, "
      f"tensorflow {tf.__version__}, numpy {np.__version__}")
images = np.random.default_rng(0).normal(size=(4, 8, 8, 4)).astype("float32")
differences, warned = {}, False
for activation in ("hard_sigmoid", "sigmoid", "relu6", "swish", "gelu", "leaky_relu", "elu"):
    for ending in ("h5", "keras"):
        model = tf_keras.Sequential(
            [tf_keras.layers.Input((8, 8, 4)), tf_keras.layers.Conv2D(8, 3, activation=activation)]
        )
        model.layers[0].set_weights([np.random.default_rng(1).normal(size=(3, 3, 4, 8)), np.zeros(8)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(f"model.{ending}")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = keras.models.load_model(f"model.{ending}", compile=False)
        difference = float(np.abs(np.asarray(loaded(images)) - model(images).numpy()).max())
        differences[activation, ending] = difference
        warned |= bool(caught)
        print(f"{activation:12} .{ending:5} {difference:.6f}, warnings: {len(caught)}")
changed = [name for (name, _), difference in differences.items() if difference > 1e-4]
if changed != ["hard_sigmoid"] * 2 or warned:
    sys.exit("Changed: hard_sigmoid of Keras 2 files is not the only function that Keras 3 changes silently.")
PYTHON
