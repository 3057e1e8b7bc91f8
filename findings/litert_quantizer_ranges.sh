#!/usr/bin/env bash
# litert-quantizer's `min_max_uniform_quantize` forgets the minimum and maximum: later photos count more than earlier.
#
# One would guess: from an algorithm of this name that an activation's range reaches from the smallest to the largest
#   value that it had on the calibration data, as in TensorFlow's converter; in any case not on the order of the photos.
# What happens (one float convolution; 32 photos within -1 to 1, a bright one within -10 to 10 among them):
#     Python 3.11.7, litert-quantizer 0.11.0, ai-edge-litert 2.3.0, numpy 2.4.6
#     bright photo first     the photos are in [-9.96, 9.98], their range in the file is [-2.72, 2.74]
#     bright photo third     the photos are in [-9.96, 9.98], their range in the file is [-1.08, 1.09]
#     bright photo last      the photos are in [-9.96, 9.98], their range in the file is [-1.44, 1.45]
#     third, min_max_update  the photos are in [-9.96, 9.98], their range in the file is [-9.93, 10.01]
# Why: calibration averages the ends of the ranges: 0.95 of what they were and 0.05 of the next photo's. A photo's share
#   halves every 14 photos, and the first one's is about 20 times the second one's.
# Why it matters: calibration photos mostly stand in folders by class, so the last class sets the ranges, larger
#   activations of the others are cut off, and the accuracy of the file hangs on the order of the photos.
# What to do instead: make the calibrator yourself, `Calibrator(file, qsv_update_func=qsv_utils.min_max_update)`, and
#   give its result to `quantize` (last line); or shuffle the photos. Compare the ranges in the file with the data's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  litert-quantizer==0.11.0 ai-edge-litert==2.3.0 numpy==2.4.6 flatbuffers==25.12.19
cd "$folder"
"$folder/venv/bin/python" -I - 2>log <<'PYTHON' || { tail -n 1 log >&2; exit 1; }
import contextlib
import io
import platform
import sys
from importlib.metadata import version

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import calibrator, quantizer, recipe
from litert_quantizer.utils import qsv_utils

print(f"Python {platform.python_version()}, litert-quantizer {version('litert-quantizer')}, "
      f"ai-edge-litert {version('ai-edge-litert')}, numpy {np.__version__}")
random = np.random.default_rng(0)
KERNEL = random.normal(size=(8, 3, 3, 4)).astype("float32")
PHOTOS = [random.uniform(-1, 1, (1, 8, 8, 4)).astype("float32") for _ in range(32)]
BRIGHT = (10 * random.uniform(-1, 1, (1, 8, 8, 4))).astype("float32")


def float_file():
    model, graph, signature = schema.ModelT(), schema.SubGraphT(), schema.SignatureDefT()
    model.version, model.subgraphs, model.buffers, graph.tensors = 3, [graph], [schema.BufferT()], []
    for name, shape, values in (
        ("photo", (1, 8, 8, 4), None),
        ("kernel", KERNEL.shape, KERNEL),
        ("bias", (8,), np.zeros(8, "float32")),
        ("maps", (1, 8, 8, 8), None),
    ):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), schema.TensorType.FLOAT32, 0
        if values is not None:
            tensor.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(values.tobytes(), "uint8")
        graph.tensors.append(tensor)
    code, operator, options = schema.OperatorCodeT(), schema.OperatorT(), schema.Conv2DOptionsT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 1
    options.padding, options.strideW, options.strideH = schema.Padding.SAME, 1, 1
    options.dilationWFactor = options.dilationHFactor = 1
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    model.operatorCodes, graph.operators, graph.inputs, graph.outputs = [code], [operator], [0], [3]
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
    signature.inputs[0].name, signature.inputs[0].tensorIndex = "photo", 0
    signature.outputs[0].name, signature.outputs[0].tensorIndex = "maps", 3
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def range_of_photo(photos, true_ends=False):
    data = {"serving_default": [{"photo": photo} for photo in photos]}
    made = quantizer.Quantizer(float_file())
    made.load_quantization_recipe(recipe.static_wi8_ai8())
    with contextlib.redirect_stdout(io.StringIO()):
        if true_ends:
            calibration = calibrator.Calibrator(float_file(), qsv_update_func=qsv_utils.min_max_update)
            recipes = quantizer.recipe_manager.RecipeManager()
            recipes.load_quantization_recipe(recipe.static_wi8_ai8())
            calibration.calibrate(data, recipes)
            found = calibration.get_model_qsvs()
        else:
            found = made.calibrate(data)
        file = bytes(made.quantize(found).quantized_model)
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    scale, zero_point = next(
        tensor["quantization"]
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] == np.int8 and list(tensor["shape"]) == [1, 8, 8, 4]
    )
    return (-128 - zero_point) * scale, (127 - zero_point) * scale


ends = {}
for name, photos, true_ends in (
    ("bright photo first", [BRIGHT, *PHOTOS], False),
    ("bright photo third", [*PHOTOS[:2], BRIGHT, *PHOTOS[2:]], False),
    ("bright photo last", [*PHOTOS, BRIGHT], False),
    ("third, min_max_update", [*PHOTOS[:2], BRIGHT, *PHOTOS[2:]], True),
):
    low, high = range_of_photo(photos, true_ends)
    ends[name] = high
    print(f"{name:22} the photos are in [{BRIGHT.min():.2f}, {BRIGHT.max():.2f}], their range in the file is "
          f"[{low:.2f}, {high:.2f}]")
*averaged, true = ends.values()
if not (max(averaged) < 4 and averaged[0] > 2 * averaged[1] and true > 9.5):
    sys.exit("Changed: litert-quantizer's default ranges are no moving averages.")
PYTHON
