"""Efficient ResNet: residual networks for CIFAR-10 of under five million parameters, and their whole generator.

Source: Efficient ResNet, whose table on CIFAR-10 has a network of 4,697,742 parameters beside a ResNet18 of 11,173,962.
"""

import itertools
import os
from collections.abc import Iterator, Sequence

import keras

from keras_lite.applications import common
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.errors import InputError
from keras_lite.layers import BatchNormalization, ChannelAttention
from keras_lite.layers.initializers import pytorch_uniform

# The flattened layer's name -> the module's name in the PyTorch network.
_BLOCK, _MODULE = r"layer(?P<layer>\d)_block(?P<block>\d+)", "residual_layers.{layer_from_0}.{block_from_0}"
_TORCH_NAMES = {
    "stem_convolution": "conv1",
    "stem_batch_norm": "bn1",
    "stem_attention_squeeze": "seblock.conv1",
    "stem_attention_excite": "seblock.conv2",
    rf"{_BLOCK}_convolution(?P<unit>\d)": _MODULE + ".conv{unit}",
    rf"{_BLOCK}_batch_norm(?P<unit>\d)": _MODULE + ".bn{unit}",
    f"{_BLOCK}_shortcut": f"{_MODULE}.shortcut.0",
    f"{_BLOCK}_shortcut_batch_norm": f"{_MODULE}.shortcut.1",
    "predictions": "linear",
}

# CIFAR-10's, as published with these networks.
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)


def EfficientResNet(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 10,
    classifier_activation: str | None = "softmax",
    name: str = "efficient_resnet",
    *,
    blocks: Sequence[int] = (4, 4, 3),
    channels: int = 64,
    kernel_sizes: int | Sequence[int] = 3,
    shortcut_kernel_sizes: int | Sequence[int] = 1,
    dropout_rate: float = 0.0,
    squeeze_excite: bool = True,
    load_classifier: bool = True,
) -> keras.Model:
    """Return a network of Efficient ResNet's generator, by default the best one, of 4,697,742 parameters.

    A 3x3 convolution, with channel attention behind it; residual layers, of which each has twice the channels of the
    one before and half its resolution; global average pooling; a dense layer. A block is convolution, batch norm,
    ReLU, convolution, batch norm; where the shape changes its shortcut is a convolution with batch norm. With
    `blocks=(2, 2, 2, 2), squeeze_excite=False` it is the ResNet18 of the same table. There is no attention in the
    residual blocks, and the size of the pool is not free, though the published configuration has fields for both.

    Source: Efficient ResNet (CIFAR-10).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (32, 32, 3), or that of kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        blocks: Number of blocks of each residual layer.
        channels: Number of channels of the stem and the first layer.
        kernel_sizes: Kernel of the convolutions, one for all layers or one a layer; odd.
        shortcut_kernel_sizes: Kernel of the shortcuts' convolutions, one for all layers or one a layer; odd.
        dropout_rate: Behind each block and before the classifier; 0 for no dropout.
        squeeze_excite: Whether the stem has channel attention.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.EfficientResNet(blocks=(2, 1, 1, 1), channels=32).output_shape
    (None, 10)
    """
    kernels = _one_a_layer("kernel_sizes", kernel_sizes, blocks)
    shortcut_kernels = _one_a_layer("shortcut_kernel_sizes", shortcut_kernel_sizes, blocks)
    _check(blocks, channels, dropout_rate)
    inputs = common.image_input(
        "EfficientResNet",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=32,
        minimum_size=1,
        why="there must be a pixel",
    )
    x = _convolution(inputs, channels, 3, strides=1, name="stem_convolution")
    x = keras.layers.ReLU(name="stem_relu")(_batch_norm(x, "stem_batch_norm"))
    if squeeze_excite:
        x = ChannelAttention(ratio=16, name="stem_attention")(x)
    for layer, (count, kernel, shortcut_kernel) in enumerate(zip(blocks, kernels, shortcut_kernels, strict=True)):
        for block in range(1, count + 1):
            strides = 2 if layer > 0 and block == 1 else 1
            block_name = f"layer{layer + 1}_block{block}"
            x = _block(
                x,
                channels * 2**layer,
                strides,
                kernel_size=kernel,
                shortcut_kernel_size=shortcut_kernel,
                name=block_name,
            )
            if dropout_rate:
                x = keras.layers.Dropout(dropout_rate, name=f"{block_name}_dropout")(x)
    x = common.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        dropout_rate=dropout_rate,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def preprocess_input(x):
    """Scale RGB images in [0, 255] to [0, 1], subtract CIFAR-10's mean and divide by its standard deviation.

    Args:
        x: Array or tensor of shape `(..., height, width, 3)`.

    Returns:
        The images as floats, same shape.

    Example:

    >>> round(float(preprocess_input(np.full((1, 1, 3), 255.0))[0, 0, 0]), 4)
    2.5141
    """
    return keras.ops.divide(keras.ops.subtract(x / 255.0, list(MEAN)), list(STD))


def _check(blocks: Sequence[int], channels: int, dropout_rate: float) -> None:
    if not blocks or any(not isinstance(count, int) or count < 1 for count in blocks):
        raise InputError(f"Expected blocks to be positive integers, one a layer, received {blocks!r}.")
    if not isinstance(channels, int) or channels < 16:
        raise InputError(f"Expected channels to be an integer of at least 16, received {channels!r}.")
    if not 0 <= dropout_rate < 1:
        raise InputError(f"Expected dropout_rate to be at least 0 and below 1, received {dropout_rate!r}.")


def _one_a_layer(argument: str, sizes: int | Sequence[int], blocks: Sequence[int]) -> tuple[int, ...]:
    sizes = (sizes,) * len(blocks) if isinstance(sizes, int) else tuple(sizes)
    if len(sizes) != len(blocks):
        raise InputError(f"Expected {argument} to be one number or {len(blocks)}, one a layer, received {sizes}.")
    if any(not isinstance(size, int) or size < 1 or size % 2 == 0 for size in sizes):
        raise InputError(
            f"Expected {argument} to be odd and positive, received {sizes}: even kernels change the size, "
            "so that the shortcut can't be added."
        )
    return sizes


def _block(x, filters: int, strides: int, *, kernel_size: int, shortcut_kernel_size: int, name: str):
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, shortcut_kernel_size, strides=strides, name=f"{name}_shortcut")
        shortcut = _batch_norm(shortcut, f"{name}_shortcut_batch_norm")
    x = _batch_norm(
        _convolution(x, filters, kernel_size, strides=strides, name=f"{name}_convolution1"), f"{name}_batch_norm1"
    )
    x = keras.layers.ReLU(name=f"{name}_relu1")(x)
    x = _batch_norm(
        _convolution(x, filters, kernel_size, strides=1, name=f"{name}_convolution2"), f"{name}_batch_norm2"
    )
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu2")(x)


def _batch_norm(x, name: str):
    return BatchNormalization(epsilon=1e-5, momentum=0.9, name=name)(x)


def _convolution(x, filters: int, kernel_size: int, *, strides: int, name: str):
    if kernel_size > 1 and strides > 1:
        # Padding on both sides, as published; Keras' "same" would pad an even size on one side only.
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_padding")(x)
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="valid" if strides > 1 else "same",
        use_bias=False,
        kernel_initializer=pytorch_uniform(kernel_size**2 * x.shape[-1]),
        name=name,
    )(x)


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("residual_layers.0.0.conv1.weight"):
        counts = (names.count(rf"residual_layers\.{layer}\.(\d+)\.") for layer in range(8))
        blocks = tuple(itertools.takewhile(bool, counts))
        yield Call("efficient_resnet", {"blocks": blocks, "channels": names.filters("conv1.weight")})


register(
    Family(
        "efficient_resnet",
        {"efficient_resnet": EfficientResNet},
        _TORCH_NAMES,
        guess=_guess,
        member=Call("efficient_resnet", {"blocks": (1, 1), "channels": 16, "dropout_rate": 0.1}),
    )
)
