"""Times of a TFLite file's operators, each measured as a file of its own in LiteRT with XNNPACK."""

import copy
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_lite.runtime.worker_process import call_worker, check_tflite

_SPATIAL = {"CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2)}  # axes of a kernel that say how far it looks


@dataclasses.dataclass(frozen=True)
class OperatorTimes:
    """Time of all operators of one kind in a file.

    Args:
        kind: The operator with the size of its kernel: `"CONV_2D 1x1"`.
        count: How many there are.
        milliseconds: Median times, added up.
    """

    kind: str
    count: int
    milliseconds: float


def time_operators(path: str | os.PathLike, threads: int = 1, runs: int = 100) -> list[OperatorTimes]:
    """Return the times of a file's operators, each measured alone, as a model of its own.

    Each operator finds its input in the cache and is not fused with its neighbors, so their sum is not quite the time
    of the whole file. It still shows which operators take most of the time.

    Args:
        path: The `.tflite` file.
        threads: Number of threads.
        runs: Measured runs of each operator. Those of equal shapes are measured once.

    Returns:
        An `OperatorTimes` for each kind, the slowest first.

    Raises:
        InputError: If the file is missing or is no TFLite file.
        LiteRTError: If an operator can't be run alone.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    time_operators("model_int8.tflite")[0]  # such as OperatorTimes(kind="CONV_2D 1x1", count=44, milliseconds=1.5)
    ```
    """
    operators = _split(check_tflite(path).read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        files = {key: Path(folder, f"{number:05}.tflite") for number, (key, *_) in enumerate(operators)}
        for key, _, content in operators:
            files[key].write_bytes(content)
        measured = call_worker("measure_all", path, folder=folder, threads=threads, runs=runs)["milliseconds"]
    totals: dict[str, list[float]] = {}
    for key, kind, _ in operators:
        totals.setdefault(kind, []).append(measured[files[key].name])
    times = [OperatorTimes(kind, len(values), sum(values)) for kind, values in totals.items()]
    return sorted(times, key=lambda entry: -entry.milliseconds)


def format_operators(paths: Sequence[str | os.PathLike], times: Sequence[list[OperatorTimes]]) -> str:
    """Return the times of files side by side as text, one line a kind.

    Args:
        paths: The files.
        times: What `time_operators` returned for each.
    """
    kinds = list(dict.fromkeys(entry.kind for entries in times for entry in entries))
    width = max(len(text) for text in ("operator", "all", *kinds))
    head = "".join(f"  {Path(path).stem[-20:]:>20}  share" for path in paths)
    lines = [f"{'operator':{width}}{head}", f"{'':{width}}" + len(paths) * f"  {'number':>8}{'ms':>12}       "]
    for kind in [*kinds, "all"]:
        line = f"{kind:{width}}"
        for entries in times:
            total = sum(entry.milliseconds for entry in entries)
            found = [entry for entry in entries if kind in (entry.kind, "all")]
            spent = sum(entry.milliseconds for entry in found)
            line += f"  {sum(entry.count for entry in found):8d}{spent:12.3f}  {spent / total:5.0%}"
        lines.append(line)
    return "\n".join(lines)


def _split(content: bytes) -> list[tuple[str, str, bytes]]:
    """Return for each operator what tells it from others, its kind, and a TFLite file with it alone."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(content)
    [graph] = model.subgraphs
    operators = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        used = [graph.tensors[index] for index in [*operator.inputs, *operator.outputs] if index >= 0]
        shapes = [(list(map(int, tensor.shape)), tensor.type, _constant(model, tensor)) for tensor in used]
        options = vars(operator.builtinOptions) if operator.builtinOptions is not None else {}
        kind = name
        if name in _SPATIAL:
            kind += " " + "x".join(str(shapes[1][0][axis]) for axis in _SPATIAL[name])
        operators.append((repr((name, shapes, sorted(options.items()))), kind, _alone(model, operator)))
    return operators


def _constant(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _alone(model: Any, operator: Any) -> bytes:
    """Return a TFLite file with one operator of a model; what it takes from others becomes the file's input."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    [graph] = model.subgraphs
    indices = list(dict.fromkeys(int(index) for index in [*operator.inputs, *operator.outputs] if index >= 0))
    place = {index: number for number, index in enumerate(indices)} | {-1: -1}
    single, part, only = schema.ModelT(), schema.SubGraphT(), copy.copy(operator)
    single.version, single.operatorCodes = model.version, [model.operatorCodes[operator.opcodeIndex]]
    single.buffers = [schema.BufferT()]
    part.tensors = []
    for index in indices:
        tensor = copy.copy(graph.tensors[index])
        single.buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = len(single.buffers) - 1
        part.tensors.append(tensor)
    only.opcodeIndex = 0
    only.inputs = [place[int(index)] for index in operator.inputs]
    only.outputs = [place[int(index)] for index in operator.outputs]
    part.operators = [only]
    taken = dict.fromkeys(int(index) for index in operator.inputs if index >= 0)
    part.inputs = [place[index] for index in taken if not _constant(model, graph.tensors[index])]
    part.outputs = only.outputs
    single.subgraphs = [part]
    builder = flatbuffers.Builder()
    builder.Finish(single.Pack(builder), b"TFL3")
    return bytes(builder.Output())
