"""Running a TFLite file in LiteRT: the part that also runs as a process of its own.

XNNPACK may abort the process on a file it can't run, so a new file is first run in another process:
`python -P litert_worker.py ACTION MODEL ...`. That process starts in a fraction of a second, because this file imports
nothing of keras_lite.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# A scale below this is that of a tensor that is always zero; XNNPACK does not start, or aborts, on some of them.
SMALLEST_SCALE = 1e-6
# XNNPACK refuses a convolution or dense layer whose input scale * kernel scale / output scale reaches this. It leaves a
# sum with such an input to LiteRT's own kernel, which computes in 16 bits and gives wrong results where they overflow.
LARGEST_SCALE_RATIO = 256.0
# What a line begins with that names a stage as it begins.
STAGE = "stage: "
_TURNS = 5
# How far from whole numbers values may be, of pixels that were divided and multiplied.
_WHOLE = 0.01
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_SUMS = ("ADD", "SUB")


def open_interpreter(file: str | bytes, threads: int = 1, delegates: bool = True) -> Any:
    """Return a LiteRT interpreter with its tensors allocated, of a file or its content.

    Without `delegates` it is on the built-in kernels only.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    source = {"model_content": file} if isinstance(file, bytes) else {"model_path": file}
    interpreter = Interpreter(**source, num_threads=threads, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    return interpreter


def to_model_type(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Turn float values into the type of a model's input, by that input's own scale and zero point."""
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    if not scale:  # its numbers stand for themselves
        if np.abs(np.round(values) - values).max(initial=0.0) > _WHOLE:
            raise ValueError(f"Expected whole numbers for {details['name']}, {dtype} without a scale, received others.")
        scale, zero_point = 1.0, 0
    limits = np.iinfo(dtype)
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


def to_float(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Turn values of a model's output into float32, by that output's own scale and zero point, if it has some."""
    if values.dtype.kind == "f":
        return values.astype("float32")
    scale, zero_point = details["quantization"]
    return (values.astype("float32") - zero_point) * np.float32(scale or 1.0)


def predict(interpreter: Any, *inputs: Iterable[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Run a model of batch 1 on each sample; outputs as float32, of shape `(count, ...)`, several in a list."""
    pairs = zip(zip(*_outputs(interpreter, inputs), strict=True), interpreter.get_output_details(), strict=True)
    found = [to_float(np.stack(rows), target).reshape(-1, *target["shape"][1:]) for rows, target in pairs]
    return found[0] if len(found) == 1 else found


def examine(
    path: str,
    *,
    threads: int = 1,
    delegates: bool = False,
    images: Sequence[Iterable[np.ndarray]] | None = None,
    with_kernels: bool = False,
    stop_at_bad_scales: bool = False,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Look into a file, start XNNPACK on it, run it and read its kernels, each of them only where it is asked for.

    Each stage is printed as it begins, so that whoever started this process knows which one it died in.

    Args:
        path: The `.tflite` file.
        threads: Threads that LiteRT may use.
        delegates: Whether to start XNNPACK, to count its partitions.
        images: What to run with XNNPACK: preprocessed float images, or other samples, for each input.
        with_kernels: Whether to read the kernels.
        stop_at_bad_scales: Whether to go no further than the contents where XNNPACK can't run their scales.

    Returns:
        The contents and the partitions, ready for JSON; and the arrays, `output0` and so on, and those of `kernels`.
    """
    _begin("LiteRT opened it")
    plain = open_interpreter(path, delegates=False)
    found, arrays = contents(plain), {}
    if stop_at_bad_scales and found["bad_scales"]:
        return found, arrays
    if delegates or images is not None:
        _begin("XNNPACK started")
        interpreter = open_interpreter(path, threads)
        found |= delegation(interpreter)
        if images is not None:
            _begin("it ran the images")
            made = predict(interpreter, *images)
            arrays |= {f"output{at}": each for at, each in enumerate(made if isinstance(made, list) else [made])}
    if with_kernels:
        _begin("its kernels were read")
        arrays |= kernels(plain)
    return found, arrays


def contents(interpreter: Any) -> dict[str, Any]:
    """Return what is in a file: operators with types, inputs, outputs, and scales that XNNPACK can't run.

    Args:
        interpreter: The file in LiteRT without delegates.
    """
    operators = interpreter._get_ops_details()
    tensors = {int(tensor["index"]): tensor for tensor in interpreter.get_tensor_details()}
    return {
        "operators": [
            {
                "name": operator["op_name"],
                "inputs": [np.dtype(kind).name for kind in operator["operand_types"]],
                "outputs": [np.dtype(kind).name for kind in operator["result_types"]],
            }
            for operator in operators
        ],
        "inputs": [_interface(each) for each in interpreter.get_input_details()],
        "outputs": [_interface(each) for each in interpreter.get_output_details()],
        "bad_scales": _bad_scales(operators, tensors),
    }


def kernels(interpreter: Any) -> dict[str, np.ndarray]:
    """Return what a file's int8 convolutions and dense layers hold, numbered: kernel, its channels' steps, and bias.

    Args:
        interpreter: The file in LiteRT without delegates.
    """
    tensors = {int(tensor["index"]): tensor for tensor in interpreter.get_tensor_details()}
    found: dict[str, np.ndarray] = {}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] not in _WEIGHTED or tensors[int(operator["inputs"][1])]["dtype"] != np.int8:
            continue
        index, *bias = (int(tensor) for tensor in operator["inputs"][1:] if tensor >= 0)
        number = len(found) // 3
        found[f"values{number}"] = interpreter.get_tensor(index)
        found[f"steps{number}"] = tensors[index]["quantization_parameters"]["scales"]
        found[f"bias{number}"] = interpreter.get_tensor(bias[0]) if bias else np.zeros(0, "int32")
    return found


def delegation(interpreter: Any) -> dict[str, Any]:
    """Return how XNNPACK split a model: `partitions`, and the names of the operators that it left out."""
    operators = interpreter._get_ops_details()
    plain = [operator for operator in operators if operator["op_name"] != "DELEGATE"]
    maker = {int(tensor): index for index, operator in enumerate(plain) for tensor in operator["outputs"]}
    taken: set[int] = set()
    partitions = [operator for operator in operators if operator["op_name"] == "DELEGATE"]
    for partition in partitions:
        # A delegate's operators are those on the way from its inputs to its outputs.
        known = {int(tensor) for tensor in partition["inputs"]}
        pending = [int(tensor) for tensor in partition["outputs"]]
        while pending:
            tensor = pending.pop()
            if tensor in known or tensor not in maker:
                continue
            known.add(tensor)
            taken.add(maker[tensor])
            pending += [int(value) for value in plain[maker[tensor]]["inputs"]]
    left = [operator["op_name"] for index, operator in enumerate(plain) if index not in taken]
    return {"partitions": len(partitions), "not_delegated": left}


def measure(path: str, threads: int, runs: int, warm_up: int) -> dict[str, Any]:
    """Time single runs on random input and return the milliseconds of each."""
    interpreter = open_interpreter(path, threads)
    fill(interpreter)
    return {"milliseconds": _time(interpreter, warm_up + runs)[warm_up:]}


def measure_all(folder: str, threads: int, runs: int, warm_up: int) -> dict[str, Any]:
    """Time all .tflite files of a folder, which take turns, and return the median milliseconds of each by its name."""
    interpreters = {path.name: open_interpreter(str(path), threads) for path in sorted(Path(folder).glob("*.tflite"))}
    for interpreter in interpreters.values():
        fill(interpreter)
    times: dict[str, list[float]] = {name: [] for name in interpreters}
    for _ in range(_TURNS):
        for name, interpreter in interpreters.items():
            times[name] += _time(interpreter, warm_up + -(-runs // _TURNS))[warm_up:]
    return {"milliseconds": {name: float(np.median(values)) for name, values in times.items()}}


def fill(interpreter: Any) -> None:
    """Give a model random input."""
    rng = np.random.default_rng(0)
    for source in interpreter.get_input_details():
        values = rng.normal(size=source["shape"]).astype("float32")
        if np.dtype(source["dtype"]).kind != "f" and not source["quantization"][0]:
            values, source = np.zeros(source["shape"], source["dtype"]), {**source, "quantization": (1.0, 0)}
        interpreter.set_tensor(source["index"], to_model_type(values, source))


def _time(interpreter: Any, runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - start) * 1000.0)
    return times


def _interface(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    entry = {"name": details["name"], "shape": [int(size) for size in details["shape"]], "dtype": dtype.name}
    if dtype.kind != "f" and scale:
        entry |= {"scale": float(scale), "zero_point": int(zero_point)}
    return entry


def _bad_scales(operators: list[dict[str, Any]], tensors: dict[int, dict[str, Any]]) -> list[str]:
    def scales(index: int) -> np.ndarray:
        return tensors[int(index)]["quantization_parameters"]["scales"]

    problems = []
    for operator in operators:
        if not len(operator["outputs"]):
            continue
        target = operator["outputs"][0]
        # The converter joins the names of all layers that went into an operator; the first one is enough.
        name = tensors[int(target)]["name"].partition(";")[0]
        scale = scales(target)
        if len(scale) and min(scale) < SMALLEST_SCALE:
            problems.append(f"{name} ({operator['op_name']}): scale {min(scale):.1e}, below {SMALLEST_SCALE:.0e}")
        elif operator["op_name"] in (*_WEIGHTED, *_SUMS) and len(scale):
            first, second = (scales(index) for index in operator["inputs"][:2])
            if not len(first) or not len(second):
                continue
            largest = max(first[0], second[0]) if operator["op_name"] in _SUMS else first[0] * max(second)
            ratio = float(largest) / float(scale[0])
            if ratio >= LARGEST_SCALE_RATIO:
                problems.append(f"{name} ({operator['op_name']}): scale {scale[0]:.1e}, {ratio:.0f} times too small")
    return problems


def outputs(path: str, inputs: Sequence[np.ndarray], threads: int) -> dict[str, np.ndarray]:
    """Return what each output of a file holds, in its own type: `output0` and so on, of shape `(count, values)`."""
    rows = list(_outputs(open_interpreter(path, threads), inputs))
    return {f"output{at}": np.stack(values) for at, values in enumerate(zip(*rows, strict=True))}


def _outputs(interpreter: Any, inputs: Sequence[Iterable[np.ndarray]]) -> Iterable[list[np.ndarray]]:
    """Yield the values of all outputs, sample by sample."""
    sources = interpreter.get_input_details()
    targets = [target["index"] for target in interpreter.get_output_details()]
    for sample in zip(*inputs, strict=True):
        for source, values in zip(sources, sample, strict=True):
            batch = values if values.ndim == len(source["shape"]) else values[None]
            interpreter.set_tensor(source["index"], to_model_type(_arranged(batch, source), source))
        interpreter.invoke()
        yield [interpreter.get_tensor(index).ravel() for index in targets]


def _arranged(images: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Return images with their channels first where the input takes them so, as in files that were PyTorch's."""
    if images.ndim == 4 and (1, *images.shape[1:]) != tuple(details["shape"]):
        turned = np.moveaxis(images, -1, 1)
        if (1, *turned.shape[1:]) == tuple(details["shape"]):
            return turned
    return images


def _begin(stage: str) -> None:
    print(f"{STAGE}{stage}", flush=True)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("examine", "measure", "measure_all", "outputs"))
    parser.add_argument("model")
    for name in ("delegates", "with_kernels", "stop_at_bad_scales"):
        parser.add_argument(f"--{name}", action="store_true")
    for name, action in (("arrays", "store"), ("folder", "store"), ("images", "append")):
        parser.add_argument(f"--{name}", action=action)
    for name, default in (("threads", 1), ("runs", 50), ("warm_up", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    images = arguments.images and [np.load(path, mmap_mode="r") for path in arguments.images]
    if arguments.action in ("measure", "measure_all"):
        timing = {"measure": measure, "measure_all": measure_all}[arguments.action]
        result = timing(arguments.folder or arguments.model, arguments.threads, arguments.runs, arguments.warm_up)
    elif arguments.action == "outputs":
        result = {}
        np.savez(arguments.arrays, **outputs(arguments.model, images, arguments.threads))
    else:
        result, arrays = examine(
            arguments.model,
            threads=arguments.threads,
            delegates=arguments.delegates,
            images=images,
            with_kernels=arguments.with_kernels,
            stop_at_bad_scales=arguments.stop_at_bad_scales,
        )
        if arrays:
            np.savez(arguments.arrays, **arrays)
    print(json.dumps(result))


if __name__ == "__main__":
    _main()
