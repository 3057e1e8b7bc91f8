#!/usr/bin/env bash
# Scales of a bias, whatever their values, decide whether XNNPACK runs an int8 convolution, and so what it answers.
#
# One would guess: the scale of an int32 bias is the product of two other scales that the file has. A file without it
#   means the same, or is refused; and a file with a wrong one gives wrong answers, or is refused.
# What happens (one int8 CONV_2D whose file differs in nothing but the quantization parameters of its bias):
#     Python 3.11.7, ai-edge-litert 2.3.0, numpy 2.4.6, flatbuffers 25.12.19
#     scales of the bias: the product of both scales  run by XNNPACK    0 of 102400 outputs differ, by up to 0
#     scales of the bias: 1000 times the product      run by XNNPACK    0 of 102400 outputs differ, by up to 0
#     scales of the bias: none                        run by LiteRT    64 of 102400 outputs differ, by up to 1
# Why: XNNPACK takes an int32 tensor only if it has quantization parameters, and then computes with the scales of input
#   and kernel. What it declines LiteRT computes itself, and rounds halves and near-halves otherwise.
# Why it matters: a writer of .tflite files that leaves the parameters out loses the fast path without a word, and a
#   test that compares a rewritten file with the first one to the bit fails in a few outputs of a thousand.
# What to do instead: write input scale * kernel scale beside each bias, zero point 0, one for each channel; and count
#   the operators outside of the delegate.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  ai-edge-litert==2.3.0 numpy==2.4.6 flatbuffers==25.12.19
cd "$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import platform
import sys

import ai_edge_litert
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

print(f"Python {platform.python_version()}, ai-edge-litert {ai_edge_litert.__version__}, numpy {np.__version__}, "
      f"flatbuffers {flatbuffers.__version__}")
random = np.random.default_rng(0)
IMAGES = random.integers(-128, 128, (200, 1, 8, 8, 8), dtype="int8")
KERNEL = random.integers(-127, 128, (8, 3, 3, 8), dtype="int8")
BIAS = random.integers(-9000, 9000, 8, dtype="int32")
SCALES = random.uniform(0.001, 0.003, 8)


def parameters(scales, zero_point=0):
    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = list(scales), [zero_point] * len(scales)
    return made


def int8_file(of_bias):
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, graph.tensors = 3, [graph], [schema.BufferT()], []
    kinds = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}
    for shape, values, kind, quantization in (
        ((1, 8, 8, 8), None, "int8", parameters([0.02], 3)),
        (KERNEL.shape, KERNEL, "int8", parameters(SCALES)),
        (BIAS.shape, BIAS, "int32", of_bias),
        ((1, 8, 8, 8), None, "int8", parameters([0.05], -5)),
    ):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.quantization, tensor.buffer = list(shape), kinds[kind], quantization, 0
        if values is not None:
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(values.tobytes(), "uint8")
        graph.tensors.append(tensor)
    code, operator, options = schema.OperatorCodeT(), schema.OperatorT(), schema.Conv2DOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 3
    options.padding, options.strideW, options.strideH = schema.Padding.SAME, 1, 1
    options.dilationWFactor = options.dilationHFactor = 1
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    model.operatorCodes, graph.operators, graph.inputs, graph.outputs = [code], [operator], [0], [3]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def answers(file):
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    delegated = any(details["op_name"] == "DELEGATE" for details in interpreter._get_ops_details())
    outputs = []
    for image in IMAGES:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).astype(int))
    return delegated, np.stack(outputs)


right = 0.02 * SCALES
_, expected = answers(int8_file(parameters(right)))
seen = {}
for name, of_bias in (
    ("the product of both scales", parameters(right)),
    ("1000 times the product", parameters(1000 * right)),
    ("none", None),
):
    delegated, outputs = answers(int8_file(of_bias))
    off = np.abs(outputs - expected)
    seen[name] = delegated, bool(off.any())
    print(f"scales of the bias: {name:26}  run by {'XNNPACK' if delegated else 'LiteRT '}  "
          f"{off.astype(bool).sum():3} of {off.size} outputs differ, by up to {off.max()}")
if list(seen.values()) != [(True, False), (True, False), (False, True)]:
    sys.exit("Changed: a bias without scales is run, or answered, like one with scales.")
PYTHON
