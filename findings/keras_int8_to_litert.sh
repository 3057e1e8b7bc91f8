#!/usr/bin/env bash
# A model that Keras' `quantize("int8")` quantized can't be exported by Keras' `export(format="litert")`.
#
# One would guess: the two go together: the int8 model becomes an int8 .tflite file. If something about it has to be
#   refused, Keras says so itself.
# What happens (a convolution, pooling and a Dense layer):
#     Python 3.11.7, keras 3.15.1, tensorflow 2.21.0, numpy 2.4.6
#     export of the float model:  a file
#     kernels after quantize():   conv2d float32, dense int8
#     the model predicts:         True
#     export of the int8 model:   ConverterError
# Why: int8 in Keras means matrix multiplications whose inputs are scaled while they run, for language models; other
#   layers, convolutions among them, are left in floats, with a warning for each. The exporter hands the multiplication
#   on as it is, and LiteRT's fully connected operator takes no int8 tensors without scales.
# Why it matters: the documented ways to shrink a model and to ship it are tried together first. The error is one of the
#   converter's, of several lines of its inner names, and speaks of neither.
# What to do instead: export the float model and quantize the file (post-training, or by a tool that makes .tflite
#   files). For a vision network `quantize("int8")` would have saved the last layer alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 ai-edge-litert==2.3.0 numpy==2.4.6 h5py==3.14.0 absl-py==1.4.0 protobuf==7.36.2 \
  ml-dtypes==0.6.0
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import os
import platform
import sys
import warnings

import keras
import numpy as np
import tensorflow as tf

print(f"Python {platform.python_version()}, keras {keras.__version__}, tensorflow {tf.__version__}, "
      f"numpy {np.__version__}")
layers = keras.layers
model = keras.Sequential(
    [
        keras.Input((16, 16, 3), batch_size=1),
        layers.Conv2D(8, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]
)


def exported(name):
    try:
        model.export(name, format="litert", verbose=False)
    except Exception as error:
        return type(error).__name__
    return "a file" if os.path.getsize(name) else "an empty file"


in_floats = exported("float.tflite")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    model.quantize("int8")
kernels = {layer.name.split("_")[0]: str(layer.kernel.dtype) for layer in model.layers if hasattr(layer, "kernel")}
runs = np.isfinite(model.predict(np.zeros((1, 16, 16, 3)), verbose=0)).all()
in_int8 = exported("int8.tflite")
print(f"export of the float model:  {in_floats}")
print(f"kernels after quantize():   {', '.join(f'{name} {kind}' for name, kind in kernels.items())}")
print(f"the model predicts:         {runs}")
print(f"export of the int8 model:   {in_int8}")
seen = [in_floats, in_int8, runs, *kernels.values()]
if seen != ["a file", "ConverterError", True, "float32", "int8"]:
    sys.exit("Changed: Keras quantizes other layers, or exports them to LiteRT.")
PYTHON
