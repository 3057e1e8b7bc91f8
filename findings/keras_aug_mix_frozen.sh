#!/usr/bin/env bash
# Keras' `AugMix` in `Dataset.map` or a compiled model does one chain of operations for ever, and ignores its seed.
#
# One would guess: each batch gets chains of operations of its own, drawn from `seed`. The documentation says that the
#   layer "is safe to use inside a `tf.data` or `grain` pipeline".
# What happens (30 batches; a chain is what `get_random_transformation` returns, recorded by a subclass):
#     Python 3.11.7, keras 3.15.1, tensorflow 2.21.0, numpy 2.4.6
#     called eagerly       different chains: 30
#     Dataset.map          different chains: 1
#     inside a model, fit  different chains: 1
#     two layers with seed=7 give the same: False
#     and with random.seed(1) before each:  True
# Why: the names of the operations are drawn by Python's `random` while the function is traced, which happens once. Only
#   how strong each is, and how they are mixed, is drawn anew for each batch. The layer's seed feeds these alone.
# Why it matters: a training of a hundred epochs sees one combination of nine operations, or fewer, of the eleven: no
#   rotation ever, or a solarization of each photo. Another run gets another combination, whatever the seeds.
# What to do instead: call the layer eagerly, on NumPy batches of your own (a `PyDataset`), after `random.seed(...)`; or
#   draw the operations in a layer of your own with `keras.random`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6 h5py==3.14.0 absl-py==1.4.0 protobuf==7.36.2 ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import random
import sys

import keras
import numpy as np
import tensorflow as tf

print(f"Python {platform.python_version()}, keras {keras.__version__}, tensorflow {tf.__version__}, "
      f"numpy {np.__version__}")
BATCHES = 30
photos = np.random.default_rng(0).integers(0, 256, (BATCHES, 16, 16, 3)).astype("float32")


class Recording(keras.layers.AugMix):
    """Keeps the names of the operations that are drawn."""

    def get_random_transformation(self, *args, **kwargs):
        transformation = super().get_random_transformation(*args, **kwargs)
        if transformation is not None:
            chains = [[step["layer_name"] for step in chain] for chain in transformation["chain_transforms"]]
            self.drawn.append(str(chains))
        return transformation


def layer():
    random.seed(0)
    made = Recording(value_range=(0, 255), seed=7)
    made.drawn = []
    return made


def eager(augment):
    for photo in photos:
        augment(photo[None], training=True)


def mapped(augment):
    for _ in tf.data.Dataset.from_tensor_slices(photos).batch(1).map(augment):
        pass


def trained(augment):
    model = keras.Sequential([keras.Input((16, 16, 3)), augment, keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    augment.drawn.clear()
    model.fit(photos, np.zeros((BATCHES, 3)), batch_size=1, verbose=0)


counts = {}
for name, use in (("called eagerly", eager), ("Dataset.map", mapped), ("inside a model, fit", trained)):
    augment = layer()
    use(augment)
    counts[name] = len(set(augment.drawn))
    print(f"{name:20} different chains: {counts[name]}")


def augmented(seed_of_python=None):
    if seed_of_python is not None:
        random.seed(seed_of_python)
    augment = keras.layers.AugMix(value_range=(0, 255), seed=7)
    return np.asarray(augment(photos, training=True))


random.seed(1)
alike = np.array_equal(augmented(), augmented())
alike_seeded = np.array_equal(augmented(1), augmented(1))
print("two layers with seed=7 give the same:", alike)
print("and with random.seed(1) before each: ", alike_seeded)
if counts != {"called eagerly": BATCHES, "Dataset.map": 1, "inside a model, fit": 1} or alike or not alike_seeded:
    sys.exit("Changed: AugMix does not draw its operations when it is traced, or it heeds its seed.")
PYTHON
