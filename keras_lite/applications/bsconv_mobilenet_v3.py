"""MobileNetV3 as the BSConv library has it, and as the tables on CIFAR-100 (first set), Stanford Dogs and ImageNet do.

`keras_lite.applications.mobilenet_v3` is another network. This one has an expansion in every unit, starts with a batch
norm of the image, and rounds nothing to multiples of 8.

Sources: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244); Haase and Amthor, "Rethinking
Depthwise Separable Convolutions", CVPR 2020 (arXiv:2003.13549).
"""

import os
from collections.abc import Iterator, Mapping

import keras

from keras_lite.applications import blocks, bsconv_library, common, inverted_residuals
from keras_lite.applications.bsconv_library import TORCH_CONVOLUTIONS, preprocess_input
from keras_lite.applications.inverted_residuals import Network, Stage
from keras_lite.checkpoints.registry import Call, Family, Names, register
from keras_lite.layers.initializers import kaiming_uniform

__all__ = ["BSConvMobileNetV3Large", "BSConvMobileNetV3Small", "preprocess_input"]

# Output channels, channels between, stride for large images, stride for small ones, kernel, activation, attention.
LARGE = (
    Stage((16,), (16,), strides=1, small_strides=1, kernel_size=3, activation="relu"),
    Stage((24, 24), (64, 72), strides=2, small_strides=1, kernel_size=3, activation="relu"),
    Stage(
        (40, 40, 40),
        (72, 120, 120),
        strides=2,
        small_strides=2,
        kernel_size=5,
        activation="relu",
        squeeze_excite=(True, True, True),
    ),
    Stage(
        (80, 80, 80, 80, 112, 112),
        (240, 200, 184, 184, 480, 672),
        strides=2,
        small_strides=2,
        kernel_size=3,
        activation="hard_silu",
        squeeze_excite=(False, False, False, False, True, True),
    ),
    Stage(
        (160, 160, 160),
        (672, 960, 960),
        strides=2,
        small_strides=2,
        kernel_size=5,
        activation="hard_silu",
        squeeze_excite=(True, True, True),
    ),
)
SMALL = (
    Stage((16,), (16,), strides=2, small_strides=1, kernel_size=3, activation="relu", squeeze_excite=(True,)),
    Stage((24, 24), (72, 88), strides=2, small_strides=2, kernel_size=3, activation="relu"),
    Stage(
        (40, 40, 40, 48, 48),
        (96, 240, 240, 120, 144),
        strides=2,
        small_strides=2,
        kernel_size=5,
        activation="hard_silu",
        squeeze_excite=(True,) * 5,
    ),
    Stage(
        (96, 96, 96),
        (288, 576, 576),
        strides=2,
        small_strides=2,
        kernel_size=5,
        activation="hard_silu",
        squeeze_excite=(True, True, True),
    ),
)


def BSConvMobileNetV3Large(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "bsconv_mobilenet_v3_large",
    *,
    alpha: float = 1.0,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    heavy_head: bool = False,
    activation: str = "hard_silu",
    gate: str | None = "hard_sigmoid",
    load_classifier: bool = True,
) -> keras.Model:
    """Return the BSConv library's MobileNetV3-Large: 3,066,512 parameters with 100 classes.

    A 3x3 convolution; fifteen inverted residual units (1x1 convolution, depthwise convolution, channel attention in
    some, 1x1 convolution without activation); a 1x1 convolution; global average pooling; a dense layer. A batch norm
    of the image comes first, so images go through `keras_lite.applications.bsconv_mobilenet_v3.preprocess_input`,
    which gives [0, 1].

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244).

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
        alpha: Width multiplier; each width is then rounded down; the last convolution's stays when below 1.
        small_images: Whether the stem and the second stage keep the resolution, as published for 32 x 32 pixels.
            `None`: for images below 64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling` in place of each unit of stride 2).
        convolution: `"standard"`, or `"bsconv_s"`: the same network, in which the last convolution of each unit has a
            penalty (`keras_lite.layers.OrthonormalRegularizer`).
        convolution_options: With `"bsconv_s"`: `{"alpha": the penalty's weight}`, by default 0.1.
        heavy_head: Whether a dense layer without bias stands before the classifier, as published for ImageNet.
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

    >>> keras_lite.applications.BSConvMobileNetV3Large(input_shape=(32, 32, 3), classes=100).output_shape
    (None, 100)
    """
    inputs = common.image_input(
        "BSConvMobileNetV3Large",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    small = blocks.are_small(inputs, small_images)
    network = Network(
        "BSConvMobileNetV3Large",
        alpha,
        small,
        stem=stem,
        downsampling=downsampling,
        convolution=convolution,
        convolution_options=convolution_options,
        activation=activation,
        gate=gate,
    )
    x = network.features(inputs, 16, "hard_silu", LARGE)
    x = network.blocks.convolution(x, network.last_width(960), 1, name="last", activation="hard_silu")
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        to_vector=lambda features: _vector(network, features, 1280 if heavy_head else 0),
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def BSConvMobileNetV3Small(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "bsconv_mobilenet_v3_small",
    *,
    alpha: float = 1.0,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    convolution: str = "standard",
    convolution_options: dict | None = None,
    heavy_head: bool = False,
    activation: str = "hard_silu",
    gate: str | None = "hard_sigmoid",
    load_classifier: bool = True,
) -> keras.Model:
    """Return the BSConv library's MobileNetV3-Small: 1,157,532 parameters with 120 classes.

    Like `BSConvMobileNetV3Large`, with eleven units, and channel attention behind the last convolution too.

    Source: Howard et al., "Searching for MobileNetV3", ICCV 2019 (arXiv:1905.02244).

    Args:
        small_images: Whether the stem and the first stage keep the resolution. `None`: for images below 64 pixels.

    All other arguments are those of `BSConvMobileNetV3Large`.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.BSConvMobileNetV3Small(input_shape=(32, 32, 3), classes=100).output_shape
    (None, 100)
    """
    inputs = common.image_input(
        "BSConvMobileNetV3Small",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    small = blocks.are_small(inputs, small_images)
    network = Network(
        "BSConvMobileNetV3Small",
        alpha,
        small,
        stem=stem,
        downsampling=downsampling,
        convolution=convolution,
        convolution_options=convolution_options,
        activation=activation,
        gate=gate,
    )
    x = network.features(inputs, 16, "hard_silu", SMALL)
    x = network.blocks.convolution(x, network.last_width(576), 1, name="last", activation="hard_silu")
    x = network.blocks.squeeze_excite(x, x.shape[-1] // 4, "last_attention")
    x = bsconv_library.classify(
        x,
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        to_vector=lambda features: _vector(network, features, 1024 if heavy_head else 0),
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


def _vector(network: Network, features, hidden: int):
    """Return the vector that is classified: the mean of each channel, with the heavy head through a dense layer."""
    x = common.average_pool(features)
    if not hidden:
        return x
    initializer = kaiming_uniform(x.shape[-1])
    x = keras.layers.Dense(hidden, use_bias=False, kernel_initializer=initializer, name="hidden")(x)
    return network.blocks.activate(x, "hard_silu", "hidden_activation")


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    return inverted_residuals.torch_names(layers) | {
        **blocks.pair_torch_names("last", "backbone.final_conv1", ("conv", "bn")),
        "last_attention_squeeze": "backbone.final_se.conv1",
        "last_attention_excite": "backbone.final_se.conv2",
        "hidden": "backbone.final_conv2.conv",
    }


def _guess(names: Names) -> Iterator[Call]:
    if inverted_residuals.is_likely(names) and not names.shape("final_conv.conv.weight"):
        size = "small" if names.shape("stage1.unit1.se_unit.conv1.weight") else "large"
        for options in blocks.likely_widths(names.filters("init_conv.conv.weight"), 16):
            yield Call(f"bsconv_mobilenet_v3_{size}", options)


register(
    Family(
        "bsconv_mobilenet_v3",
        {
            "bsconv_mobilenet_v3_large": BSConvMobileNetV3Large,
            "bsconv_mobilenet_v3_small": BSConvMobileNetV3Small,
        },
        torch_names,
        TORCH_CONVOLUTIONS,
        guess=_guess,
        member=Call("bsconv_mobilenet_v3_small"),
    )
)
