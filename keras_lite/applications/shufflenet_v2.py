"""ShuffleNetV2, which works on half of the channels at a time and shuffles them.

Source: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018
(arXiv:1807.11164).
"""

import os
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_lite.applications import blocks, carnet, common, imagenet_weights
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.errors import InputError
from keras_lite.layers import ChannelInterleave, ChannelSplit

# Width multiplier -> channels of the three stages and of the last convolution.
WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
STEM_FILTERS = 24
REPEATS = (4, 8, 4)

_BLOCKS = blocks.Blocks()

preprocess_input = carnet.preprocess_input
decode_predictions = imagenet_weights.decode_predictions


def ShuffleNetV2(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "shufflenet_v2",
    *,
    alpha: float = 1.0,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    load_classifier: bool = True,
) -> keras.Model:
    """Return ShuffleNetV2: x1.0 has 2,278,604 parameters with 1000 classes.

    Each width is torchvision's network, whose ImageNet weights torchvision publishes (see
    `keras_lite.applications.imagenet_weights`). Images go through
    `keras_lite.applications.shufflenet_v2.preprocess_input` first (the tables on CIFAR-100 have that data set's mean
    and standard deviation instead). The hybrid stem takes the place of the convolution and of the max-pool behind it.
    With `downsampling="attention"` EfficientFormerV2's downsampling takes the place of the first unit of each stage;
    the last of these has attention. PyTorch's default initialization; batch norm has epsilon 1e-5 and momentum 0.9.

    Source: Ma et al., "ShuffleNet V2", ECCV 2018 (arXiv:1807.11164).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, `"imagenet"` for the published ones, the name of kept ones
            (`keras_lite.applications.list_weights`), or the path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or
            `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)` of known height and width. Default: (224, 224, 3), or that of
            kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        alpha: Width: 0.5, 1.0, 1.5 or 2.0.
        small_images: Whether the stem keeps the resolution, as published for 32 x 32 pixels. `None`: for images below
            64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling`).
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.ShuffleNetV2(input_shape=(32, 32, 3), classes=100).count_params()
    1372284
    """
    inputs = common.image_input(
        "ShuffleNetV2",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    blocks.require_known_size("ShuffleNetV2", inputs)
    if alpha not in WIDTHS:
        raise InputError(f"Expected alpha to be one of {tuple(WIDTHS)}, received {alpha!r}.")
    x = common.classify(
        _features(inputs, WIDTHS[alpha], blocks.are_small(inputs, small_images), stem=stem, downsampling=downsampling),
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def _features(x, widths: tuple, small: bool, *, stem: str, downsampling: str):
    """Return the last feature map."""
    blocks.check_options(stem, downsampling)
    strides = 1 if small else 2
    blocks.check_size("ShuffleNetV2", x, strides**2, strides=[2] * len(REPEATS), downsampling=downsampling)
    x = _BLOCKS.stem(x, STEM_FILTERS, stem, activation="relu", strides=strides, branch_strides=strides)
    if stem == "plain":
        # On small images the pool stays, with a stride of 1. Zeros are as good as minus infinity behind a ReLU.
        if not small:
            x = keras.layers.ZeroPadding2D(1, name="stem_pool_padding")(x)
        padding = "same" if small else "valid"
        x = keras.layers.MaxPooling2D(3, strides, padding=padding, name="stem_pool")(x)
    *stages, last = widths
    for index, (filters, repeats) in enumerate(zip(stages, REPEATS, strict=True)):
        stage = f"stage{index + 2}"
        if downsampling == "attention":
            attention = index == len(stages) - 1
            x = _BLOCKS.attention_downsampling(x, filters, attention, f"{stage}_block1_downsampling")
        else:
            x = _strided_unit(x, filters, downsampling, f"{stage}_block1")
        for block in range(2, repeats + 1):
            x = _unit(x, f"{stage}_block{block}")
    return _BLOCKS.convolution(x, last, 1, name="last", activation="relu")


def _strided_unit(x, filters: int, downsampling: str, name: str):
    left = _strided_depthwise(x, downsampling, f"{name}_left_depthwise")
    left = _BLOCKS.convolution(left, filters // 2, 1, name=f"{name}_left_project", activation="relu")
    right = _BLOCKS.convolution(x, filters // 2, 1, name=f"{name}_right_expand", activation="relu")
    right = _strided_depthwise(right, downsampling, f"{name}_right_depthwise")
    right = _BLOCKS.convolution(right, filters // 2, 1, name=f"{name}_right_project", activation="relu")
    return ChannelInterleave(name=f"{name}_join")([left, right])


def _strided_depthwise(x, downsampling: str, name: str):
    if downsampling == "padding_free":
        return _BLOCKS.padding_free(x, 3, name, None, pool_added_after="convolution")
    return _BLOCKS.depthwise(x, 3, name, strides=2)


def _unit(x, name: str):
    half = x.shape[-1] // 2
    left, right = ChannelSplit(name=f"{name}_split")(x)
    right = _BLOCKS.convolution(right, half, 1, name=f"{name}_right_expand", activation="relu")
    right = _BLOCKS.depthwise(right, 3, f"{name}_right_depthwise")
    right = _BLOCKS.convolution(right, half, 1, name=f"{name}_right_project", activation="relu")
    return ChannelInterleave(name=f"{name}_join")([left, right])


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    # The published code with another stem or downsampling wraps each depthwise convolution.
    padding_free = blocks.is_padding_free(layers)
    wrapped = ".dwconv" if "stem_fuse" in layers or padding_free else ""
    if "stem_fuse" in layers:
        names = blocks.hybrid_stem_torch_names("conv_stem", ("0", "1"), ("0", "1"))
    else:
        names = blocks.pair_torch_names("stem", "conv_stem" if padding_free else "conv1", ("0", "1"))
    names |= {"predictions": "fc", **blocks.pair_torch_names("last", "conv5", ("0", "1"))}
    for stage, repeats in enumerate(REPEATS, start=2):
        for block in range(repeats):
            name, module = f"stage{stage}_block{block + 1}", f"stage{stage}.{block}"
            names |= blocks.attention_torch_names(f"{name}_downsampling", module, layers)
            for part, branch, pair in (
                ("left_depthwise", "branch1", (f"0{wrapped}", "1")),
                ("left_project", "branch1", ("2", "3")),
                ("right_expand", "branch2", ("0", "1")),
                ("right_depthwise", "branch2", (f"3{wrapped}", "4")),
                ("right_project", "branch2", ("5", "6")),
            ):
                names |= blocks.pair_torch_names(f"{name}_{part}", f"{module}.{branch}", pair)
    return names


def torch_unused(layers: Mapping[str, keras.layers.Layer]) -> dict[str, np.ndarray]:
    """Return what the published network keeps and does not use: the attention's index buffers."""
    return blocks.attention_torch_unused(layers, torch_names(layers))


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("stage2.0.branch1.0.weight"):
        channels = 2 * names.filters("stage2.0.branch2.0.weight")
        alpha = next((alpha for alpha, widths in WIDTHS.items() if widths[0] == channels), 1.0)
        yield Call("shufflenet_v2", {} if alpha == 1.0 else {"alpha": alpha})


register(
    Family(
        "shufflenet_v2",
        {"shufflenet_v2": ShuffleNetV2},
        torch_names,
        torch_unused=torch_unused,
        guess=_guess,
        unseen_by_thop="average_pool",
        member=Call("shufflenet_v2"),
    )
)
