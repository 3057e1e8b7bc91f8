#!/usr/bin/env bash
# LiteRT's TensorBuffer copies bytes: it takes pixels of another type and images of another size without a word.
#
# One would guess: `TensorBuffer.write` of the CompiledModel API knows the buffer's type and shape, and refuses or converts
#   what has others, as `Interpreter.set_tensor` refuses them.
# What happens:
#     Python 3.11.7, ai-edge-litert 2.3.0, numpy 2.4.6
#     a file that doubles a float32 image of (1, 2, 2, 3), the numbers 1 to 12
#       float32
#         Interpreter.set_tensor: 2 4 6 8 10 12 14 16 18 20 22 24
#         TensorBuffer.write:     2 4 6 8 10 12 14 16 18 20 22 24
#       uint8
#         Interpreter.set_tensor: ValueError
#         TensorBuffer.write:     3.08e-36 8.126e-34 2.142e-31 0 0 0 0 0 0 0 0 0
#       int32
#         Interpreter.set_tensor: ValueError
#         TensorBuffer.write:     0 0 0 0 0 0 0 0 0 0 0 0
#       float16
#         Interpreter.set_tensor: ValueError
#         TensorBuffer.write:     4.007 1026 1.642e+04 2.627e+05 1.051e+06 4.204e+06 0 0 0 0 0 0
#       float64
#         Interpreter.set_tensor: ValueError
#         TensorBuffer.write:     ValueError
#       float32, its first half
#         Interpreter.set_tensor: ValueError
#         TensorBuffer.write:     2 4 6 8 10 12 0 0 0 0 0 0
#       float32, channels first
#         Interpreter.set_tensor: ValueError
#         TensorBuffer.write:     2 8 14 20 4 10 16 22 6 12 18 24
# Why: the array's bytes are copied to the front of the buffer, whatever type they are of, up to the buffer's size; what is
#   behind them stays as it was, here the zeros written before each image. float64 is refused as a type that no buffer has.
# Why it matters: photos as `numpy.asarray(Image.open(path))` are uint8. Code that moves from Interpreter to CompiledModel
#   no longer stops at them: the model sees numbers next to zero, and rests of the photo before, and answers.
# What to do instead: compare `buffer.get_tensor_details()` with the array's dtype and shape before each kind of write.
#   `buffer.read` wants the same care: it takes the type and the count that it is told.
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
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.interpreter import Interpreter

print(f"Python {platform.python_version()}, ai-edge-litert {ai_edge_litert.__version__}, numpy {np.__version__}")
SHAPE = (1, 2, 2, 3)


def doubling(*shape):
    """Return a float32 file that adds its input to itself."""
    model, graph, code, operator = schema.ModelT(), schema.SubGraphT(), schema.OperatorCodeT(), schema.OperatorT()
    model.version, model.subgraphs, model.buffers, graph.tensors = 3, [graph], [schema.BufferT()], []
    for name in ("image", "doubled"):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), schema.TensorType.FLOAT32, 0
        graph.tensors.append(tensor)
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    operator.inputs, operator.outputs = [0, 0], [1]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    model.operatorCodes, graph.operators, graph.inputs, graph.outputs = [code], [operator], [0], [1]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def shown(doubled):
    return " ".join(f"{value:.4g}" for value in doubled.ravel())


FILE = doubling(*SHAPE)
IMAGE = np.arange(1, 13, dtype="float32").reshape(SHAPE)
interpreter = Interpreter(model_content=FILE)
interpreter.allocate_tensors()
source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
compiled = CompiledModel.from_buffer(FILE)
[given], [answer] = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
print(f"a file that doubles a float32 image of {SHAPE}, the numbers 1 to 12")
seen = {}
for name, image in (
    ("float32", IMAGE),
    ("uint8", IMAGE.astype("uint8")),
    ("int32", IMAGE.astype("int32")),
    ("float16", IMAGE.astype("float16")),
    ("float64", IMAGE.astype("float64")),
    ("float32, its first half", IMAGE[:, :1]),
    ("float32, channels first", IMAGE.transpose(0, 3, 1, 2)),
):
    given.write(np.zeros(SHAPE, "float32"))
    try:
        interpreter.set_tensor(source, image)
        interpreter.invoke()
        by_interpreter = shown(interpreter.get_tensor(result))
    except ValueError:
        by_interpreter = "ValueError"
    try:
        given.write(image)
        compiled.run_by_index(0, [given], [answer])
        by_compiled = shown(answer.read(12, np.float32))
    except ValueError:
        by_compiled = "ValueError"
    seen[name] = by_interpreter, by_compiled
    print(f"  {name}\n    Interpreter.set_tensor: {by_interpreter}\n    TensorBuffer.write:     {by_compiled}")
right = shown(2 * IMAGE)
refused = [name for name, (_, by_compiled) in seen.items() if by_compiled == "ValueError"]
if (
    seen["float32"] != (right, right)
    or refused != ["float64"]
    or any(by_interpreter != "ValueError" for name, (by_interpreter, _) in seen.items() if name != "float32")
):
    sys.exit("Changed: TensorBuffer.write looks at types or sizes.")
PYTHON
