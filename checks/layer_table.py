"""Write LAYERS.md: which layers, activations and functions a float32 and an int8 file can hold, and by which operators.

    python tools/layer_table.py

Each layer that `keras_lite.quantization.lower` knows is put into a model of its own, which is lowered, written in both
precisions and opened in LiteRT with XNNPACK.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

from keras_lite import layers as own
from keras_lite.cli import command_line
from keras_lite.errors import InputError, import_extra
from keras_lite.files import write_text
from keras_lite.graph.view import IDLE
from keras_lite.litert import FloatGraph, Graph, write
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.lower.functions import ACTIVATIONS
from keras_lite.quantization.lower.lowering import LAYERS
from keras_lite.quantization.lower.operations.computing import OPERATIONS
from keras_lite.quantization.quantized_graph import needs_range, quantize
from keras_lite.runtime.litert_worker import delegation
from keras_lite.tables import markdown_table

FLAGS = command_line.new_flags()

PATH = Path(__file__).resolve().parents[1] / "LAYERS.md"
_HEAD = """# Layers in files

Written by `python tools/layer_table.py`: each layer, activation and function of `keras.ops` below was put into a model
of its own, which was lowered, written and opened in LiteRT with XNNPACK, on x86. XNNPACK does not take the operators in
*italics*: LiteRT's own kernels run them, and what is before and behind them are partitions of their own, which the last
column counts, for int8. Whatever an int8 file holds, `keras_lite.litert.IntegerModel` computes to the bit. What is
refused says why and what to write instead.

At the end of an int8 model a softmax, its logarithm and a normalization to length 1 are left out; here they stand
inside, before a product.

Numbers that multiply or add, and activations, go into the convolutions next to them, where there are any: a layer has
fewer operators in a network than alone.
"""
_IMAGE, _ROW, _VECTOR = (8, 8, 4), (16, 4), (8,)
_Build = Callable[[Any], Any]
layers, ops = keras.layers, keras.ops

_ARGUMENTS: dict[str, Any] = {
    "AveragePooling1D": {"pool_size": 2}, "AveragePooling2D": {"pool_size": 3, "padding": "same"}, "CenterCrop": (4, 4),
    "Conv1D": (4, 3), "Conv1DTranspose": (4, 3, 2), "Conv2D": (4, 3), "Conv2DTranspose": (4, 3, 2), "Dense": (4,),
    "DepthwiseConv1D": (3,), "DepthwiseConv2D": (3,), "Dropout": (0.5,), "MaxPooling2D": (2,), "Permute": ((3, 1, 2),),
    "Normalization": {"mean": [1.0, 2.0, 3.0, 4.0], "variance": [1.0, 2.0, 3.0, 4.0]}, "RepeatVector": (3,),
    "Rescaling": (0.5, 1.0), "Reshape": ((4, 64),), "Resizing": (5, 5), "SeparableConv1D": (4, 3),
    "SeparableConv2D": (4, 3), "SpatialDropout2D": (0.5,), "UpSampling2D": {"interpolation": "bilinear"},
    "Activation": ("silu",), "GaussianNoise": (0.1,), "GaussianDropout": (0.1,), "AlphaDropout": (0.1,),
    "RandomBrightness": (0.1,), "RandomContrast": (0.1,), "RandomHue": (0.1,), "RandomRotation": (0.1,),
    "RandomTranslation": (0.1, 0.1), "RandomZoom": (0.1,), "RandomSaturation": (0.1,), "GroupNormalization": (2,),
}  # fmt: skip
_MERGING = ("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract")
_OWN: dict[str, _Build] = {
    "AdditiveAttention": lambda x: layers.AdditiveAttention()(_rows(x)),
    "Attention": lambda x: layers.Attention()(_rows(x)),
    "MultiHeadAttention": lambda x: layers.MultiHeadAttention(2, 4)(*_rows(x)),
    "Dot": lambda x: layers.Dot(2)([layers.Reshape((8, 32))(x), layers.Reshape((8, 32))(x * 0.5)]),
    "PositionEmbedding": lambda x: own.PositionAwareCircularConv("height")(x),
    "StridedAttention": lambda x: own.AttentionDownsampling(5, attention=True)(layers.Concatenate()([x, x])),
}
_CALLS: dict[str, _Build] = {
    "Add": lambda x: x + np.ones((8, 4), "float32"), "ArraySplit": lambda x: ops.array_split(x, 2, -1)[0],
    "Clip": lambda x: ops.clip(x, -1, 1), "Concatenate": lambda x: ops.concatenate([x, x * 2.0], -1),
    "ConvertToTensor": lambda x: x, "DepthToSpace": lambda x: ops.nn.depth_to_space(x, 2),
    "Divide": lambda x: ops.divide(x, ops.exp(x)),
    "ExtractPatches": lambda x: ops.image.extract_patches(x, 2), "ExpandDims": lambda x: ops.expand_dims(x, 1),
    "Flip": lambda x: ops.flip(x, 1), "Gelu": lambda x: ops.gelu(x, approximate=True),
    "GetItem": lambda x: x[:, 1:5, 2],
    "Matmul": lambda x: ops.matmul(x, np.ones((4, 3), "float32")), "Maximum": lambda x: ops.maximum(x, -1.0),
    "Minimum": lambda x: ops.minimum(x, 1.0), "Moveaxis": lambda x: ops.moveaxis(x, 1, -1),
    "Multiply": lambda x: x * np.ones((8, 4), "float32"), "Pad": lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 2]]),
    "Power": lambda x: x**2, "Repeat": lambda x: ops.repeat(x, 2, 1), "Reshape": lambda x: ops.reshape(x, (-1, 256)),
    "Resize": lambda x: ops.image.resize(x, (5, 5)), "Roll": lambda x: ops.roll(x, 1, 1),
    "SpaceToDepth": lambda x: ops.nn.space_to_depth(x, 2), "Split": lambda x: ops.split(x, 2, -1)[0],
    "Squeeze": lambda x: ops.squeeze(x[:, :1], 1), "Stack": lambda x: ops.stack([x, x * 2.0], 1),
    "StopGradient": lambda x: ops.stop_gradient(x) * 2.0, "Subtract": lambda x: 1.0 - x,
    "Swapaxes": lambda x: ops.swapaxes(x, 1, 3), "Take": lambda x: ops.take(x, [2, 0, 1], -1),
    "Threshold": lambda x: ops.threshold(x, 0.5, 0.0), "Tile": lambda x: ops.tile(x, (1, 2, 1, 1)),
    "Transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)), "TrueDivide": lambda x: x / ops.exp(x),
    "Unstack": lambda x: ops.unstack(x, axis=1)[0], "Copy": lambda x: ops.copy(x) * 2.0,
}  # fmt: skip
# Layers of keras.applications' ConvNeXt, which Keras gives no public name: a factor, and one that does nothing.
_CONVNEXT = ("LayerScale", "StochasticDepth")
_LEFT_OUT_AT_END = ("LogSoftmax", "Softmax", "UnitNormalization", "log_softmax", "softmax")
_REDUCING = ("Amax", "Amin", "Max", "Mean", "Min", "Prod", "Sum", "Var")


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Write the file."""
    write_text(PATH, table())
    print(PATH)


def table() -> str:
    """Return the content of LAYERS.md."""
    parts = [_HEAD]
    for title, found in (
        ("layer", _layers()),
        ("activation", _activations()),
        ("function of keras.ops", _operations()),
    ):
        rows = [(title, "float32", "int8", "partitions"), *(_row(name, build, shape) for name, build, shape in found)]
        parts.append(markdown_table(rows, left=(0, 1, 2)) + "\n")
    idle = ", ".join(f"`{name}`" for name in sorted((*IDLE, "Dropout", "SpatialDropout2D")))
    parts.append(f"Layers that do nothing when a model predicts are left out of the file: {idle}.\n")
    parts.append(
        f"keras.applications' ConvNeXt is taken with its own layers: {', '.join(map('`{}`'.format, _CONVNEXT))}.\n"
    )
    return "\n".join(parts)


def _layers() -> Iterator[tuple[str, _Build, tuple[int, ...]]]:
    for name in sorted(LAYERS):
        if name in (*IDLE, "Dropout", "SpatialDropout2D", *_CONVNEXT):
            continue
        shape = _ROW if "1D" in name else _VECTOR if name == "RepeatVector" else _IMAGE
        yield name, _OWN.get(name) or (lambda x, name=name: _called(name, x)), shape


def _rows(x: Any) -> list[Any]:
    rows = layers.Reshape((8, 32))(x)
    return [rows, layers.Rescaling(0.5)(rows)]


def _called(name: str, x: Any) -> Any:
    if name in _MERGING:
        return getattr(layers, name)()([x, layers.Rescaling(-0.5)(x)])
    arguments = _ARGUMENTS.get(name, ())
    layer_class = getattr(layers, name)
    return (layer_class(**arguments) if isinstance(arguments, dict) else layer_class(*arguments))(x)


def _activations() -> Iterator[tuple[str, _Build, tuple[int, ...]]]:
    for name in sorted(ACTIVATIONS):
        yield name, lambda x, name=name: layers.Activation(name)(x), _IMAGE


def _operations() -> Iterator[tuple[str, _Build, tuple[int, ...]]]:
    for name in sorted(OPERATIONS):
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
        if name in _REDUCING:
            yield snake, lambda x, snake=snake: getattr(ops, snake)(x, axis=1), _IMAGE
        elif name in _CALLS:
            yield snake, _CALLS[name], _IMAGE
        else:
            yield snake, lambda x, snake=snake: getattr(ops, snake)(x), _IMAGE


def _row(name: str, build: _Build, shape: tuple[int, ...]) -> tuple[str, str, str, str]:
    inputs = keras.Input(shape)
    outputs = build(inputs)
    model = keras.Model(inputs, layers.Rescaling(2.0)(outputs) if name in _LEFT_OUT_AT_END else outputs)
    for variable in model.weights:
        if len(variable.shape) == 3 and "alpha" in variable.path:
            variable.assign(np.linspace(0.1, 0.5, int(np.prod(variable.shape))).reshape(variable.shape))
    try:
        graph = lower(model)
    except InputError as error:
        return f"`{name}`", _refusal(error), _refusal(error), "-"
    floats = _operators(graph)[0]
    try:
        int8, partitions = _operators(_with_some_ranges(graph))
    except InputError as error:
        return f"`{name}`", floats, _refusal(error), "-"
    return f"`{name}`", floats, int8, str(partitions)


def _with_some_ranges(graph: FloatGraph) -> Graph:
    """Return the int8 graph with the same range everywhere."""
    form = for_int8(graph)
    tensors = [*form.graph.inputs, *needs_range(form)]
    return quantize(form, {**dict.fromkeys(tensors, (-4.0, 4.0)), **form.fixed})


def _operators(graph: Graph) -> tuple[str, int]:
    """Return a graph's operators as text, in italics what XNNPACK leaves out, and the number of its partitions."""
    interpreter = import_extra("ai_edge_litert.interpreter", "litert").Interpreter(model_content=write(graph))
    interpreter.allocate_tensors()
    found = delegation(interpreter)
    left = Counter(found["not_delegated"])
    names = []
    for operator in graph.operators:
        outside = left[operator.kind] > 0
        left[operator.kind] -= outside
        names.append(f"*{operator.kind}*" if outside else operator.kind)
    return ", ".join(names) or "yes", found["partitions"]


def _refusal(error: InputError) -> str:
    """Return why, and what to write instead."""
    return f"no: {str(error).partition(': ')[2].rstrip('.')}"
