"""What networks of torchvision share that the BSConv library has in another form.

The library's form begins with a batch norm of the image; torchvision's takes images normalized by ImageNet's mean and
standard deviation.
"""

from collections.abc import Mapping

import keras

from keras_lite.applications import bsconv_library, carnet
from keras_lite.errors import InputError

VARIANTS = ("bsconv", "torchvision")
INITIALIZATIONS = {"bsconv": bsconv_library.INITIALIZATION, "torchvision": "kaiming_normal"}


def check(variant: str) -> None:
    """Raise InputError unless the variant is known."""
    if variant not in VARIANTS:
        raise InputError(f"Expected variant to be one of {VARIANTS}, received {variant!r}.")


def is_torchvision(layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Return whether the layers of a network that has both forms are torchvision's."""
    return "data_batch_norm" not in layers


def torch_convolutions(layers: Mapping[str, keras.layers.Layer]) -> tuple[str, ...]:
    """Return the names of dense layers here that are 1x1 convolutions in PyTorch, for `keras_lite.checkpoints`."""
    return () if is_torchvision(layers) else bsconv_library.TORCH_CONVOLUTIONS


def preprocess_input(x, variant: str = "bsconv"):
    """Scale RGB images in [0, 255] to what the network's first layer expects.

    Args:
        x: Array or tensor of shape `(..., height, width, 3)`.
        variant: The network's: `"bsconv"` gives [0, 1]; for `"torchvision"` ImageNet's mean is subtracted from that,
            and its standard deviation divides it.

    Returns:
        The images as floats, same shape. For `"torchvision"` a NumPy array of floats is changed in place.

    Raises:
        InputError: If the variant is unknown.

    Example:

    >>> float(keras_lite.applications.mobilenet_v2.preprocess_input(np.full((1, 1, 3), 255))[0, 0, 0])
    1.0
    """
    check(variant)
    return (bsconv_library if variant == "bsconv" else carnet).preprocess_input(x)
