"""GhostNet, whose modules compute half of their channels cheaply from the other half.

Source: Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020 (arXiv:1911.11907).
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
from keras_lite.layers import Conv2D, GhostModule
from keras_lite.layers.initializers import pytorch_uniform

# A stage a line: kernel, expanded, out, squeeze-excite of each block; stride for large images, stride for small ones.
STAGES = (
    (((3, 16, 16, False),), 1, 1),
    (((3, 48, 24, False),), 2, 1),
    (((3, 72, 24, False),), 1, 1),
    (((5, 72, 40, True),), 2, 2),
    (((5, 120, 40, True),), 1, 1),
    (((3, 240, 80, False),), 2, 2),
    (
        (
            (3, 200, 80, False),
            (3, 184, 80, False),
            (3, 184, 80, False),
            (3, 480, 112, True),
            (3, 672, 112, True),
        ),
        1,
        1,
    ),
    (((5, 672, 160, True),), 2, 2),
    (((5, 960, 160, False), (5, 960, 160, True), (5, 960, 160, False), (5, 960, 160, True)), 1, 1),
)

preprocess_input = carnet.preprocess_input
decode_predictions = imagenet_weights.decode_predictions


def GhostNet(
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor=None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "ghostnet",
    *,
    alpha: float = 1.0,
    small_images: bool | None = None,
    stem: str = "plain",
    downsampling: str = "strided",
    dropout_rate: float = 0.2,
    gate: str | None = "hard_sigmoid",
    load_classifier: bool = True,
) -> keras.Model:
    """Return GhostNet: 5,182,508 parameters with 1000 classes.

    Without arguments it is timm's `ghostnet_100`, whose ImageNet weights timm publishes (see
    `keras_lite.applications.imagenet_weights`). Images go through `keras_lite.applications.ghostnet.preprocess_input`
    first (the tables on CIFAR-100 have that data set's mean and standard deviation instead). With
    `downsampling="attention"` EfficientFormerV2's downsampling takes the place of each block of stride 2; the last two
    of these have attention. PyTorch's default initialization; batch norm has epsilon 1e-5 and momentum 0.9.

    The published network with hybrid stem carries 32 more parameters: a batch norm that it never uses.

    Source: Han et al., "GhostNet: More Features from Cheap Operations", CVPR 2020 (arXiv:1911.11907).

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
        alpha: Width multiplier; each width but the classifier's is then rounded to a multiple of 4.
        small_images: Whether the stem and the second stage keep the resolution, as published for 32 x 32 pixels.
            `None`: for images below 64 pixels.
        stem: `"plain"` or `"hybrid"` (`keras_lite.layers.HybridStem`).
        downsampling: `"strided"`, `"padding_free"` (`keras_lite.layers.PaddingFreeDownsampling`) or `"attention"`
            (`keras_lite.layers.AttentionDownsampling`).
        dropout_rate: In front of the classifier.
        gate: Of the channel attention: `"hard_sigmoid"` as published, `"sigmoid"`, or `None` for no attention, which is
            faster.
        load_classifier: With `weights`: `False` takes all but the classifier from a file that was trained for
            another number of classes.

    Returns:
        A functional `keras.Model`.

    Raises:
        InputError: If an argument is not one of those above, or the file does not fit.

    Example:

    >>> keras_lite.applications.GhostNet(input_shape=(32, 32, 3), classes=100).count_params()
    4050952
    """
    inputs = common.image_input(
        "GhostNet",
        input_shape,
        input_tensor,
        weights=weights,
        default_size=224,
        minimum_size=1,
        why="there must be a pixel",
    )
    network = _Network(inputs, alpha, stem, downsampling=downsampling, blocks=blocks.Blocks(gate=gate))
    x = common.classify(
        network.features(blocks.are_small(inputs, small_images)),
        include_top=include_top,
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        to_vector=_hidden_layer,
        dropout_rate=dropout_rate,
    )
    return common.finish(inputs, x, name, weights=weights, load_classifier=load_classifier)


@dataclasses.dataclass(frozen=True)
class _Network:
    """What the stages become."""

    inputs: object
    alpha: float
    stem: str
    _: dataclasses.KW_ONLY
    downsampling: str
    blocks: blocks.Blocks

    def width(self, channels: int) -> int:
        return rounded(channels * self.alpha, 4)

    def features(self, small: bool):
        """Return the last feature map."""
        blocks.check_options(self.stem, self.downsampling)
        if not self.alpha > 0:
            raise InputError(f"Expected alpha to be above 0, received {self.alpha!r}.")
        stem_strides = 1 if small else 2
        strides = [stage[2] if small else stage[1] for stage in STAGES]
        blocks.check_size("GhostNet", self.inputs, stem_strides, strides=strides, downsampling=self.downsampling)
        x = self.blocks.stem(self.inputs, self.width(16), self.stem, activation="relu", strides=stem_strides)
        for index, (rows, *_) in enumerate(STAGES):
            for block, row in enumerate(rows):
                name = f"stage{index + 1}_block{block + 1}"
                if strides[index] == 2 and self.downsampling == "attention":
                    attention = strides[index:].count(2) <= 2
                    x = self.blocks.attention_downsampling(x, self.width(row[2]), attention, f"{name}_downsampling")
                else:
                    x = self.bottleneck(x, row, strides[index], name)
        return self.blocks.convolution(x, self.width(STAGES[-1][0][-1][1]), 1, name="last", activation="relu")

    def bottleneck(self, x, row: tuple, strides: int, name: str):
        kernel_size, expanded, filters, squeeze_excite = row
        expanded, filters = self.width(expanded), self.width(filters)
        padding_free = strides == 2 and self.downsampling == "padding_free"
        y = GhostModule(expanded, name=f"{name}_ghost1")(x)
        if padding_free:
            y = self.blocks.padding_free(
                y, kernel_size, f"{name}_depthwise", None, pool_size=kernel_size, pool_added_after="batch_norm"
            )
        elif strides == 2:
            y = self.blocks.depthwise(y, kernel_size, f"{name}_depthwise", strides=2)
        if squeeze_excite:
            y = self.blocks.squeeze_excite(y, rounded(expanded * 0.25, 4), f"{name}_attention")
        y = GhostModule(filters, relu=False, name=f"{name}_ghost2")(y)
        if strides == 2 or filters != x.shape[-1]:
            # The shortcut pads as little as the block, but has no pool beside it.
            pixels = kernel_size // 2 - 1 if padding_free else None
            x = self.blocks.depthwise(x, kernel_size, f"{name}_shortcut_depthwise", strides=strides, pixels=pixels)
            x = self.blocks.convolution(x, filters, 1, name=f"{name}_shortcut_project")
        return blocks.add(y, x, name)


def _hidden_layer(features):
    """Return the vector that is classified: a 1x1 convolution with bias of the mean, and no batch norm."""
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="average_pool")(features)
    x = Conv2D(
        1280,
        1,
        kernel_initializer=pytorch_uniform(x.shape[-1]),
        bias_initializer=pytorch_uniform(x.shape[-1]),
        name="hidden",
    )(x)
    x = keras.layers.ReLU(name="hidden_activation")(x)
    return keras.layers.Flatten(name="flatten")(x)


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    names = {"hidden": "conv_head", "predictions": "classifier"}
    if "stem_fuse" in layers:
        names |= blocks.hybrid_stem_torch_names("conv_stem", ("0", "1"), ("0", "1"))
    else:
        names |= {"stem_convolution": "conv_stem", "stem_batch_norm": "bn1"}
    names |= blocks.pair_torch_names("last", f"blocks.{len(STAGES)}.0", ("conv", "bn1"))
    for stage, (rows, *_) in enumerate(STAGES):
        for block in range(len(rows)):
            name, module = f"stage{stage + 1}_block{block + 1}", f"blocks.{stage}.{block}"
            names |= blocks.attention_torch_names(f"{name}_downsampling", f"{module}.downsampling", layers)
            for ghost in ("ghost1", "ghost2"):
                names |= blocks.pair_torch_names(
                    f"{name}_{ghost}_primary", f"{module}.{ghost}.primary_conv", ("0", "1")
                )
                names |= blocks.pair_torch_names(
                    f"{name}_{ghost}_cheap", f"{module}.{ghost}.cheap_operation", ("0", "1")
                )
            names |= blocks.pair_torch_names(f"{name}_depthwise", module, ("conv_dw", "bn_dw"))
            names |= blocks.pair_torch_names(f"{name}_shortcut_depthwise", f"{module}.shortcut", ("0", "1"))
            names |= blocks.pair_torch_names(f"{name}_shortcut_project", f"{module}.shortcut", ("2", "3"))
            names[f"{name}_attention_squeeze"] = f"{module}.se.conv_reduce"
            names[f"{name}_attention_excite"] = f"{module}.se.conv_expand"
    return names


def torch_unused(layers: Mapping[str, keras.layers.Layer]) -> dict[str, np.ndarray]:
    """Return what the published network keeps and does not use.

    That is the attention's index buffers and, with hybrid stem, the plain stem's batch norm.
    """
    unused = blocks.attention_torch_unused(layers, torch_names(layers))
    if "stem_fuse" in layers:
        filters = layers["stem_fuse"].filters
        unused |= {
            "bn1.weight": np.ones(filters, "float32"),
            "bn1.bias": np.zeros(filters, "float32"),
            "bn1.running_mean": np.zeros(filters, "float32"),
            "bn1.running_var": np.ones(filters, "float32"),
            "bn1.num_batches_tracked": np.array(0, "int64"),
        }
    return unused


def _guess(names: Names) -> Iterator[Call]:
    if names.shape("blocks.0.0.ghost1.primary_conv.0.weight"):
        for options in blocks.likely_widths(names.filters("conv_stem.weight"), 16):
            yield Call("ghostnet", options)


register(
    Family(
        "ghostnet",
        {"ghostnet": GhostNet},
        torch_names,
        torch_unused=torch_unused,
        guess=_guess,
        member=Call("ghostnet"),
    )
)
