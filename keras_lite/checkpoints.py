"""Weights: Keras model files, and state dicts of the published PyTorch networks."""

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_lite import applications, layers  # noqa: F401  (registers the layers that a file may hold)
from keras_lite.errors import InputError
from keras_lite.layers import CompositeLayer

# What PyTorch or a FLOP counter keeps in a state dict and a Keras model has no use for.
_PASSED_OVER = ("num_batches_tracked", "total_ops", "total_params")

_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load a `.keras` file.

    Args:
        path: The file.

    Raises:
        InputError: If it does not exist, is no Keras model file, or holds layers that are not known here.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a .keras model file, received {str(path)!r}, which does not exist.")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise InputError(f"Expected a .keras model file, received {str(path)!r}, which is none.")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        unknown = re.search(r"Could not locate class '([^']+)'", str(error))
        reason = f"its layer {unknown[1]} is not known here" if unknown else str(error).strip().splitlines()[0]
        raise InputError(f"Expected a Keras model in {path}, which can't be loaded: {reason}") from error


def load_torch_state_dict(model: keras.Model, state_dict: Mapping[str, np.ndarray]) -> None:
    """Load the weights of a published PyTorch network into its Keras counterpart.

    Entries named `num_batches_tracked`, `total_ops` and `total_params` are passed over; a leading `module.` (from
    `torch.nn.DataParallel`) is removed. Nothing is loaded unless everything fits.

    Args:
        model: A model from `keras_lite.applications`, flattened or not.
        state_dict: Name -> array in PyTorch's layout, for example
            `{name: tensor.numpy() for name, tensor in torch_model.state_dict().items()}`.

    Raises:
        InputError: If entries are unknown, missing or misshapen; the message names them. Also if the model is not of
            a known family.

    Example:

    ```python
    model = keras_lite.applications.CARNet18()
    state_dict = torch.load("carnet.pt", weights_only=True)
    keras_lite.checkpoints.load_torch_state_dict(model, {k: v.numpy() for k, v in state_dict.items()})
    ```
    """
    arrays = {
        name.removeprefix("module."): np.asarray(value)
        for name, value in state_dict.items()
        if name.rpartition(".")[2] not in _PASSED_OVER
    }
    targets = _torch_variables(model)
    missing = sorted(targets.keys() - arrays.keys())
    unknown = sorted(arrays.keys() - targets.keys())
    values, misshapen = {}, []
    for name in targets.keys() & arrays.keys():
        layer, variable = targets[name]
        values[name] = _to_keras_layout(layer, arrays[name])
        if values[name].shape != tuple(variable.shape):
            misshapen.append(f"{name} {arrays[name].shape}")
    problems = [
        f"{what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("unknown", unknown), ("misshapen", sorted(misshapen)))
        if names
    ]
    if problems:
        raise InputError(f"Expected the state dict of {model.name}, received one that differs; {'; '.join(problems)}.")
    for name, value in values.items():
        targets[name][1].assign(value)


def _torch_variables(model: keras.Model) -> dict[str, tuple[keras.layers.Layer, keras.Variable]]:
    """Return PyTorch's name of each variable -> (layer, variable)."""
    leaves = dict(_leaves(model))
    for family in applications.FAMILIES:
        modules = {name: _torch_module(family.TORCH_NAMES, name) for name in leaves}
        if all(modules.values()):
            break
    else:
        raise InputError(
            f"Expected a model from keras_lite.applications, received {model.name}, "
            "some layers of which no known family has."
        )
    return {
        f"{modules[name]}.{_torch_parameter(layer, variable)}": (layer, variable)
        for name, layer in leaves.items()
        for variable in layer.weights
    }


def _leaves(model: keras.Model):
    """Yield (flattened name, layer) for each stock layer with weights."""
    stack = [(layer.name, layer) for layer in reversed(model.layers)]
    while stack:
        name, layer = stack.pop()
        if isinstance(layer, CompositeLayer):
            stack += [(f"{name}_{inner.name}", inner) for inner in reversed(layer.sublayers)]
        elif layer.weights:
            yield name, layer


def _torch_module(names: dict[str, str], layer_name: str) -> str | None:
    for pattern, template in names.items():
        if match := re.fullmatch(pattern, layer_name):
            groups = match.groupdict()
            # PyTorch counts the modules of a sequence from 0.
            from_0 = {f"{key}_from_0": int(value) - 1 for key, value in groups.items()}
            return template.format(**groups, **from_0)
    return None


def _torch_parameter(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    if isinstance(layer, keras.layers.BatchNormalization):
        return _BATCH_NORM[variable.name]
    return "bias" if variable.name == "bias" else "weight"


def _to_keras_layout(layer: keras.layers.Layer, array: np.ndarray) -> np.ndarray:
    if array.ndim == 4:  # output, input, height, width
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return array.T if array.ndim == 2 else array
