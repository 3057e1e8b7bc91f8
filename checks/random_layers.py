"""Random models of the layers, activations and functions in LAYERS.md, with branches that part and meet again.

What is drawn is a name of the table; each has one function that applies it here, with arguments drawn for the shape at
hand, and says by `Misfit` where it can't. At most one part of a model is of those that int8 refuses.
"""

import math
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from checks.random_draw import Draw, Misfit
from checks.random_operations import OPERATIONS
from checks.random_parts import LAYERS
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.export.verification import VerificationError
from keras_lite.quantization.lower.functions import ACTIVATIONS
from keras_lite.runtime.worker_process import LiteRTError

TABLE = Path(__file__).resolve().parents[1] / "LAYERS.md"
# Shares of what is drawn next: a layer, an activation, a function of keras.ops, and how branches part and meet.
_KINDS = {"layer": 0.5, "activation": 0.2, "function": 0.2, "residual": 0.05, "gate": 0.05}
# A part that int8 refuses is in this share of the models.
_REFUSED = 0.03
_LARGEST, _TRIES, _SAMPLES = 4096, 20, 16
layers = keras.layers


def table_rows() -> dict[str, str]:
    """Return what LAYERS.md says of int8 for each name of a layer, an activation or a function."""
    lines = [line.split(" | ") for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return {name.strip("|` "): int8 for name, _, int8, _ in lines}


def random_model(seed: int, attempt: int = 0) -> tuple[keras.Model, list[str]]:
    """Return the model of a seed, or one after it, and the names of the table's rows that it was made of."""
    draw = Draw(np.random.default_rng([seed, attempt] if attempt else seed))
    inputs = [_input(draw, first=number == 0) for number in range(draw.integer(1, 2) if draw.chance(0.3) else 1)]
    ends: list[Any] = list(inputs)
    names: list[str] = []
    refused = {name for name, int8 in table_rows().items() if int8.startswith("no:")}
    wanted = [str(draw.rng.choice(sorted(refused)))] if draw.chance(_REFUSED) else []
    for _ in range(draw.integer(4, 12)):
        at = draw.integer(0, len(ends) - 1)
        name, made = _step(draw, ends[at], refused, wanted)
        names.append(name)
        made = [each for each in made if math.prod(each.shape[1:]) <= _LARGEST]
        ends[at : at + 1] = made[:2] or [ends[at]]
        if draw.chance(0.1):
            ends.append(ends[at])  # another branch begins here
    outputs = _heads(draw, ends, names)
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0])
    draw.weights(model)
    return model, names


def random_samples(model: keras.Model, seed: int, count: int) -> Any:
    """Return numbers for the inputs of a model: an array, or a list of them."""
    rng = np.random.default_rng([seed, 1])
    arrays = [rng.normal(size=(count, *each.shape[1:])).astype("float32") for each in model.inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def _input(draw: Draw, first: bool) -> Any:
    kind = draw.chosen(["image", "image", "image", "row"] if first else ["image", "row", "vector"])
    if kind == "image":
        return keras.Input((draw.integer(9, 24), draw.integer(9, 24), draw.integer(1, 4)))
    return keras.Input((draw.integer(9, 32), draw.integer(1, 6)) if kind == "row" else (draw.integer(3, 12),))


def _step(draw: Draw, x: Any, refused: set[str], wanted: list[str]) -> tuple[str, list[Any]]:
    """Return the name of what was applied, and what it made."""
    if wanted:
        name = wanted.pop()
        try:
            return name, _applied(draw, name, x)
        except Misfit:
            wanted.append(name)  # it may fit later
    kind = str(draw.rng.choice(list(_KINDS), p=list(_KINDS.values())))
    if kind in ("residual", "gate"):
        return kind, [_residual(draw, x) if kind == "residual" else _gate(draw, x)]
    names = {"layer": LAYERS, "activation": ACTIVATIONS, "function": OPERATIONS}[kind]
    allowed = sorted(set(names) - refused)
    for _ in range(_TRIES):
        name = draw.chosen(allowed)
        try:
            return name, _applied(draw, name, x)
        except Misfit:
            pass
    return "dense", [layers.Dense(draw.integer(2, 8))(x)]


def _applied(draw: Draw, name: str, x: Any) -> list[Any]:
    if name in LAYERS:
        made = LAYERS[name](draw, x)
    elif name in OPERATIONS:
        made = OPERATIONS[name](draw, x)
    else:
        made = draw.activated(name, x)
    return list(made) if isinstance(made, list | tuple) else [made]


def _residual(draw: Draw, x: Any) -> Any:
    """Return a branch of the same shape, met with what it came from."""
    channels = x.shape[-1]
    convolutions: dict[int, Callable[[], Any]] = {
        2: lambda: layers.Dense(channels),
        3: lambda: layers.Conv1D(channels, 3, padding="same"),
        4: lambda: layers.Conv2D(channels, 3, padding="same", use_bias=False),
    }
    y = layers.BatchNormalization()(convolutions.get(len(x.shape), convolutions[2])()(x))
    y = layers.Activation(draw.chosen(["relu", "silu", "hard_silu", "gelu", "linear"]))(y)
    merge = draw.chosen(["Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average", "Concatenate"])
    pair = [x, y] if draw.chance(0.5) else [y, x]
    return getattr(layers, merge)()(pair if merge in ("Subtract", "Multiply") or draw.chance(0.7) else [*pair, x])


def _gate(draw: Draw, x: Any) -> Any:
    """Return `x` with its channels weighed by what it holds as a whole."""
    if len(x.shape) not in (3, 4):
        return layers.Multiply()([x, layers.Dense(x.shape[-1], activation="sigmoid")(x)])
    pooling = layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.GlobalAveragePooling1D
    y = layers.Dense(draw.integer(2, 4), activation="relu")(pooling(keepdims=True)(x))
    return layers.Multiply()([x, layers.Dense(x.shape[-1], activation=draw.chosen(["sigmoid", "hard_sigmoid"]))(y)])


def _heads(draw: Draw, ends: list[Any], names: list[str]) -> list[Any]:
    """Return the outputs: some ends as they are, with classes of their own, or joined."""
    outputs, joined = [], []
    for end in dict(zip(map(id, ends), ends, strict=True)).values():
        if draw.chance(0.25) and len(outputs) < 2:
            outputs.append(end)
        else:
            joined.append(_vector(draw, end))
    if joined:
        x = layers.Concatenate()(joined) if len(joined) > 1 else joined[0]
        classes = layers.Dense(draw.integer(2, 8))(x)
        outputs.append(layers.Softmax()(classes) if draw.chance(0.4) else classes)
    # What is an input still is computed with.
    return [layers.Rescaling(0.5)(each) if _is_input(each) else each for each in outputs]


def _vector(draw: Draw, x: Any) -> Any:
    if len(x.shape) == 4 and draw.chance(0.7):
        return draw.chosen([layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D])()(x)
    return x if len(x.shape) == 2 else layers.Flatten()(x)


def _is_input(x: Any) -> bool:
    return isinstance(x._keras_history.operation, layers.InputLayer)


def export(seed: int) -> dict[str, Any]:
    """Build a model, and write its float32 and its int8 file; one that int8 refuses with parts in floats.

    In the place of a model that Keras itself can't run, another one is drawn.

    Returns:
        What `checks.fuzz.KINDS` returns: a model may be refused for a reason that LAYERS.md gives. `verdict` has a
        traceback, if there was one.
    """
    for attempt in range(_TRIES):
        parts: list[str] = ["not built"]
        try:
            model, parts = random_model(seed, attempt)
            samples = random_samples(model, seed, _SAMPLES)
            return {"parts": parts, **_exported(model, samples)}
        except Exception as error:
            if isinstance(error, InputError) or parts == ["not built"] or _runs(model, samples):
                text = str(error) if isinstance(error, InputError) else traceback.format_exc()
                break
            text = "Keras ran none of the models."
    return {"parts": parts, "verdict": text, "refused": False, "wrong": True}


def _exported(model: keras.Model, samples: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        floats = to_tflite(model, path, samples=samples)
        try:
            verdict = to_tflite(model, path, "int8", calibration=samples)
        except (VerificationError, LiteRTError):
            raise
        except InputError as error:
            refusal = str(error)
            mixed = to_tflite(model, path, "int8", calibration=samples, allow_float=True)
            known = refusal.partition(": ")[2].rstrip(".") in TABLE.read_text()
            return {"verdict": f"{refusal} {mixed}", "refused": True, "wrong": not known}
    return {"verdict": f"float32: {floats}; int8: {verdict}", "refused": False, "wrong": False}


def _runs(model: keras.Model, samples: Any) -> bool:
    """Return whether Keras runs a model as it runs any: TensorFlow compiles some convolutions to none that it has."""
    try:
        model.predict(samples, verbose=0)
    except Exception:
        return False
    return True
