"""Weights: Keras model files, and state dicts of the published PyTorch networks.

From PyTorch to Keras and back:

    python -m keras_lite.checkpoints --model=cifar_resnet --options=depth=20,classes=100 net.pt net.keras
    python -m keras_lite.checkpoints --model=cifar100_first/resnet20/ours net.pt net.weights.h5
    python -m keras_lite.checkpoints net.keras net.safetensors

PyTorch weights are .pt, .pth (to write one needs torch) or .safetensors files (needs safetensors). They are read as
tensors alone; a file with other objects in it is refused. Keras models are .keras files or, to write only, .weights.h5
files.
"""

import ast
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import h5py
import keras
import numpy as np
from absl import flags

from keras_lite import applications, command_line, torch_files
from keras_lite.applications.common import CLASSIFIER
from keras_lite.errors import InputError
from keras_lite.files import atomic_path
from keras_lite.torch_mapping import find_mapping, to_keras_layout, to_torch_layout
from keras_lite.warm_start import WarmStart, warm_start

__all__ = [
    "WarmStart",
    "family_of",
    "load_checkpoint",
    "load_model",
    "load_torch_state_dict",
    "to_torch_state_dict",
    "warm_start",
]

# What PyTorch or a FLOP counter keeps in a state dict and a Keras model has no use for.
_PASSED_OVER = ("num_batches_tracked", "total_ops", "total_params")


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load a `.keras` file, or a whole model in an `.h5` file.

    Args:
        path: The file.

    Raises:
        InputError: If it does not exist, is no Keras model file, or holds layers that are not known here.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a .keras or .h5 model file, received {str(path)!r}, which does not exist.")
    is_kind = {".keras": zipfile.is_zipfile, ".h5": h5py.is_hdf5}.get(path.suffix)
    if is_kind is None or not is_kind(path):
        raise InputError(f"Expected a .keras or .h5 model file, received {str(path)!r}, which is none.")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if unknown := re.search(r"Could not locate class '([^']+)'", str(error)):
            reason = f"its layer {unknown[1]} is not known here"
        elif "`Lambda` layer" in str(error):
            reason = "it has a Lambda layer, whose Python code is not run; write a layer of keras.layers instead"
        elif "No model config found" in str(error):
            reason = "it holds weights alone; save the whole model"
        elif "Only input tensors may be passed" in str(error):
            reason = "Keras does not read operations that are no layers, such as x * 2, from .h5; save it as .keras"
        raise InputError(f"Expected a Keras model in {path}, which can't be loaded: {reason}") from error


def load_checkpoint(model: keras.Model, path: str | os.PathLike, load_classifier: bool = True) -> None:
    """Load a file of PyTorch weights into a model from `keras_lite.applications`. PyTorch is not needed.

    Args:
        model: The model, flattened or not, with or without top.
        path: A .pt, .pth or .safetensors file (the last needs safetensors).
        load_classifier: Whether the classifier's weights are taken too. Without them a file that was trained for
            another number of classes fits.

    Raises:
        InputError: If the file does not exist, holds anything but tensors, or is of another network.

    Example:

    ```python
    model = keras_lite.applications.MobileNetV3Large(classes=10)
    keras_lite.checkpoints.load_checkpoint(model, "mobilenet_v3_large-5c1a4163.pth", load_classifier=False)
    ```
    """
    state_dict = torch_files.read_state_dict(path)
    try:
        load_torch_state_dict(model, state_dict, load_classifier)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_torch_state_dict(
    model: keras.Model, state_dict: Mapping[str, np.ndarray], load_classifier: bool = True
) -> None:
    """Load the weights of a published PyTorch network into its Keras counterpart.

    Entries that the network does not use are passed over (`num_batches_tracked`, `total_ops`, `total_params`,
    index buffers, an unused batch norm, the head if the model has no top); a leading `module.` (from
    `torch.nn.DataParallel`) is removed. Nothing is loaded unless everything fits.

    Args:
        model: A model from `keras_lite.applications`, flattened or not.
        state_dict: Name -> tensor, or array in PyTorch's layout.
        load_classifier: Whether the classifier's weights are taken too.

    Raises:
        InputError: If entries are unknown, missing or misshapen; the message names them. Also if the model is not of
            a known family.

    Example:

    ```python
    model = keras_lite.applications.CARNet18()
    keras_lite.checkpoints.load_torch_state_dict(model, torch.load("carnet.pt", weights_only=True))
    ```
    """
    arrays = {
        name.removeprefix("module."): _as_array(value)
        for name, value in state_dict.items()
        if name.rpartition(".")[2] not in _PASSED_OVER
    }
    mapping = find_mapping(model, arrays.keys())
    left_out = mapping.left_out(load_classifier)
    arrays = {name: array for name, array in arrays.items() if name.rpartition(".")[0] not in left_out}
    targets = {name: target for name, target in mapping.variables().items() if name.rpartition(".")[0] not in left_out}
    missing = sorted(targets.keys() - arrays.keys())
    unknown = sorted(arrays.keys() - targets.keys() - mapping.unused().keys())
    values, misshapen = {}, []
    for name in targets.keys() & arrays.keys():
        layer, variable = targets[name]
        values[name] = to_keras_layout(layer, variable, arrays[name])
        if values[name].shape != tuple(variable.shape):
            misshapen.append(f"{name} {arrays[name].shape}")
    problems = [
        f"{what}: {_shorten(names)}"
        for what, names in (("missing", missing), ("unknown", unknown), ("misshapen", sorted(misshapen)))
        if names
    ]
    if problems:
        other_classes = misshapen and all(targets[name.partition(" ")[0]][0].name == CLASSIFIER for name in misshapen)
        hint = " (load_classifier=False takes all but the classifier)" if other_classes else ""
        raise InputError(
            f"Expected the state dict of {model.name}, received one that differs; {'; '.join(problems)}{hint}."
        )
    for name, value in values.items():
        targets[name][1].assign(value)


def to_torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a model's weights under the names and in the layout of the published PyTorch network.

    All that PyTorch keeps is there, also what the network does not use (`num_batches_tracked`, which is 0, index
    buffers, an unused batch norm), so that a strict `load_state_dict` works.

    Args:
        model: A model from `keras_lite.applications`, flattened or not.

    Returns:
        Name -> array.

    Raises:
        InputError: If the model is not of a known family.

    Example:

    ```python
    state_dict = keras_lite.checkpoints.to_torch_state_dict(model)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict.items()})
    ```
    """
    mapping = find_mapping(model)
    arrays = {}
    for name, (layer, variable) in mapping.variables().items():
        values = keras.ops.convert_to_numpy(variable)
        arrays[name] = np.ascontiguousarray(to_torch_layout(layer, variable, values, mapping.is_convolution(layer)))
        if name.endswith(".running_var"):
            arrays[name.removesuffix("running_var") + "num_batches_tracked"] = np.array(0, "int64")
    return arrays | mapping.unused()


def family_of(model: keras.Model) -> ModuleType | None:
    """Return the module of `keras_lite.applications` that a model is from, flattened or not, or `None`."""
    try:
        return find_mapping(model).family
    except InputError:
        return None


def _shorten(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _as_array(value) -> np.ndarray:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


FLAGS = command_line.new_flags()
flags.DEFINE_string("model", None, "Network, such as cifar_resnet, or id of a published row.", flag_values=FLAGS)
flags.DEFINE_string(
    "options", "", "Arguments of the network's function, such as depth=20,stem=hybrid.", flag_values=FLAGS
)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Convert one file."""
    if len(positional) != 2:
        raise InputError(f"Expected two files, FROM and TO, received {len(positional)} (--help says more).")
    source, target = positional
    if source.endswith(".keras"):
        model = load_model(source)
        torch_files.write_state_dict(target, to_torch_state_dict(model))
    else:
        if not target.endswith((".keras", ".weights.h5")):
            raise InputError(f"Expected TO to be a .keras or .weights.h5 file, received {target!r}.")
        state_dict = torch_files.read_state_dict(source)
        if values.model is None:
            raise InputError("Expected --model, the network that the weights are of, received none.")
        model = _build(values.model, _parse_options(values.options))
        load_torch_state_dict(model, state_dict)
        with atomic_path(target) as temporary:
            model.save_weights(temporary) if target.endswith(".weights.h5") else model.save(temporary)
    print(f"{target}: {model.name}, {model.count_params():,} values")


def _build(name: str, options: dict) -> keras.Model:
    """Build a network by its own name or by the id of a published row."""
    from keras_lite import published  # not above: it is to the right of what else is here

    return published.get(name).build(**options) if "/" in name else applications.create(name, **options)


def _parse_options(text: str) -> dict:
    """Turn `depth=20,stem=hybrid,blocks=(2,2,2)` into arguments; a bare word is a string."""
    try:
        call = ast.parse(f"options({text})", mode="eval").body
        if call.args or not all(keyword.arg for keyword in call.keywords):
            raise ValueError
        return {
            keyword.arg: keyword.value.id if isinstance(keyword.value, ast.Name) else ast.literal_eval(keyword.value)
            for keyword in call.keywords
        }
    except (ValueError, SyntaxError, AttributeError) as error:
        raise InputError(f"Expected --options to be NAME=VALUE,NAME=VALUE,..., received {text!r}.") from error


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
