"""Initialisers that the published models use and Keras has no name for."""

import math

import keras


def pytorch_uniform(fan_in: int) -> keras.initializers.Initializer:
    """PyTorch's default for convolutions and dense layers, kernel and bias alike: U(-1/sqrt(fan_in), 1/sqrt(fan_in)).

    Keras' own fan computation is wrong for depthwise kernels (it multiplies by the channels), so the fan is an
    argument here.

    Args:
        fan_in: Inputs that one output depends on: kernel height * kernel width * input channels / groups.

    Returns:
        A new initialiser. Use one for each variable: a Keras initialiser draws the same values every time.
    """
    limit = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-limit, limit)
