#!/usr/bin/env bash
# The TFLite converter rounds an int8 layer's biases by scales of more digits than the file has.
#
# One would guess: a bias in the file is the float bias divided by the bias' scale that stands beside it, rounded.
# What happens (4,000 channels with a range of their own each; "before the file": the ranges' ends / 255 and / 127):
#     Python 3.11.7, tensorflow 2.21.0, ai-edge-litert 2.3.0,
#     numpy 2.4.6
#     biases up to 1, up to 44,162 steps of int32; rounded by
#       the bias' scale in the file, float32     2 of 4000 differ, by up to 1
#       both scales in the file, double          1 of 4000 differ, by up to 1
#       both scales before the file, double      0 of 4000 differ, by up to 0
#     biases up to 1000, up to 45,197,025 steps of int32; rounded by
#       the bias' scale in the file, float32  1653 of 4000 differ, by up to 3
#       both scales in the file, double       1110 of 4000 differ, by up to 2
#       both scales before the file, double      0 of 4000 differ, by up to 0
# Why: the converter multiplies the input's scale and the kernel's in double precision and rounds the bias by that; only
#   then are the three scales rounded to float32. Of a large bias the difference is more than half a step.
# Why it matters: whoever makes a file anew from its weights and scales, or checks its biases by them, gets other
#   integers. Of biases of tens of thousands of steps hardly one shows it.
# What to do instead: keep scales in double precision until the biases are rounded.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 ai-edge-litert==2.3.0 \
  numpy==2.4.6 h5py==3.14.0 absl-py==1.4.0 protobuf==7.36.2 ml-dtypes==0.6.0 flatbuffers==25.12.19
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import ai_edge_litert
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

print(f"Python {platform.python_version()}, tensorflow {tf.__version__}, ai-edge-litert {ai_edge_litert.__version__},")
print(f"numpy {np.__version__}")
CHANNELS = 4000
random = np.random.default_rng(0)
ENDS = random.uniform(0.5, 1.5, CHANNELS).astype("float32")
KERNEL = (random.uniform(-1, 1, (1, 1, 2, CHANNELS)) * ENDS).astype("float32")
INPUT_END = np.float32(0.7)


def int8_file(biases):
    @tf.function(input_signature=[tf.TensorSpec((1, 1, 1, 2), tf.float32)])
    def network(x):
        x = tf.quantization.fake_quant_with_min_max_vars(x, -INPUT_END, INPUT_END, narrow_range=False)
        kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(KERNEL, -ENDS, ENDS, narrow_range=True)
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), biases)
        return tf.quantization.fake_quant_with_min_max_vars(x, -20000.0, 20000.0)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def parts(file):
    interpreter = Interpreter(model_content=file, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    details = interpreter.get_tensor_details()
    scales = {tensor["index"]: tensor["quantization_parameters"]["scales"] for tensor in details}
    [operator] = [op for op in interpreter._get_ops_details() if op["op_name"] == "CONV_2D"]
    source, kernel, bias = operator["inputs"]
    return scales[source], scales[kernel], scales[bias], interpreter.get_tensor(bias)


def halves_away(values):
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


changed = False
for size in (1.0, 1000.0):
    biases = random.uniform(-size, size, CHANNELS).astype("float32")
    source, kernel, bias, stored = parts(int8_file(biases))
    exact = biases.astype("float64")
    ways = {
        "the bias' scale in the file, float32": biases / bias,
        "both scales in the file, double": exact / (source.astype("float64") * kernel.astype("float64")),
        "both scales before the file, double": exact / (2 * np.float64(INPUT_END) / 255 * (np.float64(ENDS) / 127)),
    }
    print(f"biases up to {size:g}, up to {np.abs(stored).max():,} steps of int32; rounded by")
    for way, steps in ways.items():
        off = np.abs(halves_away(steps) - stored)
        print(f"  {way:36} {np.count_nonzero(off):5} of {CHANNELS} differ, by up to {off.max():.0f}")
        wanted = "before" not in way and size > 1
        changed |= (np.count_nonzero(off) > CHANNELS // 10) != wanted or ("before" in way and off.any())
if changed:
    sys.exit("Changed: the converter rounds biases by other scales than described.")
PYTHON
