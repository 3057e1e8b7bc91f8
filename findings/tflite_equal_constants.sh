#!/usr/bin/env bash
# The TFLite converter drops the trained range of a constant as soon as a second operator has an equal constant.
#
# One would guess: in a graph with fake quantization each constant goes into the file on the int8 steps of its
#   fake-quantization operator, with which the model was trained and tested.
# What happens (each constant has the range -127/80 to 127/80, so steps of 0.0125; its values are multiples of these):
#     Python 3.11.7, tensorflow 2.21.0, ai-edge-litert 2.3.0,
#     numpy 2.4.6
#     MUL, 1 use                    steps of [0.0125]                               values off by at most 0.00000
#     MUL, 2 uses                   steps of [0.00588]                              values off by at most 0.00294
#     MUL, 2 uses, ranges apart     steps of [0.0125]                               values off by at most 0.00000
#     CONV_2D, 1 use                steps of [0.0125]                               values off by at most 0.00000
#     CONV_2D, 2 uses               steps of [0.00089 0.00266 0.00522 0.00502]      values off by at most 0.00197
#     CONV_2D, 2 uses, ranges apart steps of [0.0125]                               values off by at most 0.00000
#   A second use brings other steps: between the constant's own minimum and maximum, or for each channel of a kernel.
#   Values that were exact no longer are. Ranges that differ in the seventh digit leave all as it was.
# Why: equal constants with equal ranges become one, and the range of one that several operators take is lost:
#   the converter then chooses a range from the values.
# Why it matters: a model may have equal constants without anyone's doing: the corrections at the edges of average
#   poolings of one size, one scale for several inputs, a layer that is used twice. The file's outputs are then not those
#   of the model that was trained and measured, and only where the constant happens to have a twin.
# What to do instead: read the constants' scales in the file back and compare. Give each use a constant of its own
#   whose range differs by a hair (a factor of 1 + n * 2**-21).
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
fake_quant = tf.quantization.fake_quant_with_min_max_args
random = np.random.default_rng(0)
MAPS = (random.integers(80, 121, (1, 8, 8, 4)) / 80).astype("float32")
KERNEL = (random.integers(-120, 121, (1, 1, 4, 4)) * [[0.1, 0.3, 0.5, 1.0]] // 1 / 80).astype("float32")


def int8_file(operate, values, uses, apart):
    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 4), tf.float32)])
    def network(x):
        x = fake_quant(x, -1, 1)
        for place in range(uses):
            end = 127 / 80 * (1 + apart * place * 2.0**-21)
            x = fake_quant(operate(x, fake_quant(values, -end, end, narrow_range=True)), -4, 4)
        return x

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def first_constant(file, kind):
    """Scales, and values with the channels they belong to last."""
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    index = next(op["inputs"][1] for op in interpreter._get_ops_details() if op["op_name"] == kind)
    quantization = tensors[index]["quantization_parameters"]
    integers = np.moveaxis(interpreter.get_tensor(index).astype("float32"), quantization["quantized_dimension"], -1)
    values = (integers - quantization["zero_points"]) * quantization["scales"]
    return quantization["scales"], np.moveaxis(values, -1, quantization["quantized_dimension"])


def multiply(x, values):
    return x * values


def convolve(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


changed = False
for kind, operate, values in (("MUL", multiply, MAPS), ("CONV_2D", convolve, KERNEL)):
    expected = np.transpose(values, (3, 0, 1, 2)) if kind == "CONV_2D" else values
    for uses, apart in ((1, False), (2, False), (2, True)):
        scales, stored = first_constant(int8_file(operate, values, uses, apart), kind)
        error = float(np.abs(stored - expected).max())
        name = f"{kind}, {uses} use" + ("s" if uses > 1 else "") + (", ranges apart" if apart else "")
        print(f"{name:29} steps of {np.round(scales, 5)!s:38} values off by at most {error:.5f}")
        kept = len(scales) == 1 and abs(scales[0] - 0.0125) < 1e-6 and error < 1e-5
        changed |= kept != (uses == 1 or apart)
if changed:
    sys.exit("Changed: the converter keeps or drops the ranges of equal constants otherwise than described.")
PYTHON
