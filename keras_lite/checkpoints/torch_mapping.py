"""Names and layout of the layers' weights in PyTorch."""

import collections
import dataclasses
import functools
import re
from collections.abc import Collection, Iterator

import keras
import numpy as np

from keras_lite.checkpoints import registry
from keras_lite.checkpoints.registry import CLASSIFIER, HIDDEN, Family, Layers
from keras_lite.errors import InputError
from keras_lite.layers import CompositeLayer

# Dense layers of the classifier: what a model without top lacks.
_HEAD = (HIDDEN, CLASSIFIER)

# Variables of our own layers -> PyTorch's name.
_HELD_DIRECTLY = {"embedding": "pe", "biases": "attention_biases"}

_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclasses.dataclass(frozen=True)
class Mapping:
    """The names of a model's layers in PyTorch.

    Attributes:
        family: The family that knows them.
        layers: The layers of the flattened model by name.
        names: What the family calls layers in PyTorch; see `Family.torch_names`.
        modules: The name of each layer that has weights -> its module's in PyTorch.
    """

    family: Family
    layers: Layers
    names: collections.abc.Mapping[str, str]
    modules: dict[str, str]

    @classmethod
    def of(cls, family: Family, layers: Layers) -> "Mapping | None":
        """Return the mapping of a family, or `None` if it does not know all layers that have weights."""
        names = family.torch_names(layers) if callable(family.torch_names) else family.torch_names
        modules = {}
        for name in (name for name, layer in layers.items() if layer.weights):
            module = torch_module(names, name)
            if module is None:
                return None
            modules[name] = module
        return cls(family, layers, names, modules) if modules else None

    def variables(self) -> dict[str, tuple[keras.layers.Layer, keras.Variable]]:
        """Return PyTorch's name of each variable -> (layer, variable)."""
        return {
            f"{module}.{_torch_parameter(self.layers[name], variable)}": (self.layers[name], variable)
            for name, module in self.modules.items()
            for variable in self.layers[name].weights
        }

    def left_out(self, load_classifier: bool) -> set[str]:
        """Return PyTorch's modules that are not to be loaded: the head of a model without top, or the classifier."""
        without_top = [name for name in _HEAD if CLASSIFIER not in self.layers and name not in self.layers]
        left_out = without_top if load_classifier else [*without_top, CLASSIFIER]
        return {module for name in left_out if (module := torch_module(self.names, name))}

    def unused(self) -> dict[str, np.ndarray]:
        """Return the names of what only PyTorch keeps."""
        return self.family.torch_unused(self.layers)

    def is_convolution(self, layer: keras.layers.Layer) -> bool:
        """Return whether a dense layer is a 1x1 convolution in PyTorch."""
        names = self.family.torch_convolutions
        return layer.name in (names(self.layers) if callable(names) else names)


def find_mapping(model: keras.Model, names: Collection[str] = ()) -> Mapping:
    """Return the mapping of the family that knows all layers.

    Of several, it is the one that fits most of PyTorch's names; of those, the first that was registered.
    """
    layers = dict(leaves(model))
    mappings = [mapping for family in registry.families() if (mapping := Mapping.of(family, layers))]
    if not mappings:
        raise InputError(
            f"Expected a model from keras_lite.applications, received {model.name}, "
            "some layers of which no known family has."
        )
    return max(mappings, key=lambda mapping: max(prefixes(names, mapping.variables()).values(), default=0))


def prefixes(names: Collection[str], known: Collection[str]) -> collections.Counter[str]:
    """Return for each beginning of names in a file how many of a network's names follow it.

    Example:

    >>> prefixes(["module.conv.weight", "module.conv.bias", "loss.weight"], {"conv.weight", "conv.bias"})
    Counter({'module.': 2})
    """
    counts = collections.Counter()
    for name in names:
        position = 0
        while True:
            if name[position:] in known:
                counts[name[:position]] += 1
            position = name.find(".", position) + 1
            if not position:
                break
    return counts


def leaves(model: keras.Model) -> Iterator[tuple[str, keras.layers.Layer]]:
    """Yield (flattened name, layer) for each layer that is not made of others."""
    stack = [(layer.name, layer) for layer in reversed(model.layers)]
    while stack:
        name, layer = stack.pop()
        if isinstance(layer, CompositeLayer | keras.Model):
            inner = layer.layers if isinstance(layer, keras.Model) else layer.sublayers
            stack += [(f"{name}_{part.name}", part) for part in reversed(inner)]
        else:
            yield name, layer


def torch_module(names: collections.abc.Mapping[str, str], layer_name: str) -> str | None:
    """Return what a layer is called in PyTorch, or `None`; `names` are those of a `Mapping`."""
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


def to_keras_layout(layer: keras.layers.Layer, variable: keras.Variable, array: np.ndarray) -> np.ndarray:
    """Return an array of PyTorch's layout in Keras' layout; with another number of axes it stays as it is."""
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


def to_torch_layout(layer: keras.layers.Layer, variable: keras.Variable, array: np.ndarray, convolution: bool):
    """Return an array of Keras' layout in PyTorch's; `convolution`: a dense layer is a 1x1 convolution there."""
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
