#!/usr/bin/env bash
# TF-MOT trains the kernel of a layer in floats if a ReLU layer follows it, though it wraps the layer as quantized.
#
# One would guess: `Conv2D(4, 3)` and `ReLU()` are quantized as `Conv2D(4, 3, activation="relu")` is, which computes the
#   same. Both are wrapped layers `quant_conv2d`; the converted files have int8 kernels.
# What happens (moved: by how much at most an output moves when the kernel is rounded to its 255 int8 steps, which
#   changes nothing where the model computes with these steps already):
#     Python 3.11.7, tensorflow-model-optimization 0.8.1, tf-keras 2.21.0, tensorflow 2.21.0
#     Conv2D(activation="relu")         kernel has a range: yes  moved 0.0000
#     Conv2D, ReLU                      kernel has a range: no   moved 0.0446
#     Conv2D, Activation("relu")        kernel has a range: no   moved 0.0446
#     Conv2D, BatchNormalization, ReLU  kernel has a range: yes  moved 0.0000
#     Dense(activation="relu")          kernel has a range: yes  moved 0.0000
#     Dense, ReLU                       kernel has a range: no   moved 0.0447
# Why: a rule keeps ranges from being put between the layer and its ReLU. For that it gives the layer a configuration
#   that quantizes nothing, so the kernel, too. With a batch normalization in between another rule applies first.
# Why it matters: networks without batch normalization, or with it folded before, as imported ones often have, are
#   trained "quantization-aware" with float kernels. The accuracy that is measured is not that of the file.
# What to do instead: put the ReLU into the layer (`activation="relu"`), and look for `kernel_min` among the weights of
#   each quantized layer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 tf-keras==2.21.0 tensorflow-model-optimization==0.8.1 \
  keras==3.15.1 numpy==2.4.6 h5py==3.14.0 absl-py==1.4.0 protobuf==7.36.2 ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import importlib.metadata
import platform
import sys

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

names = ("tensorflow-model-optimization", "tf-keras", "tensorflow")
versions = {name: importlib.metadata.version(name) for name in names}
print(f"Python {platform.python_version()},", ", ".join(f"{name} {version}" for name, version in versions.items()))
layers = keras.layers
images = np.random.default_rng(0).normal(size=(64, 1, 8, 8, 4)).astype("float32")


def outputs(model):
    return np.stack([model(image, training=False) for image in images])


seen = {}
for name, made in (
    ('Conv2D(activation="relu")', lambda: [layers.Conv2D(16, 3, activation="relu")]),
    ("Conv2D, ReLU", lambda: [layers.Conv2D(16, 3), layers.ReLU()]),
    ('Conv2D, Activation("relu")', lambda: [layers.Conv2D(16, 3), layers.Activation("relu")]),
    ("Conv2D, BatchNormalization, ReLU", lambda: [layers.Conv2D(16, 3), layers.BatchNormalization(), layers.ReLU()]),
    ('Dense(activation="relu")', lambda: [layers.Flatten(), layers.Dense(16, activation="relu")]),
    ("Dense, ReLU", lambda: [layers.Flatten(), layers.Dense(16), layers.ReLU()]),
):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((8, 8, 4), batch_size=1), *made()])
    quantized = tfmot.quantization.keras.quantize_model(model)
    for image in images:
        quantized(image, training=True)
    quantizes = any(weight.name.endswith("kernel_min:0") for weight in quantized.weights)
    kernel = next(weight for weight in quantized.weights if weight.name.endswith("/kernel:0"))
    before, values = outputs(quantized), kernel.numpy()
    step = np.abs(values).max(axis=tuple(range(values.ndim - 1)) if values.ndim == 4 else None) / 127
    kernel.assign(np.round(values / step) * step)
    moved = float(np.abs(outputs(quantized) - before).max())
    seen[name] = quantizes, moved < 1e-6
    print(f"{name:33} kernel has a range: {'yes' if quantizes else 'no':3}  moved {moved:.4f}")
if list(seen.values()) != [(has, has) for has in (True, False, False, True, True, False)]:
    sys.exit("Changed: TF-MOT quantizes other kernels than described.")
PYTHON
