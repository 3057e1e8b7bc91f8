#!/usr/bin/env bash
# The TFLite converter rounds the same weights to other integers in a dynamic file than in an int8 file.
#
# One would guess: both files hold the same int8 weights. Both have one scale for each output channel, from -127 to 127,
#   and the scales are the same to the bit.
# What happens (a dense layer; weights whose integers differ between the files, and from what two formulas give):
#     Python 3.11.7, tensorflow 2.21.0, ai-edge-litert 2.3.0,
#     numpy 2.4.6
#     normal: 1,024,000 weights, scales equal
#       dynamic and int8 file                  1
#       dynamic and weight / exact scale        0, and weight * (1 / scale), float32        1
#       int8    and weight / exact scale        1, and weight * (1 / scale), float32        0
#     next_to_halves: 1,024,000 weights, scales equal
#       dynamic and int8 file             97,374
#       dynamic and weight / exact scale        0, and weight * (1 / scale), float32   97,374
#       int8    and weight / exact scale   97,374, and weight * (1 / scale), float32        0
# Why: two parts of the converter round. The one for dynamic files divides in double precision by the largest weight
#   / 127, the one for int8 files multiplies in float32 by the reciprocal of the file's scale.
# Why it matters: a program that makes the files anew, or checks the weights of one by the other, agrees to the last
#   weight of small networks for a hundred runs, and then a weight next to the middle of two steps is one off.
# What to do instead: round as the kind of file does. With either, a weight moves by half a step at most, but for the
#   last digits of float32.
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
INPUTS, OUTPUTS = 1024, 1000
random = np.random.default_rng(0)


def normal():
    return random.normal(0, 0.05, (INPUTS, OUTPUTS)).astype("float32")


def next_to_halves():
    """Return weights that lie a float32 beside the middle of two steps, below a largest one in each column."""
    largest = random.uniform(0.05, 0.2, OUTPUTS).astype("float32")
    weights = ((random.integers(-127, 127, (INPUTS, OUTPUTS)) + 0.5) * largest / 127).astype("float32")
    weights = np.nextafter(weights, random.choice([-1, 1], weights.shape), dtype="float32")
    weights[0] = largest
    return weights


def file(weights, int8):
    dense = tf.function(lambda x: tf.matmul(x, weights), input_signature=[tf.TensorSpec((1, INPUTS), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([dense.get_concrete_function()], dense)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if int8:
        inputs = random.normal(size=(4, 1, INPUTS)).astype("float32")
        converter.representative_dataset = lambda: ([each] for each in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def stored(content):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    [kernel] = [each for each in interpreter.get_tensor_details() if tuple(each["shape"]) == (OUTPUTS, INPUTS)]
    return interpreter.get_tensor(kernel["index"]).T, kernel["quantization_parameters"]["scales"]


def halves_away(values):
    whole = np.trunc(values)
    return whole + np.copysign(np.abs(values - whole) >= 0.5, values)


changed = False
for make in (normal, next_to_halves):
    weights = make()
    (dynamic, scales), (int8, others) = stored(file(weights, False)), stored(file(weights, True))
    divided = halves_away(weights / (np.abs(weights).max(0).astype("float64") / 127))
    multiplied = halves_away(weights * (np.float32(1) / scales))
    same = np.array_equal(scales, others)
    print(f"{make.__name__}: {weights.size:,} weights, scales {'equal' if same else 'differ'}")
    print(f"  dynamic and int8 file           {np.count_nonzero(dynamic != int8):8,}")
    for name, integers in (("dynamic", dynamic), ("int8", int8)):
        off = [np.count_nonzero(integers != each) for each in (divided, multiplied)]
        print(f"  {name:7} and weight / exact scale {off[0]:8,}, and weight * (1 / scale), float32 {off[1]:8,}")
        changed |= off[name == "int8"] != 0 or off[name != "int8"] == 0
    changed |= not same
if changed:
    sys.exit("Changed: the converter rounds weights by other formulas than described.")
PYTHON
