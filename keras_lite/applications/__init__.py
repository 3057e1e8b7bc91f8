"""Networks, each a function that returns a functional `keras.Model`, as in `keras.applications`."""

import fnmatch

import keras

from keras_lite.applications import carnet, preactivation_resnet
from keras_lite.applications.carnet import CARNet18
from keras_lite.applications.preactivation_resnet import ResNet18
from keras_lite.errors import InputError

__all__ = ["CARNet18", "ResNet18", "carnet", "create", "list_models", "preactivation_resnet"]

FAMILIES = (carnet, preactivation_resnet)

_MODELS = {"carnet18": CARNet18, "resnet18": ResNet18}


def list_models(pattern: str = "*") -> list[str]:
    """Return the sorted names of the networks that match a pattern.

    Args:
        pattern: A name in which `*` stands for any text.

    Example:

    >>> keras_lite.applications.list_models("*18")
    ['carnet18', 'resnet18']
    """
    return sorted(fnmatch.filter(_MODELS, pattern))


def create(name: str, **options) -> keras.Model:
    """Build a network by its name.

    Args:
        name: One of `list_models()`.
        **options: Arguments of the network's function.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If there is no network of that name.

    Example:

    >>> keras_lite.applications.create("carnet18", classes=10).output_shape
    (None, 10)
    """
    if name not in _MODELS:
        raise InputError(f"Expected a network's name, one of {', '.join(list_models())}; received {name!r}.")
    return _MODELS[name](**options)
