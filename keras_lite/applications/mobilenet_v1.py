"""MobileNetV1, as the BSConv library has it.

Sources: Howard et al., "MobileNets", 2017 (arXiv:1704.04861); Haase and Amthor, "Rethinking Depthwise Separable
Convolutions", CVPR 2020 (arXiv:2003.13549).
"""

import os
from collections.abc import Iterator, Mapping

import keras

from keras_lite.applications import blocks, bsconv_library, common
from keras_lite.applications.bsconv_library import TORCH_CONVOLUTIONS, preprocess_input
from keras_lite.applications.inverted_residuals import scaled
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.layers import BSConvU, PaddingFreeDownsampling

__all__ = ["MobileNetV1", "preprocess_input"]

STEM_FILTERS = 32
STAGE_FILTERS = ((64,), (128, 128), (256, 256), (512, 512, 512, 512, 512, 512), (1024, 1024))
STRIDES = (1, 2, 2, 2, 2)
SMALL_STRIDES = (1, 1, 2, 2, 2)

_BLOCKS = blocks.Blocks(bsconv_library.INITIALIZATION)
_UNIT, _MODULE = r"stage(?P<stage>\d)_unit(?P<unit>\d)", "backbone.stage{stage}.unit{unit}"
_TORCH_NAMES = {
    "data_batch_norm": "backbone.data_bn",
    **blocks.pair_torch_names("stem", "backbone.init_conv", ("conv", "bn")),
    **blocks.pair_torch_names(f"{_UNIT}_depthwise", f"{_MODULE}.conv_dw", ("conv", "bn")),
    **blocks.pair_torch_names(f"{_UNIT}_pointwise", f"{_MODULE}.conv_pw", ("conv", "bn")),
    **bsconv_library.torch_names_of_convolution(f"{_UNIT}_convolution", f"{_MODULE}.0"),
    f"{_UNIT}_batch_norm": f"{_MODULE}.1",
    "predictions": "classifier.conv",
}


def MobileNetV1(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenet_v1",
    *,
    alpha: float = 1.0,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    load_classifier: bool = True,
) -> keras.Model:
    """Return MobileNetV1: 4,231,982 parameters with 1000 classes.

    A 3x3 convolution; thirteen pairs of a depthwise and a 1x1 convolution, each with batch norm and ReLU; global
    average pooling; a dense layer. A batch norm of the image comes first, so images go through
    `keras_lite.applications.mobilenet_v1.preprocess_input`, which gives [0, 1].

    Source: Howard et al., "MobileNets", 2017 (arXiv:1704.04861).

    Args:
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (224, 224, 3), or that of kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model.
        alpha: Width multiplier; each width is then rounded down.
        small_images: Whether the stem and the second stage keep the resolution, as published for 32 x 32 pixels.
            `None`: for images below 64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling` in place of each unit of stride 2).
        convolution: `"standard"`, or `"bsconv_u"`: each pair becomes a `keras_lite.layers.BSConvU`, batch norm and
            ReLU.
        convolution_options: With `"bsconv_u"`: more arguments of that layer.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.MobileNetV1(input_shape=(32, 32, 3), classes=100, alpha=0.25).count_params()
    244256
    """
    why = "a pair of a depthwise and a 1x1 convolution has no subspace of few channels"
    bsconv_library.check_options(convolution, convolution_options, ("standard", "bsconv_u"), why)
    blocks.check_options(stem, downsampling)
    inputs = common.image_input(
        "MobileNetV1",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    small = blocks.are_small(inputs, small_images)
    strides = SMALL_STRIDES if small else STRIDES
    stem_strides = 1 if small else 2
    blocks.check_size("MobileNetV1", inputs, stem_strides, strides=list(strides), downsampling=downsampling)
    x = bsconv_library.data_batch_norm(inputs)
    x = _BLOCKS.stem(x, scaled(STEM_FILTERS, alpha), stem, activation="relu", strides=stem_strides)
    for stage, stage_filters in enumerate(STAGE_FILTERS, start=1):
        for index, filters in enumerate(stage_filters, start=1):
            unit, filters = f"stage{stage}_unit{index}", scaled(filters, alpha)
            unit_strides = strides[stage - 1] if index == 1 else 1
            if unit_strides == 2 and downsampling == "attention":
                attention = strides[stage - 1 :].count(2) <= 2
                x = _BLOCKS.attention_downsampling(x, filters, attention, f"{unit}_downsampling")
            elif convolution == "bsconv_u":
                x = _blueprint_unit(
                    x, filters, unit_strides, downsampling=downsampling, options=convolution_options or {}, name=unit
                )
            else:
                x = _unit(x, filters, unit_strides, downsampling=downsampling, name=unit)
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def _unit(x, filters: int, strides: int, *, downsampling: str, name: str):
    if strides == 2 and downsampling == "padding_free":
        x = _BLOCKS.padding_free(x, 3, f"{name}_depthwise", "relu")
    else:
        x = _BLOCKS.depthwise(x, 3, f"{name}_depthwise", activation="relu", strides=strides)
    return _BLOCKS.convolution(x, filters, 1, name=f"{name}_pointwise", activation="relu")


def _blueprint_unit(x, filters: int, strides: int, *, downsampling: str, options: dict, name: str):
    if strides == 2 and downsampling == "padding_free":
        # As in the residual networks: the pool is projected to as many channels. The published code leaves it out.
        return PaddingFreeDownsampling(
            filters,
            convolution="bsconv_u",
            convolution_options=options,
            initialization=bsconv_library.INITIALIZATION,
            name=name,
        )(x)
    x = BSConvU(filters, 3, strides, padding=1, name=f"{name}_convolution", **options)(x)
    return _BLOCKS.finish(x, name, "relu")


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    if "stem_fuse" not in layers:
        return _TORCH_NAMES
    pair = ("conv", "bn")
    return _TORCH_NAMES | blocks.hybrid_stem_torch_names("backbone.init_conv", pair, pair)


def _guess(names: Names) -> Iterator[Call]:
    if bsconv_library.has_separable_units(names):
        for options in blocks.likely_widths(names.filters("init_conv.conv.weight"), 32):
            yield Call("mobilenet_v1", options)


register(
    Family(
        "mobilenet_v1",
        {"mobilenet_v1": MobileNetV1},
        torch_names,
        TORCH_CONVOLUTIONS,
        guess=_guess,
        member=Call("mobilenet_v1"),
    )
)
