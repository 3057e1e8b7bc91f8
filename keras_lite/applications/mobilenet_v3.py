"""MobileNetV3 as torchvision has it, and as the tables on CIFAR-100 (second set) and VegFru292 do.

The BSConv library's MobileNetV3 is another network: it always expands, starts with a batch norm of the image, and
rounds nothing to multiples of 8.

Source: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244).
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_lite.applications import blocks, carnet, common, imagenet_weights
from keras_lite.applications.blocks import rounded
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.errors import InputError

# Kernel, expanded, out, squeeze-excite, activation, stride for large images, stride for small ones.
LARGE = (
    (3, 16, 16, False, "relu", 1, 1),
    (3, 64, 24, False, "relu", 2, 1),
    (3, 72, 24, False, "relu", 1, 1),
    (5, 72, 40, True, "relu", 2, 2),
    (5, 120, 40, True, "relu", 1, 1),
    (5, 120, 40, True, "relu", 1, 1),
    (3, 240, 80, False, "hard_silu", 2, 2),
    (3, 200, 80, False, "hard_silu", 1, 1),
    (3, 184, 80, False, "hard_silu", 1, 1),
    (3, 184, 80, False, "hard_silu", 1, 1),
    (3, 480, 112, True, "hard_silu", 1, 1),
    (3, 672, 112, True, "hard_silu", 1, 1),
    (5, 672, 160, True, "hard_silu", 2, 2),
    (5, 960, 160, True, "hard_silu", 1, 1),
    (5, 960, 160, True, "hard_silu", 1, 1),
)
SMALL = (
    (3, 16, 16, True, "relu", 2, 2),
    (3, 72, 24, False, "relu", 2, 2),
    (3, 88, 24, False, "relu", 1, 1),
    (5, 96, 40, True, "hard_silu", 2, 2),
    (5, 240, 40, True, "hard_silu", 1, 1),
    (5, 240, 40, True, "hard_silu", 1, 1),
    (5, 120, 48, True, "hard_silu", 1, 1),
    (5, 144, 48, True, "hard_silu", 1, 1),
    (5, 288, 96, True, "hard_silu", 2, 2),
    (5, 576, 96, True, "hard_silu", 1, 1),
    (5, 576, 96, True, "hard_silu", 1, 1),
)

preprocess_input = carnet.preprocess_input
decode_predictions = imagenet_weights.decode_predictions


def MobileNetV3Large(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenet_v3_large",
    *,
    alpha: float = 1.0,
    reduced_tail: bool = False,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    dropout_rate: float = 0.2,
    activation: str = "hard_silu",
    gate: str | None = "hard_sigmoid",
    load_classifier: bool = True,
) -> keras.Model:
    """Return MobileNetV3-Large: 5,483,032 parameters with 1000 classes.

    Without arguments it is torchvision's network, whose ImageNet weights torchvision publishes (see
    `keras_lite.applications.imagenet_weights`). Images go through
    `keras_lite.applications.mobilenet_v3.preprocess_input` first (the tables on CIFAR-100 have that data set's mean
    and standard deviation instead). Batch norm has epsilon 1e-3 and momentum 0.99, but 1e-5 and 0.9 in the hybrid stem.
    With `downsampling="attention"` EfficientFormerV2's downsampling takes the place of each block of stride 2; the
    last two of these have attention.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, `"imagenet"` for the published ones, the name of kept ones
            (`keras_lite.applications.list_weights`), or the path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or
            `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (224, 224, 3), or that of kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        alpha: Width multiplier; each width is then rounded to a multiple of 8.
        reduced_tail: Whether the last three blocks and the classifier's hidden layer have half their width.
        small_images: Whether the stem and the second block keep the resolution, as published for 32 x 32 pixels.
            `None`: for images below 64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling`).
        dropout_rate: Of the classifier's hidden layer.
        activation: What stands where the published network has hard-swish, `"hard_silu"`: `"relu6"` or `"relu"` take
            less time.
        gate: Of the channel attention: `"hard_sigmoid"` as published, `"sigmoid"`, or `None` for no attention, which is
            faster.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.MobileNetV3Large(input_shape=(32, 32, 3), classes=100).count_params()
    4354532
    """
    inputs = common.image_input(
        "MobileNetV3Large",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    network = _Network(
        inputs, alpha, reduced_tail, stem=stem, downsampling=downsampling, blocks=_blocks(activation, gate)
    )
    x = network.features(LARGE, blocks.are_small(inputs, small_images))
    x = common.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        to_vector=lambda features: network.hidden_layer(features, 1280),
        dropout_rate=dropout_rate,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01),
        bias_initializer="zeros",
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def MobileNetV3Small(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenet_v3_small",
    *,
    alpha: float = 1.0,
    reduced_tail: bool = False,
    stem: str = "plain",
    downsampling: str = "strided",
    dropout_rate: float = 0.2,
    activation: str = "hard_silu",
    gate: str | None = "hard_sigmoid",
    load_classifier: bool = True,
) -> keras.Model:
    """Return torchvision's MobileNetV3-Small: 2,542,856 parameters with 1000 classes.

    Like `MobileNetV3Large`, with eleven blocks. It takes the same arguments except `small_images`, as no form for small
    images is published.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244).

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.MobileNetV3Small(include_top=False).output_shape
    (None, 7, 7, 576)
    """
    inputs = common.image_input(
        "MobileNetV3Small",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    network = _Network(
        inputs, alpha, reduced_tail, stem=stem, downsampling=downsampling, blocks=_blocks(activation, gate)
    )
    x = network.features(SMALL, False)
    x = common.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        to_vector=lambda features: network.hidden_layer(features, 1024),
        dropout_rate=dropout_rate,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01),
        bias_initializer="zeros",
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def _blocks(activation: str, gate: str | None) -> blocks.Blocks:
    return blocks.Blocks("kaiming_normal", 1e-3, 0.99, hard_swish=activation, gate=gate)


@dataclasses.dataclass(frozen=True)
class _Network:
    """What the rows of both tables become."""

    inputs: object
    alpha: float
    reduced_tail: bool
    _: dataclasses.KW_ONLY
    stem: str
    downsampling: str
    blocks: blocks.Blocks

    def width(self, channels: int, halved: bool = False) -> int:
        return rounded(channels // (2 if halved else 1) * self.alpha)

    def features(self, rows: tuple, small: bool):
        """Return the last feature map."""
        blocks.check_options(self.stem, self.downsampling)
        if not self.alpha > 0:
            raise InputError(f"Expected alpha to be above 0, received {self.alpha!r}.")
        stem_strides = 1 if small else 2
        strides = [row[-1] if small else row[-2] for row in rows]
        blocks.check_size("MobileNetV3", self.inputs, stem_strides, strides=strides, downsampling=self.downsampling)
        x = self.blocks.stem(self.inputs, self.width(16), self.stem, activation="hard_silu", strides=stem_strides)
        for index, row in enumerate(rows):
            from_end = len(rows) - index
            block = f"block{index + 1}"
            if strides[index] == 2 and self.downsampling == "attention":
                filters = self.width(row[2], self.reduced_tail and from_end <= 3)
                attention = strides[index:].count(2) <= 2
                x = self.blocks.attention_downsampling(x, filters, attention, f"{block}_downsampling")
            else:
                x = self.block(x, row, strides[index], from_end=from_end, name=block)
        return self.blocks.convolution(x, 6 * x.shape[-1], 1, name="last", activation="hard_silu")

    def block(self, x, row: tuple, strides: int, *, from_end: int, name: str):
        kernel_size, expanded, filters, squeeze_excite, activation, *_ = row
        filters = self.width(filters, self.reduced_tail and from_end <= 3)
        expanded = self.width(expanded, self.reduced_tail and from_end <= 2)
        y = x
        if expanded != x.shape[-1]:
            y = self.blocks.convolution(y, expanded, 1, name=f"{name}_expand", activation=activation)
        if strides == 2 and self.downsampling == "padding_free":
            # The pool is 3 x 3 even beside a 5 x 5 convolution.
            y = self.blocks.padding_free(y, kernel_size, f"{name}_depthwise", activation)
        else:
            y = self.blocks.depthwise(y, kernel_size, f"{name}_depthwise", activation=activation, strides=strides)
        if squeeze_excite:
            y = self.blocks.squeeze_excite(y, rounded(expanded // 4), f"{name}_attention")
        y = self.blocks.convolution(y, filters, 1, name=f"{name}_project")
        return blocks.add(y, x, name) if strides == 1 and filters == x.shape[-1] else y

    def hidden_layer(self, features, width: int):
        """Return the vector that is classified."""
        x = keras.layers.Dense(
            self.width(width, self.reduced_tail),
            kernel_initializer=keras.initializers.RandomNormal(0.0, 0.01),
            name="hidden",
        )(common.average_pool(features))
        return self.blocks.activate(x, "hard_silu", "hidden_activation")


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    # The published code names a convolution and its batch norm in two ways.
    pair = ("conv", "norm") if "stem_fuse" in layers or blocks.is_padding_free(layers) else ("0", "1")
    last = 1 + sum(name.endswith(("project_convolution", "downsampling_convolution")) for name in layers)
    names = {"hidden": "classifier.0", "predictions": "classifier.3"}
    for layer, module in (("stem", "features.0"), ("last", f"features.{last}")):
        names |= blocks.pair_torch_names(layer, module, pair)
    if "stem_fuse" in layers:
        first = ("0", "1") if blocks.has_large_hybrid_stem(layers) else pair
        names |= blocks.hybrid_stem_torch_names("features.0", first, pair)
    for block in range(1, last):
        names |= blocks.attention_torch_names(f"block{block}_downsampling", f"features.{block}.block.0.0", layers)
        parts = [p for p in ("expand", "depthwise", "attention", "project") if _has(layers, f"block{block}_{p}")]
        for number, part in enumerate(parts):
            module = f"features.{block}.block.{number}"
            names |= blocks.pair_torch_names(f"block{block}_{part}", module, pair)
            names[f"block{block}_{part}_squeeze"] = f"{module}.fc1"
            names[f"block{block}_{part}_excite"] = f"{module}.fc2"
    return names


def _has(layers: Mapping[str, keras.layers.Layer], part: str) -> bool:
    return f"{part}_convolution" in layers or f"{part}_squeeze" in layers


def torch_unused(layers: Mapping[str, keras.layers.Layer]) -> dict[str, np.ndarray]:
    """Return what the published network keeps and does not use: the attention's index buffers."""
    return blocks.attention_torch_unused(layers, torch_names(layers))


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("features.1.block.0.0.weight"):
        size = "large" if names.count(r"features\.(\d+)\.") > 13 else "small"
        for options in ({}, {"reduced_tail": True}):
            yield Call(f"mobilenet_v3_{size}", options)


register(
    Family(
        "mobilenet_v3",
        {"mobilenet_v3_large": MobileNetV3Large, "mobilenet_v3_small": MobileNetV3Small},
        torch_names,
        torch_unused=torch_unused,
        guess=_guess,
        unseen_by_thop=r"block\d+_attention_pool",
        member=Call("mobilenet_v3_small", {"input_shape": (64, 64, 3)}),
    )
)
