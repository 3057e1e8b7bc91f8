#!/usr/bin/env bash
# A TF-MOT model that was calibrated at learning rate 0 still has activation ranges of about -6 to 6.
#
# One would guess: running photos through a quantized model, in training mode with a learning rate of 0, sets the ranges
#   of its activations to what the photos gave, as calibration does elsewhere. Its own input's range does come out so.
# What happens (32 and 1,024 steps of two photos each):
#     Python 3.11.7, tensorflow-model-optimization 0.8.1, tf-keras 2.21.0, tensorflow 2.21.0
#        32 steps, input values up to 0.30, range [-0.30, 0.30]
#        32 steps, ReLU  values up to 0.60, range [-5.81, 5.83]  without the start: up to 0.45
#      1024 steps, input values up to 0.30, range [-0.30, 0.30]
#      1024 steps, ReLU  values up to 0.60, range [-2.15, 2.44]  without the start: up to 0.45
# Why: the range of an activation starts at -6 to 6 and each step moves it by a thousandth towards the batch's; that of
#   the input is taken from the first batch and widened after. A ReLU's range has a part below 0 that it never uses.
# Why it matters: after 32 steps the activations get 13 of the 256 steps of int8, and fine-tuning starts from so coarse
#   a model. Even after some hundred steps it ends with ranges that no data has.
# What to do instead: take out what is left of the start after n steps, `start * 0.999**n`, and divide by
#   `1 - 0.999**n` (last column: the mean of the batches' maxima); or assign ranges measured on the float model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 tf-keras==2.21.0 tensorflow-model-optimization==0.8.1 \
  keras==3.15.1 ai-edge-litert==2.3.0 numpy==2.4.6 h5py==3.14.0 absl-py==1.4.0 protobuf==7.36.2 ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import importlib.metadata
import platform
import sys

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

versions = {name: importlib.metadata.version(name) for name in ("tensorflow-model-optimization", "tf-keras", "tensorflow")}
print(f"Python {platform.python_version()},", ", ".join(f"{name} {version}" for name, version in versions.items()))
images = np.random.default_rng(0).uniform(-0.3, 0.3, (64, 8, 8, 4)).astype("float32")
keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential([layers.Input((8, 8, 4)), layers.Conv2D(4, 3), layers.ReLU()])
highest = float(model.predict(images, verbose=0).max())
seen = {}
for steps in (32, 1024):
    quantized = tfmot.quantization.keras.quantize_model(model)
    quantized.compile(keras.optimizers.SGD(0.0), "mse")
    quantized.fit(images, np.zeros((64, 6, 6, 4)), batch_size=2, epochs=steps // 32, verbose=0)
    ends = {}
    for place, start in (("quantize_layer", None), ("re_lu", 6.0)):
        low, high = (
            next(float(w.numpy()) for w in quantized.weights if place in w.name and w.name.endswith(f"_{end}:0"))
            for end in ("min", "max")
        )
        left = 0.999**steps
        mended = "" if start is None else f"  without the start: up to {(high - start * left) / (1 - left):.2f}"
        ends[place] = high
        true = 0.3 if start is None else highest
        name = "input" if start is None else "ReLU"
        print(f"{steps:5} steps, {name:5} values up to {true:.2f}, range [{low:5.2f}, {high:.2f}]{mended}")
    seen[steps] = ends
if not (seen[32]["re_lu"] > 5.5 and seen[1024]["re_lu"] > 2 and seen[32]["quantize_layer"] < 0.31):
    sys.exit("Changed: TF-MOT's activation ranges do not start at 6 or move faster.")
PYTHON
