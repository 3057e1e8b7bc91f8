#!/usr/bin/env bash
# Keras 3 averages other variances in batch normalization than Keras 2 and PyTorch, too small by 1/n.
#
# One would guess: `BatchNormalization` of Keras 3 is that of Keras 2: the same arguments, defaults and weights.
#   So a model that is trained on in Keras 3, or as it was in PyTorch, ends with the same statistics.
# What happens:
#     Python 3.11.7, keras 3.15.1, tf-keras 2.21.0,
#     tensorflow 2.21.0, torch 2.13.0, numpy 2.4.6
#     moving variance of 256 channels after 500 batches of numbers with variance 1, momentum 0.99, the mean
#       batch              numbers a channel   Keras 3   Keras 2   PyTorch   (n - 1) / n
#       (4, 1, 1, 256)                     4     0.751     1.000     1.000     0.750
#       (8, 1, 1, 256)                     8     0.877     1.001     1.001     0.875
#       (8, 2, 2, 256)                    32     0.969     1.000     1.000     0.969
#       (8, 7, 7, 256)                   392     0.997     1.000     1.000     0.997
#       (8, 256)                           8     0.877     0.877     1.001     0.875
# Why: Keras 3 averages the variance that it divides by, a sum over n. PyTorch averages the estimate over n - 1, and so
#   does TensorFlow's fused operator, which Keras 2 takes for images, though not for rows of features (last line).
# Why it matters: small photos leave maps of 1 x 1 or 2 x 2 at the end of a network, and few photos small batches. There
#   a trained model divides by too small a deviation, at 8 numbers by 6%, so its last layers see larger features than in
#   training, and two ports of one training end with other statistics. At 7 x 7 it is 0.3% with 8 photos.
# What to do instead: larger batches at the end of a network of small photos, or frozen statistics; before two ports are
#   compared, multiply the moving variances of one by (n - 1) / n.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 tf-keras==2.21.0 keras==3.15.1 torch==2.13.0 numpy==2.4.6 h5py==3.14.0 protobuf==7.36.2 \
  ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import keras
import numpy as np
import tensorflow as tf
import tf_keras
import torch

print(f"Python {platform.python_version()}, keras {keras.__version__}, tf-keras {tf_keras.__version__},")
print(f"tensorflow {tf.__version__}, torch {torch.__version__.split('+')[0]}, numpy {np.__version__}")
CHANNELS, STEPS = 256, 500


def of_keras(layers, batches):
    layer = layers.BatchNormalization(momentum=0.99)
    for batch in batches:
        layer(batch, training=True)
    return np.asarray(layer.moving_variance).mean()


def of_torch(batches):
    layer = (torch.nn.BatchNorm2d if batches.ndim == 5 else torch.nn.BatchNorm1d)(CHANNELS, momentum=0.01)
    for batch in batches:
        layer(torch.from_numpy(np.moveaxis(batch, -1, 1)))
    return layer.running_var.numpy().mean()


print(f"moving variance of {CHANNELS} channels after {STEPS} batches of numbers with variance 1, momentum 0.99, the mean")
print("  batch              numbers a channel   Keras 3   Keras 2   PyTorch   (n - 1) / n")
changed = False
for shape in ((4, 1, 1), (8, 1, 1), (8, 2, 2), (8, 7, 7), (8,)):
    n = int(np.prod(shape))
    batches = np.random.default_rng(0).normal(size=(STEPS, *shape, CHANNELS)).astype("float32")
    seen = [of_keras(keras.layers, batches), of_keras(tf_keras.layers, batches), of_torch(batches)]
    print(f"  {str((*shape, CHANNELS)):18} {n:17}" + "".join(f"{value:10.3f}" for value in (*seen, (n - 1) / n)))
    small = [abs(value - (n - 1) / n) < 0.004 for value in seen]
    true = [abs(value - 1) < 0.004 for value in seen]
    images = len(shape) == 3
    changed |= not (small[0] and true[2] and (true if images else small)[1])
if changed:
    sys.exit("Changed: Keras 3 averages unbiased variances, or Keras 2 and PyTorch average others than described.")
PYTHON
