#!/usr/bin/env bash
# KerasCV's GridMask with a seed does not repeat, and it masks images with `training=False` too.
#
# One would guess: two `GridMask(seed=7)` made in the same way give the same batch the same masks, as Keras' own
#   preprocessing layers with a seed do; and `training=False` leaves images as they are, as it does for these.
# What happens:
#     Python 3.11.7, keras-cv 0.9.0, keras 3.15.1, tensorflow 2.21.0, numpy 2.4.6
#     GridMask, two layers with one seed give the same: False
#     GridMask, training=False leaves the images: False
#     RandomBrightness of Keras, the same two questions: True True
# Why: the seed feeds a part of what is drawn; the ratio of the grid comes from a factor with a generator of its own,
#   which has no seed. The layer's call does not look at `training`.
# Why it matters: runs that are to be compared, or to go on where they were killed, differ; and a model that has the
#   layer inside masks the images that it is evaluated on and shipped with.
# What to do instead: give the ratio as a `ConstantFactorSampler` and draw it yourself, reset the layer's generators
#   for each image, and keep the layer in the input pipeline, never inside a model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras-cv==0.9.0 keras==3.15.1 tensorflow==2.21.0
cd "$folder"
export KERAS_BACKEND=tensorflow KERAS_HOME="$folder" TF_CPP_MIN_LOG_LEVEL=3
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import keras
import keras_cv
import numpy as np
import tensorflow as tf

print(f"Python {platform.python_version()}, keras-cv {keras_cv.__version__}, keras {keras.__version__}, "
      f"tensorflow {tf.__version__}, numpy {np.__version__}")
images = np.full((4, 64, 64, 3), 200.0, "float32")


def masked(layer, **arguments):
    return np.asarray(layer({"images": tf.constant(images)}, **arguments)["images"])


first, second = (masked(keras_cv.layers.GridMask(seed=7), training=True) for _ in range(2))
idle = masked(keras_cv.layers.GridMask(seed=7), training=False)
own = [np.asarray(keras.layers.RandomBrightness(0.5, seed=7)(images, training=True)) for _ in range(2)]
own_idle = np.asarray(keras.layers.RandomBrightness(0.5, seed=7)(images, training=False))
print("GridMask, two layers with one seed give the same:", np.array_equal(first, second))
print("GridMask, training=False leaves the images:", np.array_equal(idle, images))
print("RandomBrightness of Keras, the same two questions:", np.array_equal(*own), np.array_equal(own_idle, images))
if np.array_equal(first, second) or np.array_equal(idle, images):
    sys.exit("Changed: GridMask repeats with a seed, or looks at `training`.")
if not (np.array_equal(*own) and np.array_equal(own_idle, images)):
    sys.exit("Changed: Keras' own layer no longer repeats or looks at `training`.")
PYTHON
