"""Which network of the registered families a state dict is of, by its names and shapes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_lite.checkpoints import registry
from keras_lite.checkpoints.fitting import fit
from keras_lite.errors import InputError

# Below this share of fitting variables a network is no neighbor.
_NEAR = 0.3


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network that a state dict fits, entirely or nearly.

    Attributes:
        network: A name of `keras_lite.applications.list_models()`.
        options: Arguments of its function.
        fitting: How many of its variables, without the classifier's, have their names and shapes in the state dict.
        size: How many it has.
        others: Whether the state dict has names that the network does not know, or lacks some.
    """

    network: str
    options: dict[str, Any]
    fitting: int
    _: dataclasses.KW_ONLY
    size: int
    others: bool

    @property
    def fits(self) -> bool:
        """Whether all names and shapes but the classifier's are this network's."""
        return self.fitting == self.size and not self.others

    def build(self, **options) -> keras.Model:
        """Return the network."""
        return registry.create(self.network, **self.options | options)

    def __str__(self) -> str:
        return self._described(self.options)

    def _described(self, options: dict[str, Any]) -> str:
        texts = ", ".join(f"{name}={_text(value)}" for name, value in options.items())
        return f"{self.network} with {texts}" if texts else self.network

    def advice(self, with_classes: bool = True) -> str:
        """Return a text that says how well it fits and how to name it, with or without its number of classes."""
        options = {name: value for name, value in self.options.items() if with_classes or name != "classes"}
        described, texts = self._described(options), ",".join(f"{name}={_text(options[name])}" for name in options)
        command = f"--model {self.network}" + (f" --options {texts}" if texts else "")
        if self.fits:
            return f"It fits {described} ({command})."
        return f"Nearest here is {described} ({command}): {self.fitting} of its {self.size} arrays fit."


def _text(value: Any) -> str:
    return f"({','.join(map(str, value))})" if isinstance(value, tuple) else str(value)


def nearest(state_dict: Mapping[str, np.ndarray]) -> Candidate | None:
    """Return the network that a state dict fits best, with its arguments.

    Each registered family says by the names which few of its networks are built and compared. Input sizes and what has
    no weights (activations, dropout) are not in a file.

    Args:
        state_dict: Name -> tensor, or array in PyTorch's layout.

    Returns:
        The network, or `None` if none comes near.

    Example:

    ```python
    candidate = nearest(read_state_dict("resnet18-f37072fd.pth"))
    str(candidate)  # 'imagenet_resnet with depth=18, variant=torchvision, classes=1000'
    ```
    """
    best = None
    for call in guesses(state_dict):
        try:
            found = fit(registry.create(call.network, **call.options), state_dict, load_classifier=False)
        except (InputError, ValueError):
            continue  # arguments that no such network has
        options = dict(call.options)
        if found.classes is not None:
            options["classes"] = found.classes
        candidate = Candidate(call.network, options, found.fitting, size=found.size, others=bool(found.problems))
        if candidate.fits:
            return candidate
        if best is None or candidate.fitting / candidate.size > best.fitting / best.size:
            best = candidate
    return best if best and best.fitting >= _NEAR * best.size else None


def guesses(state_dict: Mapping[str, np.ndarray]) -> list[registry.Call]:
    """Return the networks that a state dict may be of, the most likely first, by the guesses of the families."""
    names = registry.Names(state_dict)
    found = [call for family in registry.families() for call in family.guess(names)]
    return sorted(found, key=lambda call: not call.is_likely)
