"""Networks, each a function that returns a functional `keras.Model`, as in `keras.applications`."""

import fnmatch
import inspect

import keras

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
from keras_lite.errors import InputError

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

FAMILIES = (
    carnet,
    preactivation_resnet,
    mobilenet_v3,
    ghostnet,
    parc_mobilenet_v2,
    shufflenet_v2,
    bsconv_mobilenet_v3,
    cifar_resnet,
    efficient_resnet,
    imagenet_resnet,
    mobilenet_v1,
    mobilenet_v2,
)

_MODELS = {
    "bsconv_mobilenet_v3_large": BSConvMobileNetV3Large,
    "bsconv_mobilenet_v3_small": BSConvMobileNetV3Small,
    "carnet18": CARNet18,
    "cifar_preresnet": CifarPreResNet,
    "cifar_resnet": CifarResNet,
    "efficient_resnet": EfficientResNet,
    "ghostnet": GhostNet,
    "imagenet_preresnet": ImageNetPreResNet,
    "imagenet_resnet": ImageNetResNet,
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": MobileNetV3Large,
    "mobilenet_v3_small": MobileNetV3Small,
    "parc_mobilenet_v2": ParCMobileNetV2,
    "resnet18": ResNet18,
    "shufflenet_v2": ShuffleNetV2,
    "wide_resnet": WideResNet,
}


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
        InputError: If there is no network of that name, or it has no such argument.

    Example:

    >>> keras_lite.applications.create("carnet18", classes=10).output_shape
    (None, 10)
    """
    if name not in _MODELS:
        raise InputError(f"Expected a network's name, one of {', '.join(list_models())}; received {name!r}.")
    unknown = sorted(options.keys() - inspect.signature(_MODELS[name]).parameters.keys())
    if unknown:
        raise InputError(f"Expected arguments of {_MODELS[name].__name__}, received {', '.join(unknown)}.")
    return _MODELS[name](**options)
