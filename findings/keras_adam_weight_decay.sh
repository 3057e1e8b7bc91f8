#!/usr/bin/env bash
# Keras' `Adam(weight_decay=...)` is AdamW, and its `SGD(weight_decay=...)` has no L2 penalty as PyTorch's has.
#
# One would guess: an optimizer with the name, rate, momentum and `weight_decay` of PyTorch's takes the same steps, as
#   it does without `weight_decay`; at least that Adam and AdamW differ in what the paper on AdamW is about.
# What happens (20 steps on the loss w * w / 20, from 1, 2 and 3; rate 0.05, SGD with momentum 0.9):
#     Python 3.11.7, keras 3.15.1, torch 2.13.0, numpy 2.4.6
#     SGD   weight_decay=0.0  Keras [0.483 0.965 1.448]  PyTorch [0.483 0.965 1.448]
#     SGD   weight_decay=0.1  Keras [0.425 0.85  1.275]  PyTorch [0.118 0.236 0.353]
#     Adam  weight_decay=0.0  Keras [0.111 1.04  2.024]  PyTorch [0.111 1.04  2.024]
#     Adam  weight_decay=0.1  Keras [0.073 0.904 1.791]  PyTorch [0.111 1.04  2.024]
#     AdamW weight_decay=0.0  Keras [0.111 1.04  2.024]  PyTorch [0.111 1.04  2.024]
#     AdamW weight_decay=0.1  Keras [0.073 0.904 1.791]  PyTorch [0.073 0.904 1.791]
#     Keras' Adam and AdamW with weight_decay=0.1 give the same: True
# Why: Keras takes `rate * weight_decay * weight` off each weight before any optimizer's step. PyTorch's Adam and SGD
#   add `weight_decay * weight` to the gradient, so Adam divides it away and SGD's momentum collects it.
# Why it matters: recipes of papers are PyTorch's, and most say SGD with momentum 0.9 and weight decay 5e-4. Moved over
#   number by number the weights decay about ten times less, and nothing looks wrong but the accuracy.
# What to do instead: add the decay to the gradient in an optimizer of your own, or use kernel regularizers of
#   `keras.regularizers.L2(weight_decay / 2)`. For AdamW both agree (sixth line).
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
START, STEPS, RATE = np.array([1.0, 2.0, 3.0], "float32"), 20, 0.05


def by_keras(name, **arguments):
    weight = keras.Variable(START)
    optimizer = getattr(keras.optimizers, name)(RATE, **arguments)
    optimizer.build([weight])
    for _ in range(STEPS):
        optimizer.apply([0.1 * weight.value.detach()], [weight])
    return keras.ops.convert_to_numpy(weight)


def by_torch(name, **arguments):
    weight = torch.nn.Parameter(torch.tensor(START))
    optimizer = getattr(torch.optim, name)([weight], RATE, **arguments)
    for _ in range(STEPS):
        weight.grad = 0.1 * weight.detach()
        optimizer.step()
    return weight.detach().numpy()


same = []
for name, arguments, extra in (
    ("SGD", {"momentum": 0.9}, {}),
    ("Adam", {}, {"epsilon": 1e-8}),
    ("AdamW", {}, {"epsilon": 1e-8}),
):
    for decay in (0.0, 0.1):
        of_keras = by_keras(name, weight_decay=decay, **arguments, **extra)
        of_torch = by_torch(name, weight_decay=decay, **arguments)
        same.append(bool(np.allclose(of_keras, of_torch, atol=2e-4)))
        print(f"{name:5} weight_decay={decay}  Keras {np.round(of_keras, 3)}  PyTorch {np.round(of_torch, 3)}")
alike = np.array_equal(by_keras("Adam", weight_decay=0.1), by_keras("AdamW", weight_decay=0.1))
print("Keras' Adam and AdamW with weight_decay=0.1 give the same:", alike)
if same != [True, False, True, False, True, True] or not alike:
    sys.exit("Changed: weight_decay of Keras' and PyTorch's optimizers differ otherwise than described.")
PYTHON
