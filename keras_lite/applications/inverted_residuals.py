"""What MobileNetV2 and the BSConv library's MobileNetV3 share: inverted residual units in stages."""

import dataclasses
from collections.abc import Mapping

import keras

from keras_lite.applications import blocks, bsconv_library, torchvision_form
from keras_lite.checkpoints.registry import Names
from keras_lite.errors import InputError
from keras_lite.layers import Conv2D, OrthonormalRegularizer
from keras_lite.layers.initializers import convolution_initializers

CONVOLUTIONS = ("standard", "bsconv_s")
WHY = (
    "the units of this network are inverted residuals, which BSConv-S only regularizes; they hold no convolution for U"
)

_UNIT, _MODULE = r"stage(?P<stage>\d)_unit(?P<unit>\d)", "backbone.stage{stage}.unit{unit}"
_TORCH_NAMES = {
    "data_batch_norm": "backbone.data_bn",
    **blocks.pair_torch_names("stem", "backbone.init_conv", ("conv", "bn")),
    **blocks.pair_torch_names(f"{_UNIT}_expand", f"{_MODULE}.conv1", ("conv", "bn")),
    **blocks.pair_torch_names(f"{_UNIT}_depthwise", f"{_MODULE}.conv2", ("conv", "bn")),
    f"{_UNIT}_attention_squeeze": f"{_MODULE}.se_unit.conv1",
    f"{_UNIT}_attention_excite": f"{_MODULE}.se_unit.conv2",
    **blocks.pair_torch_names(f"{_UNIT}_project", f"{_MODULE}.conv3", ("conv", "bn")),
    "predictions": "classifier.conv",
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """Stage of a network: one line of the paper's table.

    Attributes:
        filters: Output channels of each unit.
        expanded: Channels between, of each unit.
        strides: Stride of the first unit.
        small_strides: The same for small images.
        kernel_size: Of the depthwise convolution.
        activation: Behind the first two convolutions of each unit.
        squeeze_excite: Whether each unit has channel attention.
    """

    filters: tuple[int, ...]
    expanded: tuple[int, ...]
    _: dataclasses.KW_ONLY
    strides: int
    small_strides: int
    kernel_size: int = 3
    activation: str = "relu6"
    squeeze_excite: tuple[bool, ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """Maker of stages; the attributes hold what all stages of a network share.

    Attributes:
        name: The network's name, for messages.
        alpha: Width multiplier: a width w becomes `int(alpha * w)`.
        small: Whether the strides for small images apply.
        stem: `"plain"` or `"hybrid"`.
        downsampling: `"strided"`, `"padding_free"` or `"attention"`.
        convolution: `"standard"`, or `"bsconv_s"`, which adds a penalty to the last convolution of each unit.
        convolution_options: `{"alpha": the penalty's weight}`.
        variant: `"bsconv"`, or `"torchvision"`: no batch norm of the image, widths are rounded to multiples of 8, and
            a unit that would expand to what it gets has no first convolution.
        activation: What stands where the published network has hard-swish.
        gate: Of the channel attention; `None` leaves the attention out.
    """

    name: str
    alpha: float
    small: bool
    _: dataclasses.KW_ONLY
    stem: str
    downsampling: str
    convolution: str
    convolution_options: dict | None
    variant: str = "bsconv"
    activation: str = "hard_silu"
    gate: str | None = "hard_sigmoid"

    def __post_init__(self):
        """Check the attributes."""
        torchvision_form.check(self.variant)
        blocks.check_options(self.stem, self.downsampling)
        bsconv_library.check_options(self.convolution, self.convolution_options, CONVOLUTIONS, WHY)
        if set(self.convolution_options or {}) - {"alpha"}:
            raise InputError(
                f"Expected only alpha in convolution_options of {self.name}, received {self.convolution_options}."
            )

    @property
    def blocks(self) -> blocks.Blocks:
        """The maker of the convolutions."""
        initialization = torchvision_form.INITIALIZATIONS[self.variant]
        return blocks.Blocks(initialization, hard_swish=self.activation, gate=self.gate)

    def width(self, channels: int) -> int:
        """Return a width times `alpha`, rounded down or, in torchvision's form, to a multiple of 8."""
        if self.variant == "torchvision":
            return blocks.rounded(channels * self.alpha)
        return scaled(channels, self.alpha)

    def last_width(self, channels: int) -> int:
        """Return the last convolution's width, which a network narrower than published keeps."""
        return self.width(channels) if self.alpha > 1 else channels

    def features(self, inputs, stem_filters: int, stem_activation: str, stages: tuple[Stage, ...]):
        """Return the feature map behind the last stage."""
        strides = [stage.small_strides if self.small else stage.strides for stage in stages]
        stem_strides = 1 if self.small else 2
        blocks.check_size(self.name, inputs, stem_strides, strides=strides, downsampling=self.downsampling)
        x = bsconv_library.data_batch_norm(inputs) if self.variant == "bsconv" else inputs
        x = self.blocks.stem(x, self.width(stem_filters), self.stem, activation=stem_activation, strides=stem_strides)
        published = stem_filters
        for number, stage in enumerate(stages, start=1):
            attention = strides[number - 1 :].count(2) <= 2
            for unit, filters in enumerate(stage.filters):
                name = f"stage{number}_unit{unit + 1}"
                unit_strides = strides[number - 1] if unit == 0 else 1
                if unit_strides == 2 and self.downsampling == "attention":
                    x = self.blocks.attention_downsampling(x, self.width(filters), attention, f"{name}_downsampling")
                else:
                    x = self._unit(
                        x, stage, unit, strides=unit_strides, ratio=stage.expanded[unit] // published, name=name
                    )
                published = filters
        return x

    def _unit(self, x, stage: Stage, unit: int, *, strides: int, ratio: int, name: str):
        filters, expanded = self.width(stage.filters[unit]), self.width(stage.expanded[unit])
        if self.variant == "torchvision":
            expanded = x.shape[-1] * ratio
        y = x
        if self.variant == "bsconv" or ratio > 1:
            y = self.blocks.convolution(x, expanded, 1, name=f"{name}_expand", activation=stage.activation)
        if strides == 2 and self.downsampling == "padding_free":
            # The pool is 3 x 3 even beside a 5 x 5 convolution.
            y = self.blocks.padding_free(y, stage.kernel_size, f"{name}_depthwise", stage.activation)
        else:
            y = self.blocks.depthwise(
                y, stage.kernel_size, f"{name}_depthwise", activation=stage.activation, strides=strides
            )
        if any(stage.squeeze_excite[unit : unit + 1]):
            y = self.blocks.squeeze_excite(y, max(expanded // 4, 1), f"{name}_attention")
        y = self._project(y, filters, f"{name}_project")
        return blocks.add(y, x, name) if strides == 1 and filters == x.shape[-1] else y

    def _project(self, x, filters: int, name: str):
        alpha = (self.convolution_options or {}).get("alpha", 0.1) if self.convolution == "bsconv_s" else 0
        x = Conv2D(
            filters,
            1,
            use_bias=False,
            kernel_regularizer=OrthonormalRegularizer(alpha) if alpha else None,
            name=f"{name}_convolution",
            **convolution_initializers(self.blocks.initialization, 1, x.shape[-1], filters),
        )(x)
        return self.blocks.finish(x, name, None)


def scaled(channels: int, alpha: float) -> int:
    """Return a width times the width multiplier, rounded down, as in the BSConv library.

    Raises:
        InputError: If that is 0.
    """
    if not channels * alpha >= 1:
        raise InputError(f"Expected alpha to leave at least one of {channels} channels, received {alpha!r}.")
    return int(channels * alpha)


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer but the last convolution's, for `keras_lite.checkpoints`.

    They are those of the BSConv library; `mobilenet_v2` has torchvision's.

    Args:
        layers: The flattened model's layers by name.
    """
    if torchvision_form.is_torchvision(layers):
        return {}
    if "stem_fuse" not in layers:
        return _TORCH_NAMES
    pair = ("conv", "bn")
    return _TORCH_NAMES | blocks.hybrid_stem_torch_names("backbone.init_conv", pair, pair)


def is_likely(names: Names) -> bool:
    """Return whether a state dict may be of a network of these units."""
    return names.shape("init_conv.conv.weight") is not None and not bsconv_library.has_separable_units(names)
