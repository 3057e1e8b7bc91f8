"""TFLite Model Metadata: what a file says of its input, its output and its labels to the libraries that run it.

The schema is `metadata_schema.fbs` of TFLite Support and MediaPipe. No package that keras_lite needs has it in Python,
so its tables are written here by the positions that it gives their fields.
"""

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.data.model_info import WITHOUT_NAMES
from keras_lite.errors import InputError, import_extra
from keras_lite.litert.operators import Graph, Tensor

LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
# The oldest reader of the schema that knows all fields written here.
_PARSER_VERSION = "1.0.0"
# The first date that a ZIP archive can hold, and one system for all: the same files give the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
# Members of the schema's enumerations and unions.
_RGB, _GRAYSCALE = 1, 2
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_NORMALIZATION_OPTIONS = 1
_TENSOR_AXIS_LABELS = 2
# How far half a step may be off, computed in float32.
_TOLERANCE = 1e-3
_OUTPUTS = {
    "logits": "A number for each class, of which a softmax makes probabilities",
    "probabilities": "The probability of each class",
    "sigmoid": "The probability of each label by itself",
    "regression": "A number for each name",
    "embedding": "A vector to compare with others",
    "image": "An image or a map",
    "several": "One of several outputs",
}

# A table of the schema: its fields by their positions. An integer is a byte, a dictionary another table.
_Table = dict[int, Any]


@dataclasses.dataclass(frozen=True)
class ModelMetadata:
    """Metadata of a .tflite file, as `write` takes it.

    Args:
        metadata: The metadata itself.
        files: The files it names: the labels, where the output has some.
    """

    metadata: bytes
    files: dict[str, bytes]


def model_metadata(graph: Graph, info: ModelInfo, description: str = "", version: str = "") -> ModelMetadata:
    """Return the metadata of a model of images: how pixels become its input, and the labels of its output.

    The normalization is for pixels of 0 to 255, and the same whatever type the input has, as the standard has it: where
    that is int8 or uint8, the normalized numbers are then rounded by the scale and zero point that the file has beside
    it. The range of the input and of probabilities is given in their own type. How a photo is scaled and cut has no
    place in the metadata.

    What libraries make of it: MediaPipe and TFLite's Task Library take float32 and uint8 inputs alone. For float32 they
    normalize; MediaPipe (1.2) refuses channels that differ in mean or std, as ImageNet's do. A uint8 input gets the
    pixels themselves, whatever the normalization says: that is right for a model of which `takes_pixels` is true.
    Android's code generators (ML Model Binding) normalize first and round then, for uint8 too.

    Args:
        graph: The model: one input of shape `(1, height, width, channels)`, one output of shape `(1, outputs)` or
            `(1, height, width, outputs)`, or several where `info` says so; a `FloatGraph`, or a `QuantizedGraph` with
            whatever ends.
        info: Its name, preprocessing, labels and kind of output.
        description: A sentence about the model; none by default.
        version: The model's version; none by default.

    Raises:
        InputError: If the graph's input or output is another than `info` describes, or a label is no single line.

    Example:

    >>> x, y = Tensor("images", (1, 8, 8, 3)), Tensor("scores", (1, 3))
    >>> graph = keras_lite.litert.FloatGraph("pets", [x], [y], [keras_lite.litert.Operator("MEAN", [x], [y])])
    >>> info = ModelInfo("pets", ["cat", "dog", "fish"], Preprocessing((8, 8)), "logits")
    >>> model_metadata(graph, info).files
    {'labels.txt': b'cat\\ndog\\nfish'}
    """
    if len(graph.inputs) != 1 or (len(graph.outputs) != 1 and info.output != "several"):
        received = f"{len(graph.inputs)} and {len(graph.outputs)}"
        raise InputError(f"Expected a model with one input and one output, received {received}.")
    labels = axis_labels(info, graph.outputs[0].shape[-1])
    subgraph = {
        2: [_input_table(graph.inputs[0], info.preprocessing)],
        3: [_output_table(output, info, labels) for output in graph.outputs],
    }
    model = {0: info.name, 1: description, 2: version, 3: [subgraph], 7: _PARSER_VERSION}
    model = {position: value for position, value in model.items() if value}
    builder = import_extra("flatbuffers", "litert").Builder()
    builder.Finish(_packed(builder, model), _IDENTIFIER)
    return ModelMetadata(bytes(builder.Output()), {LABELS_FILE: "\n".join(labels).encode()} if labels else {})


def takes_pixels(tensor: Tensor, preprocessing: Preprocessing) -> bool:
    """Return whether the numbers of a uint8 input are pixels, as they are, to within half a step.

    Args:
        tensor: The input.
        preprocessing: What its model was trained with.

    Example:

    >>> parameters = keras_lite.litert.QuantizationParameters(1 / 255, 0)
    >>> images = Tensor("images", (1, 8, 8, 3), dtype="uint8", quantization=parameters)
    >>> takes_pixels(images, Preprocessing((8, 8), (0, 0, 0), (1, 1, 1))), takes_pixels(images, Preprocessing((8, 8)))
    (True, False)
    """
    if tensor.dtype != "uint8" or tensor.quantization is None:
        return False
    # What is off grows evenly from one end to the other.
    off = [_steps(tensor, limit) - pixel for limit, pixel in zip(preprocessing.limits(), (0, 255), strict=True)]
    return bool(np.abs(off).max() <= 0.5 + _TOLERANCE)


def axis_labels(info: ModelInfo, outputs: int) -> list[str]:
    """Return the label of each number that a model returns; none for an embedding, image or others without names.

    Args:
        info: What describes the model.
        outputs: How many numbers it returns.

    Raises:
        InputError: If there are not as many names, or one is not a single line.

    Example:

    >>> axis_labels(ModelInfo("pets", ["cat", "dog"], Preprocessing((8, 8)), "sigmoid"), 1)
    ['dog']
    """
    names = info.class_names
    if info.output == "sigmoid" and outputs == 1 and len(names) == 2:
        names = names[1:]
    if len(names) != outputs and (names or info.output not in WITHOUT_NAMES):
        raise InputError(f"Expected a name for each of the {outputs} outputs of {info.name}, received {len(names)}.")
    for name in names:
        if "\n" in name or "\r" in name:
            raise InputError(f"Expected class names of one line each, as a file of labels has them, received {name!r}.")
    return names


def with_files(content: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return a .tflite file with other files behind it, as an uncompressed ZIP archive that ends it.

    Args:
        content: The content of the .tflite file.
        files: The content of each file by its name.

    Example:

    >>> file = with_files(b"a model", {"labels.txt": b"cat"})
    >>> file[:7], zipfile.ZipFile(io.BytesIO(file)).read("labels.txt")
    (b'a model', b'cat')
    """
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = _UNIX
            archive.writestr(entry, data)
    return file.getvalue()


def _input_table(tensor: Tensor, preprocessing: Preprocessing) -> _Table:
    expected = (1, *preprocessing.image_size, preprocessing.channels)
    if tensor.shape != expected:
        raise InputError(f"Expected an input of shape {expected}, as preprocessed, received {tensor.shape}.")
    gray = preprocessing.channels == 1
    height, width = preprocessing.image_size
    lowest, highest = preprocessing.limits()
    mean, std = (_numbers(255 * np.asarray(each)) for each in (preprocessing.mean, preprocessing.std))
    described = f"{'Gray' if gray else 'RGB'} image, {height} pixels high and {width} wide"
    if takes_pixels(tensor, preprocessing):
        described += ", its pixels as they are"
    elif tensor.quantization is not None:
        parameters = tensor.quantization
        rounding = f"a scale of {parameters.scale:.7g} and the zero point {parameters.zero_point}"
        described += f", normalized, then rounded to {tensor.dtype} by {rounding}"
    return {
        0: tensor.name,
        1: described,
        3: _union(_IMAGE_PROPERTIES, {0: _GRAYSCALE if gray else _RGB}),
        4: [_union(_NORMALIZATION_OPTIONS, {0: mean, 1: std})],
        5: _range(tensor, lowest, highest),
    }


def _output_table(tensor: Tensor, info: ModelInfo, labels: list[str]) -> _Table:
    described = _OUTPUTS[info.output] + (", at each pixel" if labels and len(tensor.shape) > 2 else "")
    table = {0: tensor.name, 1: described, 3: _union(_FEATURE_PROPERTIES, {})}
    if info.output in ("probabilities", "sigmoid"):
        table[5] = _range(tensor, [0.0], [1.0])
    if labels:
        table[6] = [{0: LABELS_FILE, 1: "The name of each output, in their order", 2: _TENSOR_AXIS_LABELS}]
    return table


def _range(tensor: Tensor, lowest: Any, highest: Any) -> _Table:
    """Return the largest and the smallest numbers of a tensor, in the type that it has."""
    ends = [np.asarray(each, "float32") for each in (highest, lowest)]
    if tensor.quantization is not None:
        limits = np.iinfo(tensor.dtype)
        ends = [np.clip(np.rint(_steps(tensor, each)), limits.min, limits.max) for each in ends]
    return {position: _numbers(each) for position, each in enumerate(ends)}


def _steps(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """Return values in a tensor's steps from its zero point, not yet rounded."""
    return values / tensor.quantization.scale + tensor.quantization.zero_point


def _union(member: int, table: _Table) -> _Table:
    """Return a table whose only field is a union, which has two positions: the member's number and its table."""
    return {0: member, 1: table}


def _numbers(values: Any) -> np.ndarray:
    return np.asarray(values, "<f4")


def _packed(builder: Any, table: _Table) -> int:
    """Write a table after all that it refers to, and return where it is."""
    places = {position: _place(builder, value) for position, value in table.items() if not isinstance(value, int)}
    builder.StartObject(max(table, default=-1) + 1)
    for position, value in table.items():
        if position in places:
            builder.PrependUOffsetTRelativeSlot(position, places[position], 0)
        else:
            builder.PrependUint8Slot(position, value, 0)
    return builder.EndObject()


def _place(builder: Any, value: str | np.ndarray | _Table | list[_Table]) -> int:
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, dict):
        return _packed(builder, value)
    places = [_packed(builder, table) for table in value]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()
