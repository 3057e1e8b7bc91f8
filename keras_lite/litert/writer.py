"""The bytes of a .tflite file from a graph, without TensorFlow."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.litert.batch import for_any_batch
from keras_lite.litert.checks import check_quantized
from keras_lite.litert.metadata import with_files
from keras_lite.litert.operators import FloatGraph, Graph, Operator, QuantizedGraph, Tensor
from keras_lite.litert.options import number_in, options_table, tflite_schema
from keras_lite.litert.weights import with_float16_weights, with_int8_weights

SIGNATURE = "serving_default"
DESCRIPTION = "keras_lite"
_PRECISIONS: dict[str, Callable[[FloatGraph], FloatGraph]] = {
    "float32": lambda graph: graph,
    "float16": with_float16_weights,
    "dynamic": with_int8_weights,
}
# As TensorFlow's float16 files have it: processors that multiply in float16 may, with sums in float32.
_REDUCED_PRECISION = b"fp16accfp32"
_VERSION = 3
_IDENTIFIER = b"TFL3"
# Versions of kinds of which LiteRT has no version 1 any more, or an older one would leave out bias and activation. What
# another version adds otherwise, a reader sees by itself.
_VERSIONS = {"BROADCAST_TO": 2, "TRANSPOSE_CONV": 4}
# Where a constant begins in the file, so that kernels read it where it is mapped into memory.
_ALIGNMENT = 16
# The field of an operator code that older readers look at is a byte; larger codes stand in the newer field alone.
_LARGEST_DEPRECATED_CODE = 127


def write(
    graph: FloatGraph | QuantizedGraph,
    precision: str = "float32",
    *,
    batch: int | None = 1,
    metadata: bytes | None = None,
    files: Mapping[str, bytes] | None = None,
) -> bytes:
    """Return the content of a .tflite file that computes a graph.

    The same graph gives the same bytes, and constants of equal values, type and shape stand in the file once. The
    file's signature `"serving_default"` has the names of the graph's inputs and outputs.

    Args:
        graph: What to compute. A `QuantizedGraph` is written as it is, if LiteRT with XNNPACK can run it; `with_ends`
            gives it uint8 or float32 ends.
        precision: Of a `FloatGraph`. `"float32"`; `"float16"`: weights of 16 bits, widened to float32 at the start;
            `"dynamic"`: kernels of 8 bits, and float inputs of convolutions and dense layers rounded to 8 bits on the
            way.
        batch: Number of images that the file takes at a time. None leaves that open: it is 1 until the interpreter's
            `resize_tensor_input` says another (measured: as fast at 1 as a fixed batch, in as few partitions).
        metadata: TFLite Model Metadata, see `model_metadata`.
        files: The files that the metadata names, by their names.

    Raises:
        InputError: If there is no such precision, TFLite has no such operator, option or type, an operator holds for a
            batch of 1 alone, or a `QuantizedGraph` has scales, a bias or sums that can't be run: too near zero, too far
            apart, or beyond 32 bits.

    Example:

    >>> x, y = Tensor("images", (1, 4)), Tensor("relu", (1, 4))
    >>> write(FloatGraph("small", [x], [y], [Operator("RELU", [x], [y])]))[4:8]
    b'TFL3'
    """
    if precision not in _PRECISIONS:
        raise InputError(f"Expected one of the precisions {', '.join(_PRECISIONS)}, received {precision!r}.")
    if isinstance(graph, QuantizedGraph):
        if precision != "float32":
            raise InputError(f"Expected a FloatGraph to write in {precision}, received one that is quantized already.")
        check_quantized(graph)
    if batch is not None and batch < 1:
        raise InputError(f"Expected a batch of at least 1, or None to leave it open, received {batch}.")
    if batch != 1:
        graph = for_any_batch(graph)
    images = {*graph.inputs, *(tensor for operator in graph.operators for tensor in operator.outputs)}
    entries = {} if metadata is None else {"TFLITE_METADATA": metadata}
    if precision == "float16":
        entries["reduced_precision_support"] = _REDUCED_PRECISION
    content = _file(_PRECISIONS[precision](graph), dict.fromkeys(images, batch), entries)
    return with_files(content, files) if files else content


def _file(graph: Graph, batches: Mapping[Tensor, int | None], metadata: Mapping[str, bytes]) -> bytes:
    schema = tflite_schema()
    buffers = _Buffers()
    tensors = list(dict.fromkeys([*graph.inputs, *graph.outputs, *_tensors_of(graph.operators)]))
    place = {tensor: index for index, tensor in enumerate(tensors)}
    names = _unique([tensor.name for tensor in tensors])
    kinds = list(dict.fromkeys(operator.kind for operator in graph.operators))
    inputs, outputs = (_places(each, place) for each in (graph.inputs, graph.outputs))
    subgraph = schema.SubGraphT(
        tensors=[
            _tensor(tensor, name, batches.get(tensor, 1), buffers) for tensor, name in zip(tensors, names, strict=True)
        ],
        inputs=inputs,
        outputs=outputs,
        operators=[_operator(operator, kinds.index(operator.kind), place) for operator in graph.operators],
        name="main",
    )
    signature = schema.SignatureDefT(
        inputs=[schema.TensorMapT(names[index], index) for index in inputs],
        outputs=[schema.TensorMapT(names[index], index) for index in outputs],
        signatureKey=SIGNATURE,
    )
    model = schema.ModelT(
        version=_VERSION,
        operatorCodes=[_operator_code(kind) for kind in kinds],
        subgraphs=[subgraph],
        description=DESCRIPTION,
        metadata=[schema.MetadataT(name, buffers.add(np.frombuffer(data, "uint8"))) for name, data in metadata.items()],
        buffers=buffers.tables,
        signatureDefs=[signature],
    )
    # Room for all from the start: a builder that grows copies what it has.
    builder = import_extra("flatbuffers", "litert").Builder(buffers.size + 1024 * (len(tensors) + 4))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    # One copy; with Output() there would be two.
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


@dataclasses.dataclass
class _Buffer:
    """The bytes of a constant (uint8), as a table of the schema that aligns them and writes them at once."""

    data: np.ndarray

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the name that the schema's tables call)
        schema, vector = tflite_schema(), None
        if len(self.data):
            # Room for the bytes, then the bytes: the builder's own call would copy them twice more.
            builder.Prep(_ALIGNMENT, len(self.data))
            builder.StartVector(1, len(self.data), 1)
            builder.head -= len(self.data)
            np.frombuffer(builder.Bytes, "uint8", len(self.data), builder.head)[:] = self.data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


class _Buffers:
    """The constants of a file, equal ones once. The first is empty: that of tensors which are computed."""

    def __init__(self) -> None:
        self.tables = [_Buffer(np.empty(0, "uint8"))]
        self.size = 0
        # By type, shape and some bytes: hashing all would take longer than writing them.
        self._places: dict[tuple[str, tuple[int, ...], bytes], list[int]] = {}

    def add(self, values: np.ndarray) -> int:
        """Return the index of the buffer that holds some values."""
        plain = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        data = plain.reshape(-1).view("uint8")
        some = data[:64].tobytes() + data[-64:].tobytes()
        alike = self._places.setdefault((values.dtype.name, values.shape, some), [])
        for place in alike:
            if np.array_equal(self.tables[place].data, data):
                return place
        alike.append(len(self.tables))
        self.tables.append(_Buffer(data))
        self.size += len(data) + _ALIGNMENT
        return alike[-1]


def _tensors_of(operators: list[Operator]) -> list[Tensor]:
    return [tensor for operator in operators for tensor in (*operator.inputs, *operator.outputs)]


def _places(tensors: list[Tensor], place: dict[Tensor, int]) -> np.ndarray:
    return np.array([place[tensor] for tensor in tensors], "<i4")


def _unique(names: list[str]) -> list[str]:
    """Return names of which no two are the same: the first of several keeps its own, the others get a number."""
    given, used, unique = set(names), set(), []
    for name in names:
        number, candidate = 0, name
        while candidate in used or (number and candidate in given):
            number += 1
            candidate = f"{name}_{number}"
        used.add(candidate)
        unique.append(candidate)
    return unique


def _operator_code(kind: str) -> Any:
    code = number_in("BuiltinOperator", kind, "an operator's kind")
    deprecated = min(code, _LARGEST_DEPRECATED_CODE)
    return tflite_schema().OperatorCodeT(deprecated, version=_VERSIONS.get(kind, 1), builtinCode=code)


def _operator(operator: Operator, code: int, place: dict[Tensor, int]) -> Any:
    options_type, options = options_table(operator.kind, operator.options, operator.name)
    return tflite_schema().OperatorT(
        opcodeIndex=code,
        inputs=_places(operator.inputs, place),
        outputs=_places(operator.outputs, place),
        builtinOptionsType=options_type,
        builtinOptions=options,
    )


def _tensor(tensor: Tensor, name: str, batch: int | None, buffers: _Buffers) -> Any:
    schema, quantization, shape, signature = tflite_schema(), None, tensor.shape, None
    if batch != 1:
        shape = (batch or 1, *shape[1:])
        signature = np.array([batch or -1, *shape[1:]], "<i4")
    if tensor.quantization is not None:
        quantization = schema.QuantizationParametersT(
            scale=tensor.quantization.scales.astype("<f4"),
            zeroPoint=tensor.quantization.zero_points.astype("<i8"),
            quantizedDimension=tensor.quantization.axis,
        )
    return schema.TensorT(
        shape=np.array(shape, "<i4"),
        shapeSignature=signature,
        type=number_in("TensorType", tensor.dtype.upper(), f"the type of {tensor.name}"),
        buffer=buffers.add(tensor.data) if tensor.is_constant else 0,
        name=name,
        quantization=quantization,
        # Without it an empty shape would read as an unknown one.
        hasRank=True,
    )
