"""Networks, each a function that returns a functional `keras.Model`, as in `keras.applications`.

Each file with a family of networks registers it, see `keras_lite.checkpoints.register`; importing this package fills
the registry.
"""

from fnmatch import fnmatchcase

from keras_lite.applications import (
    bsconv_mobilenet_v3,
    carnet,
    cifar_resnet,
    efficient_resnet,
    ghostnet,
    imagenet_resnet,
    imagenet_weights,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    parc_mobilenet_v2,
    preactivation_resnet,
    shufflenet_v2,
)
from keras_lite.applications.bsconv_mobilenet_v3 import BSConvMobileNetV3Large, BSConvMobileNetV3Small
from keras_lite.applications.carnet import CARNet18
from keras_lite.applications.cifar_resnet import CifarPreResNet, CifarResNet, WideResNet
from keras_lite.applications.efficient_resnet import EfficientResNet
from keras_lite.applications.features import feature_extractor
from keras_lite.applications.ghostnet import GhostNet
from keras_lite.applications.imagenet_resnet import ImageNetPreResNet, ImageNetResNet
from keras_lite.applications.kept_weights import list_weights
from keras_lite.applications.mobilenet_v1 import MobileNetV1
from keras_lite.applications.mobilenet_v2 import MobileNetV2
from keras_lite.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from keras_lite.applications.parc_mobilenet_v2 import ParCMobileNetV2
from keras_lite.applications.preactivation_resnet import ResNet18
from keras_lite.applications.shufflenet_v2 import ShuffleNetV2
from keras_lite.applications.structure import network_of
from keras_lite.checkpoints import registry
from keras_lite.checkpoints.registry import create

__all__ = [
    "BSConvMobileNetV3Large",
    "BSConvMobileNetV3Small",
    "CARNet18",
    "CifarPreResNet",
    "CifarResNet",
    "EfficientResNet",
    "GhostNet",
    "ImageNetPreResNet",
    "ImageNetResNet",
    "MobileNetV1",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "ParCMobileNetV2",
    "ResNet18",
    "ShuffleNetV2",
    "WideResNet",
    "bsconv_mobilenet_v3",
    "carnet",
    "cifar_resnet",
    "create",
    "efficient_resnet",
    "feature_extractor",
    "ghostnet",
    "imagenet_resnet",
    "imagenet_weights",
    "list_models",
    "list_weights",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "parc_mobilenet_v2",
    "preactivation_resnet",
    "shufflenet_v2",
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
