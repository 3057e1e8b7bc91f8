#!/usr/bin/env bash
# Keras' Muon trains the convolutions of a network by AdamW, and by Muon at most the head that it should not touch.
#
# One would guess: as in Muon's own code, kernels of convolutions are matrices of their output channels by all else, and
#   Muon trains them; only first and last layers and vectors go by AdamW.
# What happens (one step from equal weights with equal gradients):
#     Python 3.11.7, keras 3.15.1, torch 2.13.0, numpy 2.4.6
#     network            kernels   stepped as by AdamW   the others
#       MobileNetV3Small        54                    54   none
#       ResNet50                54                    53   predictions/kernel (2048, 100)
#       EfficientNetB0          82                    81   predictions/kernel (1280, 100)
# Why: Keras' Muon takes variables of two dimensions alone, and kernels of convolutions have four, those of 1 x 1 too. Its
#   documentation says so, and that the last dense layer is to be excluded by name.
# Why it matters: in a vision network the one dense layer is the head. So who compares "Muon" with AdamW on such a network
#   compares AdamW with itself, but for the head, or for nothing at all where the head is a convolution.
# What to do instead: Muon for transformers and MLP-Mixers; for convolutions another implementation.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras==3.15.1 torch==2.13.0 numpy==2.4.6 h5py==3.14.0
cd "$folder"
export KERAS_BACKEND=torch KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import keras
import numpy as np
import torch

print(f"Python {platform.python_version()}, keras {keras.__version__}, torch {torch.__version__.split('+')[0]}, "
      f"numpy {np.__version__}")


def steps(network, optimizer, gradients):
    """Return the variables' changes in a step, of a network with the same weights each time."""
    keras.utils.set_random_seed(0)
    model = network()
    variables = model.trainable_variables
    before = [keras.ops.convert_to_numpy(each).copy() for each in variables]
    optimizer.build(variables)
    optimizer.apply([torch.from_numpy(each) for each in gradients], variables)
    changes = [keras.ops.convert_to_numpy(each) - old for each, old in zip(variables, before)]
    return [each.path for each in variables], before, changes


def network(name):
    return lambda: getattr(keras.applications, name)(weights=None, classes=100)


print("network            kernels   stepped as by AdamW   the others")
seen = {}
for name in ("MobileNetV3Small", "ResNet50", "EfficientNetB0"):
    random = np.random.default_rng(0)
    shapes = [tuple(each.shape) for each in network(name)().trainable_variables]
    gradients = [random.normal(size=shape).astype("float32") for shape in shapes]
    paths, before, muon = steps(network(name), keras.optimizers.Muon(0.001), gradients)
    adamw = steps(network(name), keras.optimizers.AdamW(0.001, weight_decay=0.004), gradients)[2]
    kernels = [at for at, shape in enumerate(shapes) if len(shape) > 1]
    others = [at for at in kernels if np.abs(muon[at] - adamw[at]).max() > 1e-6]
    names = ", ".join(f"{paths[at]} {shapes[at]}" for at in others)
    seen[name] = [paths[at] for at in others]
    print(f"  {name:16}{len(kernels):10}{len(kernels) - len(others):22}   {names or 'none'}")
if seen != {"MobileNetV3Small": [], "ResNet50": ["predictions/kernel"], "EfficientNetB0": ["predictions/kernel"]}:
    sys.exit("Changed: Keras' Muon steps convolutions otherwise than AdamW.")
PYTHON
