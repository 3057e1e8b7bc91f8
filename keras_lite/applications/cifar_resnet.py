"""ResNet, pre-activation ResNet and WideResNet for CIFAR-sized images, as the BSConv library has them.

The tables on CIFAR-100 (first set) are of these networks, plain and with hybrid stem and padding-free downsampling.

Sources: He et al., "Deep Residual Learning", CVPR 2016 (arXiv:1512.03385) and "Identity Mappings in Deep Residual
Networks", ECCV 2016 (arXiv:1603.05027); Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016
(arXiv:1605.07146); Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549).
"""

import os
from collections.abc import Iterator

import keras

from keras_lite.applications import bsconv_library, common, residual_units
from keras_lite.applications.bsconv_library import preprocess_input
from keras_lite.applications.residual_units import Units, torch_names
from keras_lite.applications.torchvision_form import torch_convolutions
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.errors import InputError

__all__ = ["CifarPreResNet", "CifarResNet", "WideResNet", "preprocess_input"]

STAGE_FILTERS = (16, 32, 64)


def CifarResNet(
    depth: int = 20,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    *,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    load_classifier: bool = True,
) -> keras.Model:
    """Return a ResNet of depth 6 n + 2: ResNet20 has 278,330 parameters with 100 classes.

    A 3x3 convolution; three stages of n units with 16, 32 and 64 filters; global average pooling; a dense layer. A
    batch norm of the image comes first, so images go through `cifar_resnet.preprocess_input`, which gives [0, 1].

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385).

    Args:
        depth: Number of layers, 6 n + 2; published are 20, 56, 110, 302 and 602.
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (32, 32, 3), or that of kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model. Default: the network's name with its depth.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`, whose first convolution is added to its end).
        downsampling: `"strided"`, or `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`).
        convolution: The 3x3 convolutions: `"standard"`, `"bsconv_u"` or `"bsconv_s"`
            (`keras_lite.layers.BSConvU`, `keras_lite.layers.BSConvS`).
        convolution_options: More arguments of these layers, for example `{"ratio": 1 / 8}`.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.CifarResNet(20, convolution="bsconv_u").count_params()
    48144
    """
    units = Units(convolution, convolution_options, downsampling)
    per_stage = _units_per_stage("CifarResNet", depth, 2)
    inputs, x = _begin("CifarResNet", input_shape, input_tensor, weights=weights, downsampling=downsampling)
    x = units.stem(x, stem, pre_activation=False)
    x = _stages(x, units.post_activation, STAGE_FILTERS, per_stage)
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name or f"cifar_resnet{depth}", weights=weights, load_classifier=load_classifier)


def CifarPreResNet(
    depth: int = 20,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    *,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    shortcut: str = "convolution",
    load_classifier: bool = True,
) -> keras.Model:
    """Return a pre-activation ResNet of depth 6 n + 2: PreResNet20 has 278,138 parameters with 100 classes.

    Like `CifarResNet`, with batch norm and ReLU before the convolutions. Where the shape changes, the shortcut is a
    bare 1x1 convolution of the unit's first activation.

    Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027).

    Args:
        depth: Number of layers, 6 n + 2.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`, pre-activation, its first convolution added to
            its end).
        shortcut: As in `WideResNet`.

    All other arguments are those of `CifarResNet`.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.CifarPreResNet(20).output_shape
    (None, 100)
    """
    units = Units(convolution, convolution_options, downsampling, shortcut)
    per_stage = _units_per_stage("CifarPreResNet", depth, 2)
    inputs, x = _begin("CifarPreResNet", input_shape, input_tensor, weights=weights, downsampling=downsampling)
    x = units.stem(x, stem, pre_activation=True)
    x = residual_units.final_activation(_stages(x, units.pre_activation, STAGE_FILTERS, per_stage))
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name or f"cifar_preresnet{depth}", weights=weights, load_classifier=load_classifier)


def WideResNet(
    depth: int = 40,
    width: int = 3,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 100,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    *,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    shortcut: str = "convolution",
    load_classifier: bool = True,
) -> keras.Model:
    """Return a WideResNet of depth 6 n + 4 and any width: WRN-40-3 has 5,055,930 parameters with 100 classes.

    A 3x3 convolution to 16 channels; three stages of n pre-activation units with 16, 32 and 64 times `width` filters;
    global average pooling; a dense layer. A batch norm of the image comes first, so images go through
    `cifar_resnet.preprocess_input`, which gives [0, 1].

    Source: Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016 (arXiv:1605.07146).

    Args:
        depth: Number of layers, 6 n + 4; published are 16, 28 and 40.
        width: Factor of the stages' filters.
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, the name of kept ones (`keras_lite.applications.list_weights`), or the
            path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (32, 32, 3), or that of kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model. Default: the network's name with its depth and width.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`, pre-activation, its first convolution added to
            its end).
        downsampling: `"strided"`, or `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`).
        convolution: The 3x3 convolutions: `"standard"`, `"bsconv_u"` or `"bsconv_s"`
            (`keras_lite.layers.BSConvU`, `keras_lite.layers.BSConvS`).
        convolution_options: More arguments of these layers, for example `{"ratio": 1 / 8}`.
        shortcut: With padding-free downsampling the shortcut of a unit of stride 2: `"convolution"` (a 3x3 one beside
            a max-pool, like the unit's first; published for WRN-40-3) or `"depthwise"` (depthwise and 1x1
            convolutions, each with batch norm; published for WRN-40-8 BSConv-U).
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.WideResNet(16, 2).output_shape
    (None, 100)
    """
    units = Units(convolution, convolution_options, downsampling, shortcut)
    per_stage = _units_per_stage("WideResNet", depth, 4)
    if not isinstance(width, int) or width < 1:
        raise InputError(f"Expected width to be a positive integer, received {width!r}.")
    inputs, x = _begin("WideResNet", input_shape, input_tensor, weights=weights, downsampling=downsampling)
    x = units.stem(x, stem, pre_activation=True)
    stage_filters = [width * filters for filters in STAGE_FILTERS]
    x = residual_units.final_activation(_stages(x, units.pre_activation, stage_filters, per_stage))
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(
        inputs, x, name or f"wide_resnet{depth}_{width}", weights=weights, load_classifier=load_classifier
    )


def _units_per_stage(model_name: str, depth: int, others: int) -> int:
    """Return n of depth = 6 n + others."""
    if not isinstance(depth, int) or depth < 6 + others or (depth - others) % 6:
        raise InputError(
            f"Expected depth to be 6 n + {others} for {model_name} ({6 + others}, {12 + others}, {18 + others}, ...), "
            f"received {depth!r}."
        )
    return (depth - others) // 6


def _begin(model_name: str, input_shape, input_tensor, *, weights, downsampling: str) -> tuple:
    minimum, why = 1, "there must be a pixel"
    if downsampling == "padding_free":
        minimum, why = 7, "its downsampling is not padded, so the last would get nothing"
    inputs = common.image_input(
        model_name, input_shape, input_tensor, weights=weights, default_size=32, minimum_size=minimum, why=why
    )
    return inputs, bsconv_library.data_batch_norm(inputs)


def _stages(x, unit, stage_filters, units_per_stage: int):
    for stage, filters in enumerate(stage_filters, start=1):
        for index in range(1, units_per_stage + 1):
            x = unit(x, filters, 2 if stage > 1 and index == 1 else 1, f"stage{stage}_unit{index}")
    return x


def _guess(names: Names) -> Iterator[Call]:
    guessed = residual_units.guess_options(names)
    if guessed is None or guessed[0][3]:
        return
    units, filters, options = guessed
    if filters > STAGE_FILTERS[0]:
        yield Call("wide_resnet", {"depth": 6 * units[0] + 4, "width": filters // STAGE_FILTERS[0]} | options)
        return
    for downsampling in ({}, {"downsampling": "padding_free"}):
        for network in ("cifar_resnet", "cifar_preresnet"):
            yield Call(network, {"depth": 6 * units[0] + 2} | options | downsampling)


register(
    Family(
        "cifar_resnet",
        {"cifar_preresnet": CifarPreResNet, "cifar_resnet": CifarResNet, "wide_resnet": WideResNet},
        torch_names,
        torch_convolutions,
        guess=_guess,
        member=Call("cifar_resnet", {"depth": 8}),
    )
)
