"""ParC-MobileNetV2: MobileNetV2 with convolutions as long as the image in its last blocks.

Source: Zhang et al., "ParC-Net: Position Aware Circular Convolution with Merits from ConvNets and Transformer", ECCV
2022 (arXiv:2203.03952).
"""

import os
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_lite.applications import blocks, carnet, common
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.layers import ChannelSplit, PositionAwareCircularConv

# Expansion, out, blocks, how many of these are MobileNetV2's, stride for large images, stride for small ones.
ROWS = (
    (1, 16, 1, 1, 1, 1),
    (6, 24, 2, 2, 2, 1),
    (6, 32, 3, 3, 2, 2),
    (6, 64, 4, 2, 2, 2),
    (6, 96, 3, 2, 1, 1),
    (6, 160, 3, 2, 2, 2),
    (6, 320, 1, 1, 1, 1),
)

_BLOCKS = blocks.Blocks("kaiming_normal")

preprocess_input = carnet.preprocess_input


def ParCMobileNetV2(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "parc_mobilenet_v2",
    *,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    dropout_rate: float = 0.2,
    load_classifier: bool = True,
) -> keras.Model:
    """Return ParC-MobileNetV2: 3,532,136 parameters with 1000 classes at 224 x 224 pixels.

    Images go through `keras_lite.applications.parc_mobilenet_v2.preprocess_input` first (the tables on CIFAR-100 have
    that data set's mean and standard deviation instead). The size of the circular convolutions, and with it the
    number of parameters, depends on the images'. With `downsampling="attention"` EfficientFormerV2's downsampling
    takes the place of each block of stride 2; the last two of these have attention. Batch norm has epsilon 1e-5 and
    momentum 0.9.

    Source: Zhang et al., "ParC-Net", ECCV 2022 (arXiv:2203.03952).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)` of known height and width. Default: (224, 224, 3), or that of
            kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        small_images: Whether the stem and the second row of blocks keep the resolution, as published for 32 x 32
            pixels. `None`: for images below 64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling`).
        dropout_rate: In front of the classifier.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.ParCMobileNetV2(input_shape=(32, 32, 3), classes=100).count_params()
    2393764
    """
    inputs = common.image_input(
        "ParCMobileNetV2",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    blocks.require_known_size("ParCMobileNetV2", inputs)
    x = common.classify(
        _features(inputs, blocks.are_small(inputs, small_images), stem, downsampling),
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        dropout_rate=dropout_rate,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01),
        bias_initializer="zeros",
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def _features(x, small: bool, stem: str, downsampling: str):
    """Return the last feature map."""
    blocks.check_options(stem, downsampling)
    stem_strides = 1 if small else 2
    strides = [row[-1] if small else row[-2] for row in ROWS]
    blocks.check_size("ParCMobileNetV2", x, stem_strides, strides=strides, downsampling=downsampling)
    x = _BLOCKS.stem(x, 32, stem, activation="relu6", strides=stem_strides)
    number = 0
    for index, (expansion, filters, count, ordinary, *_) in enumerate(ROWS):
        for block in range(count):
            number += 1
            name, block_strides = f"block{number}", strides[index] if block == 0 else 1
            if block_strides == 2 and downsampling == "attention":
                attention = strides[index:].count(2) <= 2
                x = _BLOCKS.attention_downsampling(x, filters, attention, f"{name}_downsampling")
            elif block < ordinary:
                x = _inverted_residual(
                    x, expansion, filters, strides=block_strides, downsampling=downsampling, name=name
                )
            else:
                # Only the first of a row is told where it is.
                x = _circular_block(x, expansion, filters, position_embedding=block == ordinary, name=name)
    return _BLOCKS.convolution(x, 1280, 1, name="last", activation="relu6")


def _inverted_residual(x, expansion: int, filters: int, *, strides: int, downsampling: str, name: str):
    y = x
    if expansion != 1:
        y = _BLOCKS.convolution(y, expansion * x.shape[-1], 1, name=f"{name}_expand", activation="relu6")
    if strides == 2 and downsampling == "padding_free":
        y = _BLOCKS.padding_free(y, 3, f"{name}_depthwise", "relu6")
    else:
        y = _BLOCKS.depthwise(y, 3, f"{name}_depthwise", activation="relu6", strides=strides)
    y = _BLOCKS.convolution(y, filters, 1, name=f"{name}_project")
    return blocks.add(y, x, name) if strides == 1 and filters == x.shape[-1] else y


def _circular_block(x, expansion: int, filters: int, *, position_embedding: bool, name: str):
    y = _BLOCKS.convolution(x, expansion * x.shape[-1], 1, name=f"{name}_expand", activation="relu6")
    halves = [
        PositionAwareCircularConv(axis, position_embedding, _BLOCKS.initialization, name=f"{name}_{axis}")(part)
        for axis, part in zip(("height", "width"), ChannelSplit(name=f"{name}_split")(y), strict=True)
    ]
    y = keras.layers.Concatenate(name=f"{name}_concatenate")(halves)
    y = _BLOCKS.finish(y, f"{name}_circular", "relu6")
    return blocks.add(_BLOCKS.convolution(y, filters, 1, name=f"{name}_project"), x, name)


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    # The code with attention names a convolution and its batch norm in another way.
    pair = ("0", "1") if any("downsampling" in name for name in layers) else ("conv", "norm")
    if "stem_fuse" in layers:
        stem_pair = ("0", "1") if blocks.has_large_hybrid_stem(layers) else pair
        names = blocks.hybrid_stem_torch_names("features.0", stem_pair, stem_pair)
    else:
        names = blocks.pair_torch_names("stem", "features.0", pair)
    count = sum(row[2] for row in ROWS)
    names |= {"predictions": "classifier.1", **blocks.pair_torch_names("last", f"features.{count + 1}", pair)}
    for block in range(1, count + 1):
        name, module = f"block{block}", f"features.{block}"
        names |= blocks.attention_torch_names(f"{name}_downsampling", f"{module}.conv.0", layers)
        if f"{name}_circular_batch_norm" in layers:
            names |= blocks.pair_torch_names(f"{name}_expand", f"{module}.pw_expand", pair)
            for axis, letter in (("height", "H"), ("width", "W")):
                names[f"{name}_{axis}_position"] = f"{module}.gcc_{letter}"
                names[f"{name}_{axis}_convolution"] = f"{module}.gcc_{letter}.gcc_conv"
            names[f"{name}_circular_batch_norm"] = f"{module}.bn"
            names |= blocks.pair_torch_names(f"{name}_project", f"{module}.pw_linear", ("0", "1"))
        else:
            depthwise = int(f"{name}_expand_convolution" in layers)
            names |= blocks.pair_torch_names(f"{name}_expand", f"{module}.conv.0", pair)
            names |= blocks.pair_torch_names(f"{name}_depthwise", f"{module}.conv.{depthwise}", pair)
            project = (str(depthwise + 1), str(depthwise + 2))
            names |= blocks.pair_torch_names(f"{name}_project", f"{module}.conv", project)
    return names


def torch_unused(layers: Mapping[str, keras.layers.Layer]) -> dict[str, np.ndarray]:
    """Return what the published network keeps and does not use: the attention's index buffers."""
    return blocks.attention_torch_unused(layers, torch_names(layers))


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("features.1.conv.0.conv.weight"):
        yield Call("parc_mobilenet_v2")


register(
    Family(
        "parc_mobilenet_v2",
        {"parc_mobilenet_v2": ParCMobileNetV2},
        torch_names,
        torch_unused=torch_unused,
        guess=_guess,
        unseen_by_thop="average_pool",
        member=Call("parc_mobilenet_v2"),
    )
)
