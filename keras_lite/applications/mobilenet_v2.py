"""MobileNetV2, as the BSConv library and as torchvision have it.

Sources: Sandler et al., "MobileNetV2", CVPR 2018 (arXiv:1801.04381); Haase and Amthor, "Rethinking Depthwise Separable
Convolutions", CVPR 2020 (arXiv:2003.13549).
"""

import functools
import os
from collections.abc import Iterator, Mapping

import keras

from keras_lite.applications import blocks, bsconv_library, common, inverted_residuals, torchvision_form
from keras_lite.applications.imagenet_weights import decode_predictions
from keras_lite.applications.inverted_residuals import Network, Stage
from keras_lite.applications.torchvision_form import preprocess_input, torch_convolutions
from keras_lite.checkpoints.registry import Call, Family, Names, register

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

# Output channels, channels between, stride for large images, stride for small ones.
STAGES = (
    Stage((16,), (32,), strides=1, small_strides=1),
    Stage((24, 24), (96, 144), strides=2, small_strides=1),
    Stage((32, 32, 32), (144, 192, 192), strides=2, small_strides=2),
    Stage((64, 64, 64, 64, 96, 96, 96), (192, 384, 384, 384, 384, 576, 576), strides=2, small_strides=2),
    Stage((160, 160, 160, 320), (576, 960, 960, 960), strides=2, small_strides=2),
)


def MobileNetV2(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenet_v2",
    *,
    variant: str = "bsconv",
    alpha: float = 1.0,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    load_classifier: bool = True,
) -> keras.Model:
    """Return MobileNetV2: 3,506,158 parameters with 1000 classes.

    A 3x3 convolution; seventeen inverted residual units (1x1 convolution, depthwise 3x3 convolution, 1x1 convolution
    without activation), of which the first expands too, unlike the paper's; a 1x1 convolution; global average pooling;
    a dense layer. ReLU6 throughout. A batch norm of the image comes first, so images go through
    `keras_lite.applications.mobilenet_v2.preprocess_input`, which gives [0, 1].

    `variant="torchvision"` is the network whose ImageNet weights torchvision publishes: 3,504,872 parameters with
    1000 classes. Its first unit does not expand, widths are rounded to multiples of 8, a dropout of 0.2 comes before
    the classifier, and there is no batch norm of the image, so images go through
    `mobilenet_v2.preprocess_input(images, variant="torchvision")`.

    Source: Sandler et al., "MobileNetV2", CVPR 2018 (arXiv:1801.04381).

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
        variant: `"bsconv"`, the BSConv library's form, or `"torchvision"`.
        alpha: Width multiplier; each width is then rounded down; the last convolution's stays when below 1.
        small_images: Whether the stem and the second stage keep the resolution, as published for 32 x 32 pixels.
            `None`: for images below 64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling` in place of each unit of stride 2).
        convolution: `"standard"`, or `"bsconv_s"`: the same network, in which the last convolution of each unit has a
            penalty (`keras_lite.layers.OrthonormalRegularizer`).
        convolution_options: With `"bsconv_s"`: `{"alpha": the penalty's weight}`, by default 0.1.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.MobileNetV2(input_shape=(32, 32, 3), classes=100, alpha=0.25).output_shape
    (None, 100)
    """
    inputs = common.image_input(
        "MobileNetV2",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    small = blocks.are_small(inputs, small_images)
    network = Network(
        "MobileNetV2",
        alpha,
        small,
        stem=stem,
        downsampling=downsampling,
        convolution=convolution,
        convolution_options=convolution_options,
        variant=variant,
    )
    x = network.features(inputs, 32, "relu6", STAGES)
    x = network.blocks.convolution(x, network.last_width(1280), 1, name="final", activation="relu6")
    classify = bsconv_library.classify
    if variant == "torchvision":
        initializers = {"kernel_initializer": keras.initializers.RandomNormal(0.0, 0.01), "bias_initializer": "zeros"}
        classify = functools.partial(common.classify, dropout_rate=0.2, **initializers)
    x = classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    if torchvision_form.is_torchvision(layers):
        return _torchvision_names(layers)
    final = blocks.pair_torch_names("final", "backbone.final_conv", ("conv", "bn"))
    return inverted_residuals.torch_names(layers) | final


def _torchvision_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    names = blocks.pair_torch_names("stem", "features.0", ("0", "1"))
    if "stem_fuse" in layers:
        names |= blocks.hybrid_stem_torch_names("features.0", ("0", "1"), ("0", "1"))
    units = [f"stage{n}_unit{unit + 1}" for n, stage in enumerate(STAGES, 1) for unit in range(len(stage.filters))]
    for index, unit in enumerate(units, start=1):
        module = f"features.{index}.conv"
        names |= blocks.attention_torch_names(f"{unit}_downsampling", module, layers)
        depthwise = 0
        if f"{unit}_expand_convolution" in layers:
            names |= blocks.pair_torch_names(f"{unit}_expand", f"{module}.0", ("0", "1"))
            depthwise = 1
        names |= blocks.pair_torch_names(f"{unit}_depthwise", f"{module}.{depthwise}", ("0", "1"))
        names |= blocks.pair_torch_names(f"{unit}_project", module, (str(depthwise + 1), str(depthwise + 2)))
    names |= blocks.pair_torch_names("final", f"features.{len(units) + 1}", ("0", "1"))
    return names | {"predictions": "classifier.1"}


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("features.1.conv.0.0.weight"):
        for options in blocks.likely_widths(names.filters("features.0.0.weight"), 32):
            yield Call("mobilenet_v2", {"variant": "torchvision"} | options)
    elif inverted_residuals.is_likely(names) and names.shape("final_conv.conv.weight"):
        for options in blocks.likely_widths(names.filters("init_conv.conv.weight"), 32):
            yield Call("mobilenet_v2", options)


register(
    Family(
        "mobilenet_v2",
        {"mobilenet_v2": MobileNetV2},
        torch_names,
        torch_convolutions,
        guess=_guess,
        member=Call("mobilenet_v2"),
    )
)
