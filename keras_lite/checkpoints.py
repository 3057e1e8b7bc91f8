"""Weights: Keras model files, and state dicts of the published PyTorch networks.

From PyTorch to Keras and back:

    python -m keras_lite.checkpoints --model=cifar_resnet --options=depth=20,classes=100 net.pt net.keras
    python -m keras_lite.checkpoints --model=cifar100_first/resnet20/ours net.pt net.weights.h5
    python -m keras_lite.checkpoints net.keras net.safetensors

PyTorch weights are .pt, .pth (needs torch) or .safetensors files (needs safetensors). They are read as tensors alone;
a file with other objects in it is refused. Keras models are .keras files or, to write only, .weights.h5 files.
"""

import ast
import dataclasses
import functools
import os
import re
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
from absl import flags

from keras_lite import applications, command_line, torch_files
from keras_lite.errors import InputError
from keras_lite.files import atomic_path
from keras_lite.layers import CompositeLayer

# What PyTorch or a FLOP counter keeps in a state dict and a Keras model has no use for.
_PASSED_OVER = ("num_batches_tracked", "total_ops", "total_params")

# Variables of our own layers -> PyTorch's name.
_HELD_DIRECTLY = {"embedding": "pe", "biases": "attention_biases"}

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

    Entries that the network does not use are passed over (`num_batches_tracked`, `total_ops`, `total_params`,
    index buffers, an unused batch norm); a leading `module.` (from `torch.nn.DataParallel`) is removed. Nothing is
    loaded unless everything fits.

    Args:
        model: A model from `keras_lite.applications`, flattened or not.
        state_dict: Name -> tensor, or array in PyTorch's layout.

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
    mapping = _find_mapping(model, arrays.keys())
    targets = mapping.variables()
    missing = sorted(targets.keys() - arrays.keys())
    unknown = sorted(arrays.keys() - targets.keys() - mapping.unused().keys())
    values, misshapen = {}, []
    for name in targets.keys() & arrays.keys():
        layer, variable = targets[name]
        values[name] = _to_keras_layout(layer, variable, arrays[name])
        if values[name].shape != tuple(variable.shape):
            misshapen.append(f"{name} {arrays[name].shape}")
    problems = [
        f"{what}: {_shorten(names)}"
        for what, names in (("missing", missing), ("unknown", unknown), ("misshapen", sorted(misshapen)))
        if names
    ]
    if problems:
        raise InputError(f"Expected the state dict of {model.name}, received one that differs; {'; '.join(problems)}.")
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
    mapping = _find_mapping(model)
    arrays = {}
    for name, (layer, variable) in mapping.variables().items():
        values = keras.ops.convert_to_numpy(variable)
        arrays[name] = np.ascontiguousarray(_to_torch_layout(layer, variable, values, mapping.is_convolution(layer)))
        if name.endswith(".running_var"):
            arrays[name.removesuffix("running_var") + "num_batches_tracked"] = np.array(0, "int64")
    return arrays | mapping.unused()


def family_of(model: keras.Model) -> ModuleType | None:
    """Return the module of `keras_lite.applications` that a model is from, flattened or not, or `None`."""
    try:
        return _find_mapping(model).family
    except InputError:
        return None


@dataclasses.dataclass(frozen=True)
class _Mapping:
    """How the layers of a model are named in PyTorch.

    `family` is a module of keras_lite.applications with `TORCH_NAMES` (the flattened layer's name as a regular
    expression -> the PyTorch module's) or `torch_names(layers)` (which returns the same for the layers of a flattened
    model), and, where it needs them, `TORCH_CONVOLUTIONS` (names of dense layers that are 1x1 convolutions in PyTorch)
    and `torch_unused(layers)` (name -> array of what only PyTorch keeps).
    """

    family: ModuleType
    layers: dict[str, keras.layers.Layer]
    modules: dict[str, str]

    @classmethod
    def of(cls, family: ModuleType, layers: dict[str, keras.layers.Layer]) -> "_Mapping | None":
        """Return the mapping of a family, or `None` if it does not know all layers that have weights."""
        names = family.torch_names(layers) if hasattr(family, "torch_names") else family.TORCH_NAMES
        modules = {}
        for name in (name for name, layer in layers.items() if layer.weights):
            module = _torch_module(names, name)
            if module is None:
                return None
            modules[name] = module
        return cls(family, layers, modules) if modules else None

    def variables(self) -> dict[str, tuple[keras.layers.Layer, keras.Variable]]:
        """Return PyTorch's name of each variable -> (layer, variable)."""
        return {
            f"{module}.{_torch_parameter(self.layers[name], variable)}": (self.layers[name], variable)
            for name, module in self.modules.items()
            for variable in self.layers[name].weights
        }

    def unused(self) -> dict[str, np.ndarray]:
        """Return what only PyTorch keeps."""
        return getattr(self.family, "torch_unused", lambda layers: {})(self.layers)

    def is_convolution(self, layer: keras.layers.Layer) -> bool:
        """Whether a dense layer is a 1x1 convolution in PyTorch."""
        return layer.name in getattr(self.family, "TORCH_CONVOLUTIONS", ())


def _find_mapping(model: keras.Model, names: Collection[str] = ()) -> _Mapping:
    """Return the mapping of the family that knows all layers; of several, the one that fits most of PyTorch's names."""
    layers = dict(_leaves(model))
    mappings = [mapping for family in applications.FAMILIES if (mapping := _Mapping.of(family, layers))]
    if not mappings:
        raise InputError(
            f"Expected a model from keras_lite.applications, received {model.name}, "
            "some layers of which no known family has."
        )
    return max(mappings, key=lambda mapping: len(mapping.variables().keys() & set(names)))


def _shorten(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _as_array(value) -> np.ndarray:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _leaves(model: keras.Model):
    """Yield (flattened name, layer) for each layer that is not made of others."""
    stack = [(layer.name, layer) for layer in reversed(model.layers)]
    while stack:
        name, layer = stack.pop()
        if isinstance(layer, CompositeLayer):
            stack += [(f"{name}_{inner.name}", inner) for inner in reversed(layer.sublayers)]
        else:
            yield name, layer


def _torch_module(names: dict[str, str], layer_name: str) -> str | None:
    if layer_name in names:
        return names[layer_name]
    for pattern, template in names.items():
        # A name without groups has been looked up already.
        if "(" in pattern and (match := _compile(pattern).fullmatch(layer_name)):
            groups = match.groupdict(default="")
            # PyTorch counts the modules of a sequence from 0.
            from_0 = {f"{key}_from_0": int(value) - 1 for key, value in groups.items() if value.isdigit()}
            return template.format(**groups, **from_0)
    return None


_compile = functools.cache(re.compile)


def _torch_parameter(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    if isinstance(layer, keras.layers.BatchNormalization):
        return _BATCH_NORM[variable.name]
    return _HELD_DIRECTLY.get(variable.name) or ("bias" if variable.name == "bias" else "weight")


def _to_keras_layout(layer: keras.layers.Layer, variable: keras.Variable, array: np.ndarray) -> np.ndarray:
    """Turn an array of PyTorch's layout; one that has too few or too many axes stays as it is."""
    if variable.name == "embedding" and array.ndim == 4:  # 1, channels, height, width
        return array[0].transpose(1, 2, 0)
    if variable.name == "biases":
        return array
    if isinstance(layer, keras.layers.Dense) and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    if array.ndim == 4:  # output, input, height, width
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
    return array.T if array.ndim == 2 else array


def _to_torch_layout(layer: keras.layers.Layer, variable: keras.Variable, array: np.ndarray, convolution: bool):
    if variable.name == "embedding":
        return array.transpose(2, 0, 1)[None]
    if variable.name == "biases":
        return array
    if array.ndim == 4:  # height, width, input, output
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        return array.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
    if array.ndim == 2:
        return array.T[:, :, None, None] if convolution else array.T
    return array


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
