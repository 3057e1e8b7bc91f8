#!/usr/bin/env bash
# The TFLite converter calibrates the input of an ADD, SUB or MUL with the range of the operator's result, too.
#
# One would guess: post-training quantization gives each tensor the minimum and maximum of its own values over the
#   representative data set.
# What happens (`y = conv(x)`, then `x + y`, `x - y` or `x * y`; the error is the file's mean error against Keras):
#     Python 3.11.7, tensorflow 2.21.0, keras 3.15.1,
#     ai-edge-litert 2.3.0, numpy 2.4.6
#     Add                    y is in [-0.40, 0.00], its range in [-0.41, 7.59]   error 0.0079
#     Add, y an output       y is in [-0.40, 0.00], its range in [-0.40, 0.00]   error 0.0073
#     Subtract               y is in [-0.40, 0.00], its range in [-0.41, 8.38]   error 0.0080
#     Subtract, y an output  y is in [-0.40, 0.00], its range in [-0.40, 0.00]   error 0.0080
#     Multiply               y is in [-0.40, 0.00], its range in [-3.19, 0.00]   error 0.0068
#     Multiply, y an output  y is in [-0.40, 0.00], its range in [-0.40, 0.00]   error 0.0034
#   With `y` as a second output of the model, nothing else changed, its range is right.
# Why: the operator writes its result into the memory of its input `y`, which nothing needs any more (the interpreter
#   gives both one address; an output's memory is not shared). Calibration reads `y` from there before and after.
# Why it matters: the end of a residual branch is such a place, and a product of two tensors of one shape. Its steps
#   are wider than its values ask for: above, `y` keeps 13 of 256 levels before the sum and 32 before the product. The
#   product's error doubles, the sum's grows by a tenth, the difference's does not grow. Nothing in the file shows it,
#   and more calibration images do not help.
# What to do instead: compare the ranges in the file with the minimum and maximum of the float tensors. Convert with the
#   ends of such branches as further outputs, or quantize by a tool that takes the ranges itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.21.0 keras==3.15.1 ai-edge-litert==2.3.0 \
  numpy==2.4.6 h5py==3.14.0 absl-py==1.4.0 protobuf==7.36.2 ml-dtypes==0.6.0 flatbuffers==25.12.19
cd "$folder"
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import contextlib
import io
import platform
import sys

import ai_edge_litert
import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

print(f"Python {platform.python_version()}, tensorflow {tf.__version__}, keras {keras.__version__},")
print(f"ai-edge-litert {ai_edge_litert.__version__}, numpy {np.__version__}")
images = np.random.default_rng(0).uniform(-1, 1, (16, 1, 8, 8, 4)).astype("float32")


def convolution(factor, **kwargs):
    return layers.Conv2D(4, 1, kernel_initializer=lambda shape, dtype: factor * np.eye(4).reshape(shape), **kwargs)


def network(operator, with_y):
    image = keras.Input((8, 8, 4), batch_size=1)
    x = convolution(8.0, activation="relu")(image)
    y = convolution(-0.05, name="y")(x)
    result = convolution(1.0)(operator()([x, y]))
    return keras.Model(image, [result, y] if with_y else result), keras.Model(image, y)


def int8_file(model):
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: ([image] for image in images)
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def range_of_y(interpreter):
    """Of the output of the second convolution."""
    convolutions = [operator for operator in interpreter._get_ops_details() if operator["op_name"] == "CONV_2D"]
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    scale, zero = details[convolutions[1]["outputs"][0]]["quantization"]
    return (-128 - zero) * scale, (127 - zero) * scale


def error(interpreter, model):
    total = 0.0
    (given,) = interpreter.get_input_details()
    first = min(interpreter.get_output_details(), key=lambda output: output["name"])
    for image in images:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        expected = model(image)
        expected = expected[0] if isinstance(expected, list) else expected
        total += np.abs(interpreter.get_tensor(first["index"]) - expected.numpy()).mean()
    return total / len(images)


changed = False
for operator in (layers.Add, layers.Subtract, layers.Multiply):
    for with_y in (False, True):
        model, branch = network(operator, with_y)
        true = np.stack([branch(image) for image in images])
        interpreter = Interpreter(model_content=int8_file(model))
        interpreter.allocate_tensors()
        low, high = range_of_y(interpreter)
        name = operator.__name__ + (", y an output" if with_y else "")
        shown = f"y is in [{true.min():.2f}, {true.max():.2f}], its range in [{low:.2f}, {high:.2f}]"
        print(f"{name:22} {shown:51} error {error(interpreter, model):.4f}")
        as_wide = high - low < 1.1 * (true.max() - true.min())
        changed |= as_wide != with_y
if changed:
    sys.exit("Changed: the converter's range of a tensor that an operator overwrites is not too wide as described.")
PYTHON
