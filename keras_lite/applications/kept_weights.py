"""Weights of networks that were trained with the recipes, kept as float16 files.

`kept_weights.json` lists them. The files lie in the repository's folder `weights/`, and come with the wheel.
"""

import dataclasses
import functools
import hashlib
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import keras

from keras_lite.applications.structure import network_of, structure_of
from keras_lite.checkpoints.registry import CLASSIFIER
from keras_lite.errors import InputError
from keras_lite.files import shipped_folder

INDEX = Path(__file__).with_name("kept_weights.json")
FOLDER = shipped_folder("weights")


@dataclasses.dataclass(frozen=True)
class KeptWeights:
    """The weights of one trained network.

    Attributes:
        name: The name to give as `weights`: that of the data set.
        network: The call that makes the network.
        row: Id of the published row.
        file: Name of the file.
        sha256: SHA-256 of the file.
        input_shape: Height, width and channels.
        preprocessing: The fields of `keras_lite.data.Preprocessing` that it was trained with.
        class_names: Names of the classes, in the order of the outputs.
        structure: Digest of the network's layers, see `keras_lite.applications.structure`.
        test_accuracy: Share of the test images that the trained network gets right.
        epochs: Epochs it was trained.
        published_epochs: Epochs of the published run.
        seed: The run's seed.
        commit: The commit that ran.
    """

    name: str
    network: str
    row: str
    file: str
    sha256: str
    input_shape: list[int]
    preprocessing: dict[str, Any]
    class_names: list[str]
    structure: str
    test_accuracy: float
    epochs: int
    published_epochs: int
    seed: int
    commit: str | None

    def path(self) -> Path:
        """Return the file, after checking its hash.

        Raises:
            InputError: If it is missing, or is another file of that name.
        """
        path = FOLDER / self.file
        if not path.is_file():
            raise InputError(
                f"Expected {path} (the weights {self.name!r} of {self.network}), received no such file: "
                "it comes with keras-lite, so install keras-lite or check out the repository anew."
            )
        received = hashlib.sha256(path.read_bytes()).hexdigest()
        if received != self.sha256:
            raise InputError(f"Expected {path} with SHA-256 {self.sha256}, received a file with {received}.")
        return path


def list_weights(network: str = "*", name: str = "*") -> list[KeptWeights]:
    """Return the weights of the networks that were trained with the recipes; a network takes them by name.

    Args:
        network: Pattern for the network's name in `keras_lite.applications.list_models()`; `*` stands for any text.
        name: Pattern for the weights' name, the argument `weights` of the network.

    Example:

    >>> for kept in keras_lite.applications.list_weights("carnet*"):
    ...     print(f"{kept.network[:-1]}, weights={kept.name!r})")
    CARNet18(input_shape=(96, 96, 3), weights='sports100')
    """
    return [
        kept for kept in _index() if fnmatchcase(kept.name, name) and fnmatchcase(network_of(kept.network), network)
    ]


def names() -> set[str]:
    """Return the names that can be given as `weights`."""
    return {kept.name for kept in _index()}


def find(name: str, model: keras.Model, any_classes: bool) -> KeptWeights:
    """Return the weights of a name for a network.

    Args:
        name: One of `names()`.
        model: The network.
        any_classes: Whether its classifier may be for other classes.

    Raises:
        InputError: If those weights are for other networks: another stem, downsampling, input or number of classes.
    """
    candidates = [kept for kept in _index() if kept.name == name]
    structure = structure_of(model)
    for kept in candidates:
        fits = kept.structure == structure and list(model.input_shape[1:]) == kept.input_shape
        if fits and (any_classes or _classes(model) in (None, len(kept.class_names))):
            return kept
    known = "; ".join(f"{kept.network} of {len(kept.class_names)} classes" for kept in candidates)
    shape = "x".join(str(size) for size in model.input_shape[1:])
    raise InputError(
        f"Expected a network that the weights {name!r} are for ({known}), received {model.name} with other arguments, "
        f"input {shape}, {_classes(model) or 'no'} classes (load_classifier=False takes all but the classifier)."
    )


def input_shape(name: Any, model_name: str) -> tuple[int, int, int] | None:
    """Return the input that kept weights of a name were trained with for networks of a function, if it is one.

    Args:
        name: What was given as `weights`.
        model_name: Name of the network's function.
    """
    shapes = {
        tuple(kept.input_shape) for kept in _index() if kept.name == name and kept.network.startswith(f"{model_name}(")
    }
    return shapes.pop() if len(shapes) == 1 else None


@functools.cache
def _index() -> tuple[KeptWeights, ...]:
    return tuple(KeptWeights(**entry) for entry in json.loads(INDEX.read_text(encoding="utf-8")))


def _classes(model: keras.Model) -> int | None:
    return model.output_shape[-1] if any(layer.name == CLASSIFIER for layer in model.layers) else None
