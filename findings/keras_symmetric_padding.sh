#!/usr/bin/env bash
# Keras' `ops.pad(mode="symmetric")` repeats the edge on PyTorch, where it mirrors the image on other backends.
#
# One would guess: a mode that the documentation lists for all three backends gives the same numbers on them.
# What happens (constant and reflecting padding are NumPy's on all three):
#     Python 3.11.7, keras 3.15.1, numpy 2.4.6
#     tensorflow 2.21.0, the row 0 1 2 3 4 padded by 2
#       symmetric 1 0 0 1 2 3 4 4 3
#     jax 0.10.2, the row 0 1 2 3 4 padded by 2
#       symmetric 1 0 0 1 2 3 4 4 3
#     torch 2.13.0, the row 0 1 2 3 4 padded by 2
#       symmetric 0 0 0 1 2 3 4 4 4
# Why: PyTorch has no such padding, and Keras takes PyTorch's "replicate" for it without a word.
# Why it matters: a model that pads by mirroring, as for tiles or styles, answers otherwise along its edges once its weights
#   are loaded on PyTorch; by one pixel the modes agree, so a test with a padding of 1 passes.
# What to do instead: concatenate flipped slices, which every backend does alike.
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
print(f"{backend} {importlib.metadata.version(backend).split('+')[0]}, the row 0 1 2 3 4 padded by 2")
row, found = np.arange(5, dtype="float32"), {}
for mode in ("constant", "reflect", "symmetric"):
    found[mode] = keras.ops.convert_to_numpy(keras.ops.pad(row, (2, 2), mode=mode))
    print(f"  {mode:9} {' '.join(f'{value:g}' for value in found[mode])}")
by_numpy = {mode: np.array_equal(found[mode], np.pad(row, 2, mode=mode)) for mode in found}
if by_numpy != {"constant": True, "reflect": True, "symmetric": backend != "torch"}:
    sys.exit("Changed: padding gives what NumPy gives on PyTorch too, or not elsewhere.")
PYTHON
for backend in tensorflow jax torch; do
  KERAS_BACKEND=$backend "$folder/venv/bin/python" -I script.py 2>log || { tail -n 1 log >&2; exit 1; }
done
