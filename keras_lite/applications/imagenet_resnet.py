"""Residual networks for ImageNet-sized images: ResNet and pre-activation ResNet.

Both as the BSConv library has them, and ResNet as torchvision has it too.

Sources: He et al., "Deep Residual Learning", CVPR 2016 (arXiv:1512.03385) and "Identity Mappings in Deep Residual
Networks", ECCV 2016 (arXiv:1603.05027); Haase and Amthor, "Rethinking Depthwise Separable Convolutions", CVPR 2020
(arXiv:2003.13549).
"""

import os
from collections.abc import Iterator

import keras

from keras_lite.applications import blocks, bsconv_library, common, residual_units, torchvision_form
from keras_lite.applications.imagenet_weights import decode_predictions
from keras_lite.applications.residual_units import Units, torch_names
from keras_lite.applications.torchvision_form import preprocess_input, torch_convolutions
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.errors import InputError

__all__ = ["ImageNetPreResNet", "ImageNetResNet", "decode_predictions", "preprocess_input"]

STAGE_FILTERS = (64, 128, 256, 512)

# Depth -> units of each stage.
UNITS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    26: (3, 3, 3, 3),
    34: (3, 4, 6, 3),
    68: (3, 4, 23, 3),
    102: (3, 8, 36, 3),
}


def ImageNetResNet(
    depth: int = 18,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    *,
    variant: str = "bsconv",
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    load_classifier: bool = True,
) -> keras.Model:
    """Return a ResNet of basic units, of depth 10 to 102: ResNet10 has 4,967,358 parameters with 120 classes.

    A 7x7 convolution of stride 2 and a max-pool of stride 2; four stages of units with 64, 128, 256 and 512 filters;
    global average pooling; a dense layer. A batch norm of the image comes first, so images go through
    `imagenet_resnet.preprocess_input`, which gives [0, 1].

    `variant="torchvision"` is the network whose ImageNet weights torchvision publishes (depths 18 and 34: 11,689,512
    and 21,797,672 parameters with 1000 classes). It has no batch norm of the image, so images go through
    `imagenet_resnet.preprocess_input(images, variant="torchvision")`.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385).

    Args:
        depth: Number of layers: 10, 18, 26, 34, 68 or 102.
        include_top: Whether the classifier is part of the model.
        weights: `None` for random weights, `"imagenet"` for the published ones, the name of kept ones
            (`keras_lite.applications.list_weights`), or the path of a `.weights.h5`, `.keras`, `.pt`, `.pth` or
            `.safetensors` file.
        input_tensor: A Keras tensor to build upon, instead of `input_shape`.
        input_shape: `(height, width, channels)`. Default: (224, 224, 3), or that of kept weights.
        pooling: Without top: `None` for the feature map, `"avg"` or `"max"` for a vector.
        classes: Number of classes.
        classifier_activation: Activation of the classifier; `None` gives logits.
        name: Name of the model. Default: the network's name with its depth.
        variant: `"bsconv"`, the BSConv library's form, or `"torchvision"`.
        stem: `"plain"`; the hybrid stem is refused.
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

    >>> keras_lite.applications.ImageNetResNet(10, classes=120).output_shape
    (None, 120)
    """
    torchvision_form.check(variant)
    initialization = torchvision_form.INITIALIZATIONS[variant]
    units = Units(convolution, convolution_options, downsampling, initialization=initialization)
    inputs, x = _begin(
        "ImageNetResNet",
        depth,
        units,
        stem=stem,
        input_shape=input_shape,
        input_tensor=input_tensor,
        weights=weights,
        variant=variant,
    )
    x = _stages(x, units.post_activation, UNITS[depth])
    classify = common.classify if variant == "torchvision" else bsconv_library.classify
    x = classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(inputs, x, name or f"imagenet_resnet{depth}", weights=weights, load_classifier=load_classifier)


def ImageNetPreResNet(
    depth: int = 18,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
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
    """Return a pre-activation ResNet of basic units, of depth 10, 18, 26, 34, 68 or 102.

    Like `ImageNetResNet`, with batch norm and ReLU before the units' convolutions and once more behind the last.

    Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027).

    Args:
        shortcut: As in `keras_lite.applications.WideResNet`.

    All other arguments are those of `ImageNetResNet`.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.ImageNetPreResNet(18, classes=120).output_shape
    (None, 120)
    """
    units = Units(convolution, convolution_options, downsampling, shortcut)
    inputs, x = _begin(
        "ImageNetPreResNet",
        depth,
        units,
        stem=stem,
        input_shape=input_shape,
        input_tensor=input_tensor,
        weights=weights,
    )
    x = residual_units.final_activation(_stages(x, units.pre_activation, UNITS[depth]))
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
    )
    return common.finish(
        inputs, x, name or f"imagenet_preresnet{depth}", weights=weights, load_classifier=load_classifier
    )


def _begin(
    model_name: str, depth: int, units: Units, *, stem: str, input_shape, input_tensor, weights, variant: str = "bsconv"
) -> tuple:
    """Return the input and what comes out of the stem."""
    if depth not in UNITS:
        raise InputError(f"Expected depth to be one of {tuple(UNITS)} for {model_name}, received {depth!r}.")
    if stem != "plain":
        raise InputError(
            f"Expected stem to be 'plain' for {model_name}, received {stem!r}: the hybrid stem takes the place of a "
            "3x3 convolution, and this network begins with a 7x7 one."
        )
    inputs = common.image_input(
        model_name,
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    blocks.check_size(model_name, inputs, 4, strides=[2, 2, 2], downsampling=units.downsampling)
    x = bsconv_library.data_batch_norm(inputs) if variant == "bsconv" else inputs
    x = units.conv(x, STAGE_FILTERS[0], 7, strides=2, name="stem")
    x = residual_units.batch_norm_relu(x, "stem")
    # Zeros are as good as a padding that never wins, for nothing is below zero behind the ReLU.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_padding")(x)
    return inputs, keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def _stages(x, unit, units_per_stage: tuple[int, ...]):
    for stage, (filters, units) in enumerate(zip(STAGE_FILTERS, units_per_stage, strict=True), start=1):
        for index in range(1, units + 1):
            x = unit(x, filters, 2 if stage > 1 and index == 1 else 1, f"stage{stage}_unit{index}")
    return x


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("layer1.0.conv1.weight") and not names.shape("layer1.0.attn.fc1.weight"):
        units = tuple(names.count(rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
        # A shortcut is the pre-activation ResNet18's.
        is_likely = names.shape("layer2.0.shortcut.0.weight") is None
        yield Call("imagenet_resnet", {"depth": _depth(units, 34), "variant": "torchvision"}, is_likely)
        return
    guessed = residual_units.guess_options(names)
    if guessed and guessed[0][3]:
        units, _, options = guessed
        for network in ("imagenet_resnet", "imagenet_preresnet"):
            yield Call(network, {"depth": _depth(units, 18)} | options)


def _depth(units: tuple[int, ...], default: int) -> int:
    return next((depth for depth, numbers in UNITS.items() if numbers == units), default)


register(
    Family(
        "imagenet_resnet",
        {"imagenet_preresnet": ImageNetPreResNet, "imagenet_resnet": ImageNetResNet},
        torch_names,
        torch_convolutions,
        guess=_guess,
        member=Call("imagenet_resnet", {"depth": 10, "input_shape": (64, 64, 3)}),
    )
)
