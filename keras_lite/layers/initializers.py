"""Initializers that the published models use and Keras has no name for."""

import math

import keras

from keras_lite.errors import InputError

SCHEMES = ("pytorch", "kaiming_uniform", "kaiming_normal")


def pytorch_uniform(fan_in: int) -> keras.initializers.Initializer:
    """Return PyTorch's default for kernels and biases of convolutions and dense layers: U(+-1/sqrt(fan_in)).

    Keras' own fan computation is wrong for depthwise kernels (it multiplies by the channels), so the fan is an
    argument here.

    Args:
        fan_in: Inputs that one output depends on: kernel height * kernel width * input channels / groups.

    Returns:
        A new initializer. Use one for each variable: a Keras initializer draws the same values every time.
    """
    limit = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-limit, limit)


def kaiming_uniform(fan_in: int) -> keras.initializers.Initializer:
    """Return the Kaiming uniform initializer for ReLU, by fan-in: U(-sqrt(6/fan_in), sqrt(6/fan_in)).

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015 (arXiv:1502.01852).

    Args:
        fan_in: Kernel height * kernel width * input channels / groups.
    """
    limit = math.sqrt(6 / fan_in)
    return keras.initializers.RandomUniform(-limit, limit)


def kaiming_normal(fan_out: int) -> keras.initializers.Initializer:
    """Return the Kaiming normal initializer for ReLU, by fan-out: N(0, sqrt(2/fan_out)).

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015 (arXiv:1502.01852).

    Args:
        fan_out: Kernel height * kernel width * filters. PyTorch does not divide it by the groups, so a depthwise 3x3
            convolution of C channels has 9 C.
    """
    return keras.initializers.RandomNormal(0.0, math.sqrt(2 / fan_out))


def convolution_initializers(scheme: str, kernel_size: int, channels: int, filters: int) -> dict:
    """Return `kernel_initializer` and `bias_initializer` of a convolution without groups.

    Args:
        scheme: `"pytorch"`: PyTorch's default, for both. `"kaiming_uniform"` (by fan-in) and `"kaiming_normal"`
            (by fan-out): biases are 0.
        kernel_size: Height and width of the kernel.
        channels: Input channels.
        filters: Output channels.
    """
    kernel, bias = _initializers(scheme, kernel_size**2 * channels, kernel_size**2 * filters)
    return {"kernel_initializer": kernel, "bias_initializer": bias}


def depthwise_initializers(scheme: str, kernel_size: int, channels: int) -> dict:
    """Return `depthwise_initializer` and `bias_initializer` of a depthwise convolution.

    Args:
        scheme: As in `convolution_initializers`.
        kernel_size: Height and width of the kernel.
        channels: Input channels.
    """
    kernel, bias = _initializers(scheme, kernel_size**2, kernel_size**2 * channels)
    return {"depthwise_initializer": kernel, "bias_initializer": bias}


def check_scheme(scheme: str) -> None:
    """Raise InputError unless `scheme` is one of `SCHEMES`."""
    if scheme not in SCHEMES:
        raise InputError(f"Expected initialization to be one of {SCHEMES}, received {scheme!r}.")


def _initializers(scheme: str, fan_in: int, fan_out: int) -> tuple:
    check_scheme(scheme)
    if scheme == "pytorch":
        return pytorch_uniform(fan_in), pytorch_uniform(fan_in)
    return kaiming_uniform(fan_in) if scheme == "kaiming_uniform" else kaiming_normal(fan_out), "zeros"
