"""Convolutions with their batch norm and activation, as functions of tensors, in the manner of one family."""

import dataclasses
from collections.abc import Container, Iterable, Mapping

import keras

from keras_lite.errors import InputError
from keras_lite.layers import (
    AttentionDownsampling,
    BatchNormalization,
    ChannelAttention,
    Conv2D,
    DepthwiseConv2D,
    HybridStem,
    PaddingFreeDownsampling,
    StridedAttention,
)
from keras_lite.layers.activations import activation_layer, check_activation
from keras_lite.layers.channel_attention import GATES, check_gate
from keras_lite.layers.initializers import convolution_initializers, depthwise_initializers

STEMS = ("plain", "hybrid")
DOWNSAMPLINGS = ("strided", "padding_free", "attention")
SMALL_BELOW = 64


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Maker of convolutions with batch norm and activation; the attributes hold what all of a family share.

    A name `x` gives layers `x_convolution`, `x_batch_norm`, `x_activation`. Strides pad on both sides, as published;
    Keras' "same" would pad an even size on one side only.

    Attributes:
        initialization: `"pytorch"`, `"kaiming_uniform"` or `"kaiming_normal"`.
        epsilon: Batch norm's epsilon.
        momentum: Batch norm's momentum.
        hard_swish: The activation that stands wherever hard-swish (`"hard_silu"`) is asked for.
        gate: Of the channel attention; `None` leaves the attention out.
    """

    initialization: str = "pytorch"
    epsilon: float = 1e-5
    momentum: float = 0.9
    _: dataclasses.KW_ONLY
    hard_swish: str = "hard_silu"
    gate: str | None = "hard_sigmoid"

    def __post_init__(self):
        """Check what a network's arguments set."""
        check_activation(self.hard_swish)
        check_gate(self.gate, (*GATES, None))

    def convolution(
        self, x, filters: int, kernel_size: int, *, name: str, activation: str | None = None, strides: int = 1
    ):
        """Apply a convolution without bias, batch norm and, if named, an activation."""
        initializers = convolution_initializers(self.initialization, kernel_size, x.shape[-1], filters)
        return self.finish(
            _strided(Conv2D, x, kernel_size, strides=strides, name=name, pixels=None, filters=filters, **initializers),
            name,
            activation,
        )

    def depthwise(
        self,
        x,
        kernel_size: int,
        name: str,
        *,
        activation: str | None = None,
        strides: int = 1,
        pixels: int | None = None,
    ):
        """Apply a depthwise convolution without bias, batch norm and, if named, an activation.

        With a stride, `pixels` is what each side is padded with, unless it is `kernel_size // 2`.
        """
        initializers = depthwise_initializers(self.initialization, kernel_size, x.shape[-1])
        x = _strided(DepthwiseConv2D, x, kernel_size, strides=strides, name=name, pixels=pixels, **initializers)
        return self.finish(x, name, activation)

    def finish(self, x, name: str, activation: str | None):
        """Apply batch norm and, if named, an activation."""
        x = BatchNormalization(epsilon=self.epsilon, momentum=self.momentum, name=f"{name}_batch_norm")(x)
        return x if activation is None else self.activate(x, activation, f"{name}_activation")

    def activate(self, x, activation: str, name: str):
        """Apply an activation, or the one that takes its place in this network."""
        return activation_layer(self._standing_for(activation), name=name)(x)

    def _standing_for(self, activation: str | None) -> str | None:
        return self.hard_swish if activation == "hard_silu" else activation

    def padding_free(self, x, kernel_size: int, name: str, activation: str | None, **options):
        """Apply a `PaddingFreeDownsampling` with a depthwise convolution."""
        return PaddingFreeDownsampling(
            kernel_size=kernel_size,
            activation=self._standing_for(activation),
            initialization=self.initialization,
            batch_norm_epsilon=self.epsilon,
            batch_norm_momentum=self.momentum,
            name=name,
            **options,
        )(x)

    def attention_downsampling(self, x, filters: int, attention: bool, name: str):
        """Apply EfficientFormerV2's downsampling (`AttentionDownsampling`)."""
        return AttentionDownsampling(
            filters,
            attention,
            initialization=self.initialization,
            batch_norm_epsilon=self.epsilon,
            batch_norm_momentum=self.momentum,
            name=name,
        )(x)

    def squeeze_excite(self, x, squeeze_filters: int, name: str):
        """Apply channel attention, unless the gate is `None`."""
        if self.gate is None:
            return x
        return ChannelAttention(
            squeeze_filters=squeeze_filters, gate=self.gate, initialization=self.initialization, name=name
        )(x)

    def stem(self, x, filters: int, stem: str, *, activation: str, strides: int, branch_strides: int = 1):
        """The first convolution, or the hybrid stem, whose batch norms are PyTorch's default in every family."""
        if stem == "plain":
            return self.convolution(x, filters, 3, name="stem", activation=activation, strides=strides)
        activation = self._standing_for(activation)
        return HybridStem(
            filters, strides, branch_strides, activation, initialization=self.initialization, name="stem"
        )(x)


def _strided(
    layer_class: type[keras.layers.Layer],
    x,
    kernel_size: int,
    *,
    strides: int,
    name: str,
    pixels: int | None,
    **arguments,
):
    pixels = kernel_size // 2 if pixels is None else pixels
    if strides > 1 and pixels:
        x = keras.layers.ZeroPadding2D(pixels, name=f"{name}_padding")(x)
    return layer_class(
        kernel_size=kernel_size,
        strides=strides,
        padding="valid" if strides > 1 else "same",
        use_bias=False,
        name=f"{name}_convolution",
        **arguments,
    )(x)


def add(x, y, name: str):
    """Return the sum of a residual connection."""
    return keras.layers.Add(name=f"{name}_add")([x, y])


def rounded(value: float, divisor: int = 8) -> int:
    """Return a number of channels rounded to a multiple of `divisor`, but at most a tenth lower."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


def likely_widths(filters: int, of_one: int) -> list[dict[str, float]]:
    """Return the arguments `alpha` that may give a first convolution its filters, the likeliest first; 1 is left out.

    Filters are rounded to multiples of 8, so there are several.

    Args:
        filters: The convolution's.
        of_one: What it has with `alpha=1`.
    """
    usual = [alpha for alpha in (0.25, 0.35, 0.5, 0.75, 1.0, 1.25, 1.4) if abs(alpha * of_one - filters) <= 8]
    alphas = sorted(dict.fromkeys([filters / of_one, *usual]), key=lambda alpha: abs(alpha * of_one - filters))
    return [{} if alpha == 1 else {"alpha": alpha} for alpha in alphas]


def check_options(stem: str, downsampling: str) -> None:
    """Raise InputError unless the stem and the downsampling are known."""
    for argument, value, known in (("stem", stem, STEMS), ("downsampling", downsampling, DOWNSAMPLINGS)):
        if value not in known:
            raise InputError(f"Expected {argument} to be one of {known}, received {value!r}.")


def are_small(inputs, small_images: bool | None) -> bool:
    """Return whether the strides are those for small images; by default those below 64 pixels."""
    if small_images is not None:
        return small_images
    height, width = inputs.shape[1:3]
    return height is not None and width is not None and min(height, width) < SMALL_BELOW


def check_size(model_name: str, inputs, stem_strides: int, *, strides: list[int], downsampling: str) -> None:
    """Raise InputError if images are too small for a network, given its stem's stride and its blocks'."""
    size = 1
    for stride in reversed(strides):
        if stride == 2:
            size = 2 * size + 1 if downsampling == "padding_free" else 2 * size - 1
    size = (size - 1) * stem_strides + 1
    shape = tuple(inputs.shape[1:])
    if any(n is not None and n < size for n in shape[:2]):
        raise InputError(
            f"Expected input_shape of at least {size} x {size} pixels for {model_name} with "
            f"downsampling={downsampling!r}, received {shape}: less would leave nothing for its last blocks."
        )


def require_known_size(model_name: str, inputs) -> None:
    """Raise InputError if the images' height or width is open."""
    if None in inputs.shape[1:3]:
        raise InputError(
            f"Expected input_shape with a height and width for {model_name}, received {tuple(inputs.shape[1:])}: "
            "its layers are made for one size."
        )


def attention_torch_names(name: str, module: str, layers: Container[str]) -> dict[str, str]:
    """Return the PyTorch modules of an `AttentionDownsampling` layer, for a family's `torch_names`.

    Args:
        name: The layer's name.
        module: The module's name in the PyTorch network.
        layers: Names of the flattened model's layers.
    """
    if f"{name}_attention" not in layers:
        return {f"{name}_convolution": f"{module}.proj", f"{name}_batch_norm": f"{module}.norm"}
    attention = {
        "query_local_convolution": "q.local.0",
        "query_convolution": "q.proj.0",
        "query_batch_norm": "q.proj.1",
        "key_convolution": "k.0",
        "key_batch_norm": "k.1",
        "value_convolution": "v.0",
        "value_batch_norm": "v.1",
        "value_local_convolution": "v_local.0",
        "value_local_batch_norm": "v_local.1",
        "output_convolution": "proj.1",
        "output_batch_norm": "proj.2",
    }
    return {
        f"{name}_convolution": f"{module}.conv",
        f"{name}_batch_norm": f"{module}.bn",
        f"{name}_attention": f"{module}.attn",
        **{f"{name}_attention_{ours}": f"{module}.attn.{theirs}" for ours, theirs in attention.items()},
    }


def attention_torch_unused(layers: Mapping[str, keras.layers.Layer], torch_names: Mapping[str, str]) -> dict:
    """Return the index buffers that PyTorch keeps for attention, for a family's `torch_unused`."""
    return {
        f"{torch_names[name]}.attention_bias_idxs": layer.distances.astype("int64")
        for name, layer in layers.items()
        if isinstance(layer, StridedAttention)
    }


def is_padding_free(layers: Iterable[str]) -> bool:
    """Return whether a flattened model has a `PaddingFreeDownsampling` in it."""
    return any(name.endswith("depthwise_pool") for name in layers)


def has_large_hybrid_stem(layers: Mapping[str, keras.layers.Layer]) -> bool:
    """Return whether a flattened model has a `HybridStem` for large images."""
    return "stem_fuse" in layers and getattr(layers.get("stem_convolution"), "strides", None) == (2, 2)


def pair_torch_names(name: str, module: str, pair: tuple[str, str]) -> dict[str, str]:
    """Return the PyTorch modules of a convolution and its batch norm, for a family's `torch_names`."""
    return {f"{name}_convolution": f"{module}.{pair[0]}", f"{name}_batch_norm": f"{module}.{pair[1]}"}


def hybrid_stem_torch_names(module: str, first: tuple[str, str], rest: tuple[str, str]) -> dict[str, str]:
    """Return the PyTorch modules of a `HybridStem`, for a family's `torch_names`.

    Args:
        module: The stem's name in the PyTorch network.
        first: Names of convolution and batch norm within its first step.
        rest: The same within its two other steps.
    """
    names = {}
    for ours, step, pair in (("convolution", "1", first), ("depthwise", "1_1", rest), ("fuse", "3", rest)):
        names[f"stem_{ours}"] = f"{module}.stem_{step}.{pair[0]}"
        names[f"stem_{ours}_batch_norm"] = f"{module}.stem_{step}.{pair[1]}"
    return names
