"""Keras 3 models from HDF5 and `.keras` files of Keras 2 (see `saved_models` for SavedModels).

A model is built from its configuration and gets its weights layer by layer; Keras 2 itself is not needed, and no code
from a file is run.
"""

import collections
import inspect
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from keras_lite.checkpoints.keras_loading import named, reason
from keras_lite.errors import InputError

_MODELS = ("Functional", "Model", "Sequential")
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")

# What the layers inside of wrappers and recurrent layers are called.
_PARTS = ("forward_layer", "backward_layer", "cell", "layer")
# Where a class is from and how it was built and compiled: Keras finds its own classes by name.
_NOT_NEEDED = ("module", "registered_name", "build_config", "compile_config")
# Arguments that every layer takes, whatever its own are.
_OF_EVERY_LAYER = frozenset(
    ("name", "trainable", "dtype", "activity_regularizer", "batch_input_shape", "batch_shape", "input_shape")
)
# Arguments that some layers no longer have, and that do not change the outputs of a trained model.
_WITHOUT_EFFECT = ("kernel_initializer", "rng_type")
_AGAIN = "load it where it was made and save it again, as .h5"


def is_old(version: str) -> bool:
    """Return whether a version of Keras is one before 3."""
    return version.partition(".")[0] in ("0", "1", "2")


def load_h5(path: Path, config: dict[str, Any], version: str) -> keras.Model:
    """Load an HDF5 file of Keras 2.

    Args:
        path: The file.
        config: The model's configuration from it.
        version: The version of Keras that wrote it.

    Raises:
        InputError: If it can't be read; the message says why.
    """
    if version.startswith(("0.", "1.")):
        raise InputError(f"Expected a model of Keras 2 or 3 in {path}, received one of Keras {version}.")
    model = build(config, path, version)
    try:
        with named(path, ".h5") as file:
            model.load_weights(file)
    except (ValueError, KeyError, OSError) as error:
        raise refusal(path, version, f"its weights do not fit its layers: {_first_line(error)}") from error
    return model


def load_zip(path: Path, version: str) -> keras.Model:
    """Load a `.keras` file of Keras 2; the arguments are those of `load_h5`."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            weights = io.BytesIO(archive.read("model.weights.h5"))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"Expected a Keras model in {path}, which is damaged: {_first_line(error)}") from error
    check_layers(config, path, version)
    model = build(config, path, version)
    with h5py.File(weights) as file:
        if "layers" not in file:
            raise refusal(path, version, f"its weights lie in a way that only that version knows; {_AGAIN}")
        _take_group(model, config["config"], file, lambda what: refusal(path, version, what))
    return model


def check_layers(config: Any, path: Path, version: str) -> None:
    """Raise InputError for layers that Keras 3 does not have, or that are Python code.

    Raises:
        InputError: If there is one; the message names it.
    """
    for part in _parts(config):
        kind, inside = part["class_name"], part["config"]
        name = part.get("name") or inside.get("name")
        if kind == "Lambda":
            raise refusal(
                path, version, f"its Lambda layer {name!r} is Python code, which is not run; write a layer instead"
            )
        if not is_old(version):
            continue
        if kind in _OPERATIONS:
            operation = inside.get("function") or name
            raise refusal(
                path, version, f"its operation {operation} is no layer; write it with layers such as Add or Rescaling"
            )
        is_layer = "inbound_nodes" in part or "name" in inside
        if is_layer and kind not in (*_MODELS, "Policy") and not hasattr(keras.layers, kind):
            raise refusal(path, version, f"its layer {kind} is not known here")
        for key in ("activation", "recurrent_activation"):
            if _function(inside.get(key)) == "hard_sigmoid":
                raise refusal(
                    path, version, f"the hard_sigmoid of its layer {name!r} is another function than Keras 3's"
                )


def _function(value: Any) -> Any:
    """Return the name of an activation in any of the forms in which Keras writes it."""
    return value.get("config") if isinstance(value, dict) and value.get("class_name") == "function" else value


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield whatever has a class and a configuration, at any depth."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str) and isinstance(part.get("config"), dict):
                yield part
            waiting += [inside for key, inside in part.items() if key != "compile_config"]
        elif isinstance(part, list):
            waiting += part


def build(config: dict[str, Any], path: Path, version: str) -> keras.Model:
    """Return the Keras 3 model of a configuration of Keras 2, with random weights."""
    try:
        if isinstance(config["config"], list):  # before Keras 2.2.3
            config = config | {"config": {"name": "sequential", "layers": config["config"]}}
        wanted = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
        model = wanted.from_config(_modern(config)["config"])
    except (ValueError, TypeError, KeyError) as error:
        raise refusal(path, version, reason(error)) from error
    if not model.built and getattr(model.layers[0], "inputs", None):  # a model that begins with another
        model.build(model.layers[0].input_shape)
    if not model.built:
        raise refusal(path, version, f"it does not say the shape of its input; build it where it was made and {_AGAIN}")
    return model


def _modern(value: Any) -> Any:
    """Return a configuration as Keras 3 reads it."""
    if isinstance(value, list):
        return [_modern(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("class_name")
    if kind == "Sequential":
        value = value | {"config": value["config"] | {"layers": _with_input(value["config"]["layers"])}}
    value = {key: _modern(part) for key, part in value.items()}
    if kind in ("__tuple__", "TensorShape"):
        return value["items"]
    if kind == "Policy":
        return value["config"]["name"]
    if isinstance(value.get("config"), dict) and (kind in _MODELS or hasattr(keras.layers, str(kind))):
        value = {key: part for key, part in value.items() if key not in _NOT_NEEDED}
        inside = value["config"] if kind in _MODELS else _without_unknown(kind, value["config"])
        if kind == "LeakyReLU" and "alpha" in inside:
            inside["negative_slope"] = inside.pop("alpha")  # as Keras 3 calls it
        if isinstance(inside.get("axis"), list) and len(inside["axis"]) == 1:
            inside["axis"] = inside["axis"][0]
        for key in ("input_layers", "output_layers"):  # one tensor is no list of one tensor in Keras 3
            if isinstance(inside.get(key), list) and len(inside[key]) == 1:
                inside[key] = inside[key][0]
        for key in _PARTS:  # read by another way than layers of a model
            if isinstance(inside.get(key), dict):
                inside[key] = inside[key] | {"module": "keras.layers", "registered_name": None}
        value["config"] = inside
    return value


def _with_input(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put an input layer in front of the layers of a sequential model whose first says its shape, as Keras 2 had it."""
    shape = layers[0]["config"].get("batch_input_shape") if layers else None
    if shape is None or layers[0]["class_name"] == "InputLayer":
        return layers
    return [{"class_name": "InputLayer", "config": {"batch_shape": shape}}, *layers]


def _without_unknown(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """Leave out arguments that a layer no longer has, where they say nothing; Keras refuses the others by name."""
    parameters = inspect.signature(getattr(keras.layers, kind)).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = parameters.keys() | (_OF_EVERY_LAYER if takes_all else set())

    def says_nothing(name: str, value: Any) -> bool:
        return (
            value in (None, False) or (name, value) in (("groups", 1), ("trainable", True)) or name in _WITHOUT_EFFECT
        )

    if kind != "InputLayer":  # which comes before the layer that says it too
        config = {name: value for name, value in config.items() if name != "batch_input_shape"}
    return {name: value for name, value in config.items() if name in known or not says_nothing(name, value)}


def refusal(path: Path, version: str, what: str) -> InputError:
    """Return the error that says why a model can't be built."""
    return InputError(f"Expected a model that Keras 3 can build in {path}, received one of Keras {version}: {what}.")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def inner_layers(model, config: dict[str, Any]) -> Iterator[tuple[keras.layers.Layer, dict[str, Any]]]:
    """Yield the layers of a model with their configurations, in Keras 2's order."""
    for part in config["layers"]:
        if part["class_name"] != "InputLayer":
            yield model.get_layer(part["config"]["name"]), part


def _take_group(layer, config: dict[str, Any], group: h5py.Group, refuse) -> None:
    """Assign a layer's weights, and those of its layers, from a group of a `.keras` file."""
    if "layers" in config:
        counts = collections.Counter()
        for inner, part in inner_layers(layer, config):
            kind = _snake_case(part["class_name"])
            key = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
            if inner.weights:
                if key not in group["layers"]:
                    raise refuse(f"the weights of its layer {inner.name!r} are missing")
                _take_group(inner, part["config"], group["layers"][key], refuse)
        return
    if parts := parts_of(layer):
        for name, part in parts.items():
            if name not in group:
                raise refuse(f"the weights of the {name} of its layer {layer.name!r} are missing")
            _take_group(part, {}, group[name], refuse)
        return
    arrays = [group["vars"][key][()] for key in sorted(group["vars"], key=int)] if "vars" in group else []
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in layer.weights]:
        raise refuse(f"the weights of its layer {layer.name!r} do not fit it")
    assign(layer, arrays)


def assign(layer: keras.layers.Layer, arrays: list[np.ndarray]) -> None:
    """Assign weights to a layer."""
    for variable, array in zip(layer.weights, arrays, strict=True):
        variable.assign(array)
    if isinstance(layer, keras.layers.Normalization):
        layer.finalize_state()  # it computes with copies of its weights


def parts_of(layer: keras.layers.Layer) -> dict[str, keras.layers.Layer]:
    """Return the layers inside of a wrapper or a recurrent layer, which have its weights."""
    parts = {name: part for name in _PARTS if isinstance(part := getattr(layer, name, None), keras.layers.Layer)}
    both = ("forward_layer", "backward_layer")
    return {name: parts[name] for name in both} if "forward_layer" in parts else parts


def _snake_case(name: str) -> str:
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
