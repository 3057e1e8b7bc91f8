"""The registry of network families; each family registers itself and its mapping to PyTorch weights.

Nothing here knows a network by name. The modules that `keras_lite.FAMILY_MODULES` lists register theirs when they are
imported, which happens when the first family is asked for: so that `from keras_lite.checkpoints import load_model`
knows the networks of `keras_lite.applications`, too. A family of your own is known once it is registered.
"""

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

import keras_lite
from keras_lite.errors import InputError

# The layer that gives a network's output, and the dense layer before it that some networks have.
CLASSIFIER = "predictions"
HIDDEN = "hidden"

# The layers of a flattened network by name.
Layers = Mapping[str, keras.layers.Layer]


class Names:
    """The names and shapes of a state dict, found by the ends of the names, for a family's `guess`.

    Example:

    >>> names = keras_lite.checkpoints.Names({"module.conv1.weight": np.zeros((64, 3, 7, 7))})
    >>> names.shape("conv1.weight"), names.shape("fc.weight")
    ((64, 3, 7, 7), None)
    """

    def __init__(self, state_dict: Mapping[str, np.ndarray]) -> None:
        self._shapes = {name: tuple(value.shape) for name, value in state_dict.items() if hasattr(value, "shape")}
        self._text = "\n".join(self._shapes)

    def shape(self, end: str) -> tuple[int, ...] | None:
        """Return the shape of the tensor whose name is `end`, with or without a prefix."""
        return next((s for name, s in self._shapes.items() if name == end or name.endswith(f".{end}")), None)

    def filters(self, end: str) -> int:
        """Return the number of filters of the convolution whose kernel's name ends with `end`; 0 if there is none."""
        shape = self.shape(end)
        return shape[0] if shape else 0

    def count(self, pattern: str) -> int:
        r"""Return how many different texts a regular expression's group matches, at the start of names or after a dot.

        Example:

        >>> names = keras_lite.checkpoints.Names({f"net.block{n}.bias": np.zeros(8) for n in (0, 1, 2)})
        >>> names.count(r"block(\d+)\.")
        3
        """
        return len(set(re.findall(rf"(?m)(?:^|\.){pattern}", self._text)))


@dataclasses.dataclass(frozen=True)
class Call:
    """A network's name and arguments of its function.

    Attributes:
        network: A name of `keras_lite.applications.list_models()`.
        options: Arguments.
        is_likely: Of a guess: whether it is tried before those that are not.
    """

    network: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    is_likely: bool = True


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of networks: their functions, and the names and layout of their weights in PyTorch.

    A layer is named here as in the flattened network: `stage1_block1_convolution` is the layer `convolution` in the
    layer `stage1_block1`. The dense layer that gives the output is named `predictions`, one before it `hidden`.

    Attributes:
        name: The family's, such as `"carnet"`.
        builders: A network's name -> the function that builds it, which takes the arguments of `keras.applications`.
        torch_names: A layer's name -> its module's in PyTorch. In place of a name there may be a regular expression
            with named groups: `{group}` in the module's name then stands for what the group matched, `{group_from_0}`
            for one less. Or a function that returns such a dictionary for a network's layers.
        torch_convolutions: Names of the dense layers that are 1x1 convolutions in PyTorch, or a function that returns
            them for a network's layers.
        torch_unused: Returns what only PyTorch keeps for a network's layers: name -> array.
        guess: Yields the networks that a state dict may be of, by its names and shapes, the likeliest first.
        unseen_by_thop: The layers, as a regular expression, that the PyTorch network computes by functions, not
            modules, so that the counter thop does not see them.
        member: One small network of the family, for tests.
    """

    name: str
    builders: Mapping[str, Callable[..., keras.Model]]
    torch_names: Mapping[str, str] | Callable[[Layers], Mapping[str, str]]
    torch_convolutions: tuple[str, ...] | Callable[[Layers], tuple[str, ...]] = ()
    torch_unused: Callable[[Layers], dict[str, np.ndarray]] = lambda layers: {}
    guess: Callable[[Names], Iterator[Call]] = lambda names: iter(())
    unseen_by_thop: str | None = None
    member: Call | None = None


_FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Register a family, so that its networks are found by name and PyTorch weights can be loaded into them.

    Args:
        family: The family. One that was registered from the same module is replaced.

    Returns:
        The family.

    Raises:
        InputError: If its name, or that of one of its networks, is another family's.

    Example:

    ```python
    from keras_lite.checkpoints import Call, Family, register


    def TinyNet(input_shape=(32, 32, 3), classes=10, classifier_activation="softmax", filters=8):
        inputs = keras.Input(input_shape)
        x = keras.layers.Conv2D(filters, 3, activation="relu", name="stem")(inputs)
        x = keras.layers.GlobalAveragePooling2D(name="average_pool")(x)
        x = keras.layers.Dense(classes, classifier_activation, name="predictions")(x)
        return keras.Model(inputs, x, name="tiny_net")


    def guess(names):
        if names.shape("tiny_stem.weight"):
            yield Call("tiny_net", {"filters": names.filters("tiny_stem.weight")})


    register(Family("tiny", {"tiny_net": TinyNet}, {"stem": "tiny_stem", "predictions": "head"}, guess=guess))
    model = keras_lite.checkpoints.load_model("tiny.pth")  # what torch.save(network.state_dict(), "tiny.pth") wrote
    ```
    """
    taken = {network: other.name for other in _FAMILIES.values() for network in other.builders}
    known = _FAMILIES.get(family.name)
    if known and _modules(known) != _modules(family):
        raise InputError(f"Expected a new name for a family, received {family.name!r}, which there is already.")
    for network in family.builders:
        if taken.get(network, family.name) != family.name:
            raise InputError(
                f"Expected new names for the networks of {family.name}, received {network!r}, one of {taken[network]}."
            )
    _FAMILIES[family.name] = family
    return family


def _modules(family: Family) -> set[str]:
    return {builder.__module__ for builder in family.builders.values()}


def families() -> tuple[Family, ...]:
    """Return all families in the order in which they were registered."""
    for name in keras_lite.FAMILY_MODULES:
        importlib.import_module(name)
    return tuple(_FAMILIES.values())


def builders() -> dict[str, Callable[..., keras.Model]]:
    """Return the function that builds each network, by the network's name."""
    return {network: builder for family in families() for network, builder in family.builders.items()}


def create(name: str, **options) -> keras.Model:
    """Return a network by its name.

    Args:
        name: One of `keras_lite.applications.list_models()`.
        **options: Arguments of the network's function.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If there is no network of that name, or it has no such argument.

    Example:

    >>> keras_lite.applications.create("carnet18", classes=10).output_shape
    (None, 10)
    """
    known = builders()
    if name not in known:
        raise InputError(f"Expected a network's name, one of {', '.join(sorted(known))}; received {name!r}.")
    unknown = sorted(options.keys() - inspect.signature(known[name]).parameters.keys())
    if unknown:
        raise InputError(f"Expected arguments of {known[name].__name__}, received {', '.join(unknown)}.")
    return known[name](**options)
