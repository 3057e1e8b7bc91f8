#!/usr/bin/env bash
# TF-MOT leaves a Dense layer before a batch normalization in floats, inside an int8 file, without a word.
#
# One would guess: `quantize_model` quantizes Dense + BatchNormalization + ReLU as it does Conv2D + BatchNormalization +
#   ReLU, or refuses it; and the converted file holds int8 operators, as that of the same network without the batch
#   normalization does.
# What happens (fully connected operators of the file, with the types of input, weights and output):
#     Python 3.11.7, tensorflow-model-optimization 0.8.1, tf-keras 2.21.0, tensorflow 2.21.0
#     Dense, ReLU                           int8, int8, int8
#     Dense, BatchNormalization, ReLU       float32, float32, float32
#     1x1 Conv2D, BatchNormalization, ReLU  int8, int8, int8
# Why: TF-MOT knows the pattern with a batch normalization for convolutions only. The converter folds the
#   normalization into the weights of Dense, no range belongs to the folded ones, and so it keeps them in floats,
#   between a DEQUANTIZE and a QUANTIZE operator.
# Why it matters: the layer mostly is the largest of a head. The file is up to four times larger than it should be, does
#   not run on int8-only accelerators, and `quantize_model` and the converter say nothing.
# What to do instead: fold the batch normalization into the Dense layer first, or write the layer as a 1x1 Conv2D; and
#   list the types of a converted file's tensors.
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
import contextlib
import importlib.metadata
import io
import platform
import sys

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from ai_edge_litert.interpreter import Interpreter

versions = {name: importlib.metadata.version(name) for name in ("tensorflow-model-optimization", "tf-keras", "tensorflow")}
print(f"Python {platform.python_version()},", ", ".join(f"{name} {version}" for name, version in versions.items()))
layers = keras.layers
images = np.random.default_rng(0).normal(size=(4, 6, 6, 4)).astype("float32")


def int8_file(head):
    model = keras.Sequential([layers.Input((6, 6, 4), batch_size=1), layers.Conv2D(4, 3), layers.ReLU(), *head])
    quantized = tfmot.quantization.keras.quantize_model(model)
    for image in images:
        quantized(image[None], training=True)
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def types(head, kinds):
    interpreter = Interpreter(model_content=int8_file(head))
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
    return [
        ", ".join(tensors[index] for index in (*operator["inputs"][:2], operator["outputs"][0]))
        for operator in interpreter._get_ops_details()
        if operator["op_name"] in kinds
    ]


normalization = layers.BatchNormalization
seen = {
    "Dense, ReLU": types([layers.Flatten(), layers.Dense(8), layers.ReLU()], ["FULLY_CONNECTED"]),
    "Dense, BatchNormalization, ReLU": types(
        [layers.Flatten(), layers.Dense(8), normalization(), layers.ReLU()], ["FULLY_CONNECTED"]
    ),
    "1x1 Conv2D, BatchNormalization, ReLU": types(
        [layers.Conv2D(8, 4), layers.Conv2D(8, 1), normalization(), layers.ReLU()], ["CONV_2D"]
    )[-1:],
}
for name, found in seen.items():
    print(f"{name:37}", *found)
if list(seen.values()) != [["int8, int8, int8"], ["float32, float32, float32"], ["int8, int8, int8"]]:
    sys.exit("Changed: TF-MOT and the converter treat Dense with a batch normalization otherwise than described.")
PYTHON
