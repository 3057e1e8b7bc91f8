"""What the networks of the BSConv library share: the data batch norm, the head, and their names in PyTorch.

Source: Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549), and its library.
"""

import keras

from keras_lite.applications import common
from keras_lite.checkpoints.registry import CLASSIFIER, HIDDEN, Names
from keras_lite.errors import InputError
from keras_lite.layers import BatchNormalization
from keras_lite.layers.bsconv import CONVOLUTIONS

# All convolutions but the blueprint separable ones, which have PyTorch's default.
INITIALIZATION = "kaiming_uniform"

# The parts of a convolution, standard or blueprint separable -> their names in PyTorch.
_PARTS = {
    "": "",
    "_pointwise": ".pw",
    "_pointwise_batch_norm": ".bn",
    "_pointwise1": ".pw1",
    "_pointwise1_batch_norm": ".bn1",
    "_pointwise2": ".pw2",
    "_pointwise2_batch_norm": ".bn2",
    "_depthwise": ".dw",
}

# Dense layers here and 1x1 convolutions in PyTorch.
TORCH_CONVOLUTIONS = (CLASSIFIER, HIDDEN)


def torch_names_of_convolution(name: str, module: str) -> dict[str, str]:
    """Return a family's `torch_names` of a convolution of any kind."""
    return {name + part: module + torch_part for part, torch_part in _PARTS.items()}


def has_separable_units(names: Names) -> bool:
    """Return whether a state dict has units of a depthwise and a 1x1 convolution, as MobileNetV1 alone."""
    return any(names.shape(f"stage1.unit1.conv_{part}.conv.weight") for part in ("dw", "pw"))


def check_options(convolution: str, convolution_options: dict | None, known: tuple[str, ...], why: str) -> None:
    """Raise InputError unless the convolution is one that the network can have.

    Args:
        convolution: The network's argument.
        convolution_options: The network's argument.
        known: The convolutions that the network can have.
        why: The end of the message: why it can't have the others.
    """
    if convolution not in CONVOLUTIONS:
        raise InputError(f"Expected convolution to be one of {CONVOLUTIONS}, received {convolution!r}.")
    if convolution not in known:
        raise InputError(f"Expected convolution to be one of {known}, received {convolution!r}: {why}.")
    if convolution_options and convolution == "standard":
        raise InputError(f"Expected no convolution_options with standard convolutions, received {convolution_options}.")


def data_batch_norm(inputs):
    """Normalize each color by the statistics of the training images, in place of a fixed mean and deviation."""
    return batch_norm(inputs, "data_batch_norm")


def batch_norm(x, name: str):
    """Apply batch norm with PyTorch's epsilon and momentum."""
    return BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)(x)


def classify(features, **options):
    """Apply the head to a feature map; its kernel is initialized by Glorot's normal distribution."""
    return common.classify(features, kernel_initializer=keras.initializers.GlorotNormal(), **options)


def preprocess_input(x):
    """Scale RGB images in [0, 255] to [0, 1]; the network's first batch norm does the rest.

    Args:
        x: Array or tensor of shape `(..., height, width, 3)`.

    Returns:
        The images as floats, same shape.

    Example:

    >>> float(preprocess_input(np.full((1, 1, 3), 255))[0, 0, 0])
    1.0
    """
    return x / 255.0
