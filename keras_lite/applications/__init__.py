"""Networks, each a function that returns a functional `keras.Model`, as in `keras.applications`.

Each file with a family of networks registers it, see `keras_lite.checkpoints.register`. All files of this folder are
imported here, and what they register is offered under its own name: a new network is one new file.
"""

import importlib
import pkgutil
from fnmatch import fnmatchcase

from keras_lite.applications import imagenet_weights
from keras_lite.applications.features import feature_extractor
from keras_lite.applications.kept_weights import list_weights
from keras_lite.applications.structure import network_of
from keras_lite.checkpoints import registry
from keras_lite.checkpoints.registry import create

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
_NETWORKS = {
    builder.__name__: builder for builder in registry.builders().values() if builder.__module__.startswith(__name__)
}
globals().update(_NETWORKS)

__all__ = [
    *sorted(_NETWORKS),
    *sorted({builder.__module__.rpartition(".")[2] for builder in _NETWORKS.values()}),
    "create",
    "feature_extractor",
    "imagenet_weights",
    "list_models",
    "list_weights",
]


def list_models(pattern: str = "*", family: str = "*", weights: str | None = None) -> list[str]:
    """Return the sorted names of the networks that match the patterns.

    Args:
        pattern: Pattern for a network's name; `*` stands for any text.
        family: Pattern for the name of its family, which is that of the family's file, such as `"mobilenet_v3"`.
        weights: Pattern for the name of weights that are there for the network: `"imagenet"`, or a data set's name such
            as `"cifar100"`. `None` lists networks without weights, too.

    Example:

    >>> keras_lite.applications.list_models("*18")
    ['carnet18', 'resnet18']
    >>> keras_lite.applications.list_models(family="cifar_resnet")
    ['cifar_preresnet', 'cifar_resnet', 'wide_resnet']
    >>> keras_lite.applications.list_models("mobilenet*", weights="imagenet")
    ['mobilenet_v2', 'mobilenet_v3_large', 'mobilenet_v3_small']
    """
    found = {network for known in registry.families() if fnmatchcase(known.name, family) for network in known.builders}
    if weights is not None:
        with_weights = {network_of(kept.network) for kept in list_weights(name=weights)}
        if fnmatchcase("imagenet", weights):
            with_weights |= {network_of(published.network) for published in imagenet_weights.WEIGHTS}
        found &= with_weights
    return sorted(network for network in found if fnmatchcase(network, pattern))
