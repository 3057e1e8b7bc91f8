#!/usr/bin/env bash
# TF-MOT gives a depthwise kernel one range for all its channels, so that weak channels of a network become zeros.
#
# One would guess: a range for each channel, as TF-MOT gives a Conv2D's kernel, as the TFLite specification has for
#   depthwise kernels, and as the converter's own post-training quantization does.
# What happens (kernels of four channels, each a tenth of the one before; distinct integers of 64 values of a channel):
#     Python 3.11.7, tensorflow-model-optimization 0.8.1, tf-keras 2.21.0, tensorflow 2.21.0
#     DepthwiseConv2D ranges while training: 1  integers: TF-MOT [60, 25, 3, 1], post-training [60, 57, 54, 55]
#     Conv2D          ranges while training: 4  integers: TF-MOT [59, 61, 52, 59], post-training [59, 61, 52, 59]
# Why: the quantizer of convolutions has a range for each index of the kernel's last axis. That of a depthwise kernel is
#   the multiplier, mostly 1. The file has a scale for each channel all the same, and does not show it.
# Why it matters: channels of depthwise kernels differ by factors of ten and more. The weak ones are trained and shipped
#   as three values or as zeros, where post-training quantization keeps all of them: training can end coarser.
# What to do instead: scale the channels of the kernel to equal maxima first, and the statistics of the batch
#   normalization behind it with them, which leaves the outputs as they are.
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

names = ("tensorflow-model-optimization", "tf-keras", "tensorflow")
versions = {name: importlib.metadata.version(name) for name in names}
print(f"Python {platform.python_version()},", ", ".join(f"{name} {version}" for name, version in versions.items()))
random = np.random.default_rng(0)
images = random.normal(size=(16, 1, 8, 8, 4)).astype("float32")
SIZES = np.array([1, 0.1, 0.01, 0.001])


def integers(model, photos):
    """Distinct integers of each channel of the kernel."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if photos is not None:
        converter.representative_dataset = lambda: ([photo] for photo in photos)
    with contextlib.redirect_stdout(io.StringIO()):
        interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    index = next(op["inputs"][1] for op in interpreter._get_ops_details() if "CONV_2D" in op["op_name"])
    details = next(tensor for tensor in interpreter.get_tensor_details() if tensor["index"] == index)
    axis = details["quantization_parameters"]["quantized_dimension"]
    kernel = np.moveaxis(interpreter.get_tensor(index), axis, 0).reshape(4, -1)
    return [len(np.unique(channel)) for channel in kernel]


def network(kind):
    if kind == "DepthwiseConv2D":
        layer, shape, sizes = keras.layers.DepthwiseConv2D(8, use_bias=False), (8, 8, 4, 1), SIZES[:, None]
    else:
        layer, shape, sizes = keras.layers.Conv2D(4, 4, use_bias=False), (4, 4, 4, 4), SIZES
    behind = [keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential([keras.layers.Input((8, 8, 4), batch_size=1), layer, *behind])
    layer.set_weights([random.uniform(-1, 1, shape) * sizes])
    return model


def for_training(model):
    quantized = tfmot.quantization.keras.quantize_model(model)
    for image in images:
        quantized(image, training=True)
    return quantized


seen = []
for kind in ("DepthwiseConv2D", "Conv2D"):
    model = network(kind)
    quantized = for_training(model)
    (ranges,) = (weight.shape[0] for weight in quantized.weights if weight.name.endswith("kernel_min:0"))
    trained, unaware = integers(quantized, None), integers(model, images)
    seen.append((ranges, min(trained) > 30, min(unaware) > 30))
    print(f"{kind:15} ranges while training: {ranges}  integers: TF-MOT {trained}, post-training {unaware}")
if seen != [(1, False, True), (4, True, True)]:
    sys.exit("Changed: TF-MOT's ranges of depthwise kernels are others than described.")
PYTHON
