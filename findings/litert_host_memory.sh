#!/usr/bin/env bash
# LiteRT's TensorBuffer of a NumPy image has lost its shape: CompiledModel refuses it. Of a row it may be a copy.
#
# One would guess: `TensorBuffer.create_from_host_memory(image)` is the way without a copy to hand a NumPy image to
#   CompiledModel: the buffer has the image's shape, and what is written into the array later is what the model sees.
# What happens:
#     Python 3.11.7, ai-edge-litert 2.3.0, numpy 2.4.6
#     a file that doubles [1, 4, 4, 4]
#       array  0 bytes behind a multiple of 64, buffer of [64]: RuntimeError,
#         Cannot auto-resize tensor image: no dims_signature exists
#       array 16 bytes behind a multiple of 64, buffer of [64]: RuntimeError,
#         Cannot auto-resize tensor image: no dims_signature exists
#     a file that doubles [1, 64]
#       array  0 bytes behind a multiple of 64, buffer of [64]: RuntimeError,
#         Cannot auto-resize tensor image: no dims_signature exists
#       array 16 bytes behind a multiple of 64, buffer of [64]: RuntimeError,
#         Cannot auto-resize tensor image: no dims_signature exists
#     a file that doubles [64]
#       array  0 bytes behind a multiple of 64, buffer of [64]: ones give 2, fives in the same array 10
#       array 16 bytes behind a multiple of 64, buffer of [64]: ones give 2, fives in the same array 2
# Why: the buffer is made from the count of numbers alone, so it has one dimension, and CompiledModel takes it for an input
#   to be resized. And memory must begin at a multiple of 64 bytes, where NumPy's arrays begin by chance; others are copied
#   once, when the buffer is made.
# Why it matters: no image model takes such a buffer, of whatever layout, nor a row with a batch in front. Where it does
#   work, camera frames written into one array are seen or not, by where the array came to lie.
# What to do instead: `compiled.create_input_buffers(0)` once, and `buffer.write(image)` for each image, with the model's
#   own dtype.
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
from ai_edge_litert.tensor_buffer import TensorBuffer

print(f"Python {platform.python_version()}, ai-edge-litert {ai_edge_litert.__version__}, numpy {np.__version__}")


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


def array_at(offset, shape):
    """Return ones that begin so many bytes behind a multiple of 64."""
    memory = np.ones(np.prod(shape) + 32, "float32")
    start = (-memory.ctypes.data % 64 + offset) // 4
    return memory[start : start + np.prod(shape)].reshape(shape)


changed = False
for shape in ((1, 4, 4, 4), (1, 64), (64,)):
    compiled = CompiledModel.from_buffer(doubling(*shape))
    [answer] = compiled.create_output_buffers(0)
    print(f"a file that doubles {list(shape)}")
    for offset in (0, 16):
        array = array_at(offset, shape)
        buffer = TensorBuffer.create_from_host_memory(array)
        line = f"  array {offset:2} bytes behind a multiple of 64, buffer of {buffer.get_tensor_details()['shape']}: "
        try:
            compiled.run_by_index(0, [buffer], [answer])
            before = answer.read(1, np.float32)[0]
            array[:] = 5
            compiled.run_by_index(0, [buffer], [answer])
            after = answer.read(1, np.float32)[0]
            print(f"{line}ones give {before:g}, fives in the same array {after:g}")
            changed |= len(shape) > 1 or (before, after) != ((2, 10) if offset == 0 else (2, 2))
        except RuntimeError as error:
            print(f"{line}{type(error).__name__},\n    {str(error).splitlines()[-1].strip('└ ')}")
            changed |= len(shape) == 1
if changed:
    sys.exit("Changed: a buffer of host memory keeps its shape, or is shared or copied otherwise.")
PYTHON
