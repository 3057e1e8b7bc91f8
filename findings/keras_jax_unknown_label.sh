#!/usr/bin/env bash
# On JAX, Keras gives a photo whose label is no class a loss of 0, and trains on; elsewhere that is an error.
#
# One would guess: a label that the model has no output for stops the training, whatever the backend; at least the loss is
#   NaN or large.
# What happens (400 photos of 4 classes, 4 outputs, on a CPU; 10 epochs, figures of the same photos):
#     Python 3.11.7, keras 3.15.1, numpy 2.4.6
#     tensorflow 2.21.0
#       labels 0 to 3                     loss 0.252, accuracy 93.5%, of the true classes 93.5%
#       labels 1 to 4                     InvalidArgumentError
#       labels 0 to 3, 100 of 400 are -1  InvalidArgumentError
#     jax 0.10.2
#       labels 0 to 3                     loss 0.248, accuracy 95.0%, of the true classes 95.0%
#       labels 1 to 4                     loss 0.113, accuracy 73.3%, of the true classes 12.0%
#       labels 0 to 3, 100 of 400 are -1  loss 0.185, accuracy 71.0%, of the true classes 94.0%
#     torch 2.13.0
#       labels 0 to 3                     loss 0.260, accuracy 92.5%, of the true classes 92.5%
#       labels 1 to 4                     IndexError
#       labels 0 to 3, 100 of 400 are -1  IndexError
# Why: on JAX the loss multiplies by a one-hot row, and that of a label which is no class has no one in it: a loss of 0 and
#   no gradient. It counts in the mean, so the loss is lower than with right labels.
# Why it matters: classes counted from 1 are the usual mistake. On JAX it trains, with a lower loss than the right labels
#   have, and the last class is never learned; the accuracy is the only hint.
# What to do instead: check `labels.min() >= 0` and `labels.max() < outputs` before `fit`. To leave photos out, give them a
#   sample weight of 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 jax==0.10.2 jaxlib==0.10.2 torch==2.13.0 numpy==2.4.6 h5py==3.14.0 \
  protobuf==7.36.2 ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
cat >script.py <<'PYTHON'
import importlib.metadata
import platform
import sys

import keras
import numpy as np

backend = keras.backend.backend()
if backend == "tensorflow":
    print(f"Python {platform.python_version()}, keras {keras.__version__}, numpy {np.__version__}")
print(f"{backend} {importlib.metadata.version(backend).split('+')[0]}")
random = np.random.default_rng(0)
PHOTOS = random.normal(size=(400, 8)).astype("float32")
CLASSES = (PHOTOS @ random.normal(size=(8, 4))).argmax(1)
seen = []
for name, labels in (
    ("0 to 3", CLASSES),
    ("1 to 4", CLASSES + 1),
    ("0 to 3, 100 of 400 are -1", np.where(np.arange(400) < 100, -1, CLASSES)),
):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    try:
        model.fit(PHOTOS, labels, epochs=10, verbose=0)
        figures = model.evaluate(PHOTOS, labels, verbose=0, return_dict=True)
        right = (model.predict(PHOTOS, verbose=0).argmax(1) == CLASSES).mean()
        seen.append(True)
        print(f"  labels {name:26} loss {figures['loss']:.3f}, accuracy {figures['accuracy']:.1%}, "
              f"of the true classes {right:.1%}")
    except Exception as error:
        seen.append(False)
        print(f"  labels {name:26} {type(error).__name__}")
if seen != [True, backend == "jax", backend == "jax"]:
    sys.exit("Changed: labels that are no class are refused on JAX, or taken elsewhere.")
PYTHON
for backend in tensorflow jax torch; do
  KERAS_BACKEND=$backend "$folder/venv/bin/python" -I script.py 2>log || { tail -n 1 log >&2; exit 1; }
done
