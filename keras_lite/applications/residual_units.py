"""The residual units of the BSConv library, post-activation and pre-activation, and their stems."""

import dataclasses
import functools
from collections.abc import Mapping

import keras

from keras_lite.applications import bsconv_library, torchvision_form
from keras_lite.applications.bsconv_library import INITIALIZATION, batch_norm, torch_names_of_convolution
from keras_lite.checkpoints.registry import Names
from keras_lite.errors import InputError
from keras_lite.layers import Conv2D, DepthwiseConv2D, HybridStem, PaddingFreeDownsampling
from keras_lite.layers.bsconv import CONVOLUTIONS, convolution_class
from keras_lite.layers.initializers import convolution_initializers, depthwise_initializers

STEMS = ("plain", "hybrid")
DOWNSAMPLINGS = ("strided", "padding_free")
SHORTCUTS = ("convolution", "depthwise")

_UNIT, _MODULE = r"stage(?P<stage>\d)_unit(?P<unit>\d+)", "backbone.stage{stage}.unit{unit}"
_STEM = "backbone.init_unit"

# The flattened layer's name -> the module's name in the PyTorch network.
_TORCH_NAMES = {
    "data_batch_norm": "backbone.data_bn",
    **torch_names_of_convolution("stem_convolution", f"{_STEM}.conv.conv"),
    "stem_batch_norm": f"{_STEM}.conv.bn",
    **torch_names_of_convolution("hybrid_stem_convolution", f"{_STEM}.stem_1.0"),
    "hybrid_stem_convolution_batch_norm": f"{_STEM}.stem_1.1",
    "hybrid_stem_depthwise": f"{_STEM}.stem_1_1.0",
    "hybrid_stem_depthwise_batch_norm": f"{_STEM}.stem_1_1.1",
    "hybrid_stem_fuse": f"{_STEM}.stem_3.0",
    "hybrid_stem_fuse_batch_norm": f"{_STEM}.stem_3.1",
    **torch_names_of_convolution("preactivation_stem_convolution", f"{_STEM}.stem_1.0"),
    "preactivation_stem_depthwise_batch_norm": f"{_STEM}.stem_1_1.0",
    "preactivation_stem_depthwise": f"{_STEM}.stem_1_1.2",
    "preactivation_stem_fuse_batch_norm": f"{_STEM}.stem_3.0",
    "preactivation_stem_fuse": f"{_STEM}.stem_3.2",
    f"{_UNIT}_batch_norm": f"{_MODULE}.bn",
    **torch_names_of_convolution(f"{_UNIT}_first_convolution", f"{_MODULE}.conv1.conv"),
    f"{_UNIT}_first_batch_norm": f"{_MODULE}.conv1.bn",
    f"{_UNIT}_first_pool_projection": f"{_MODULE}.conv1.conv2",
    **torch_names_of_convolution(f"{_UNIT}_second_convolution", f"{_MODULE}.conv2.conv"),
    f"{_UNIT}_second_batch_norm": f"{_MODULE}.conv2.bn",
    **torch_names_of_convolution(f"{_UNIT}_shortcut_convolution", f"{_MODULE}.projection.conv"),
    f"{_UNIT}_shortcut_batch_norm": f"{_MODULE}.projection.bn",
    f"{_UNIT}_shortcut_pool_projection": f"{_MODULE}.projection.conv2",
    f"{_UNIT}_shortcut_depthwise": f"{_MODULE}.projection.0",
    f"{_UNIT}_shortcut_depthwise_batch_norm": f"{_MODULE}.projection.1",
    f"{_UNIT}_shortcut_pointwise": f"{_MODULE}.projection.2",
    f"{_UNIT}_shortcut_pointwise_batch_norm": f"{_MODULE}.projection.3",
    "final_batch_norm": "backbone.final_activation.bn",
    "predictions": "classifier.conv",
}
_TORCHVISION_MODULE = "layer{stage}.{unit_from_0}"
_TORCHVISION_NAMES = {
    "stem_convolution": "conv1",
    "stem_batch_norm": "bn1",
    **torch_names_of_convolution(f"{_UNIT}_first_convolution", f"{_TORCHVISION_MODULE}.conv1"),
    f"{_UNIT}_first_batch_norm": f"{_TORCHVISION_MODULE}.bn1",
    f"{_UNIT}_first_pool_projection": f"{_TORCHVISION_MODULE}.pool_projection",
    **torch_names_of_convolution(f"{_UNIT}_second_convolution", f"{_TORCHVISION_MODULE}.conv2"),
    f"{_UNIT}_second_batch_norm": f"{_TORCHVISION_MODULE}.bn2",
    **torch_names_of_convolution(f"{_UNIT}_shortcut_convolution", f"{_TORCHVISION_MODULE}.downsample.0"),
    f"{_UNIT}_shortcut_batch_norm": f"{_TORCHVISION_MODULE}.downsample.1",
    f"{_UNIT}_shortcut_depthwise": f"{_TORCHVISION_MODULE}.downsample.0",
    f"{_UNIT}_shortcut_depthwise_batch_norm": f"{_TORCHVISION_MODULE}.downsample.1",
    f"{_UNIT}_shortcut_pointwise": f"{_TORCHVISION_MODULE}.downsample.2",
    f"{_UNIT}_shortcut_pointwise_batch_norm": f"{_TORCHVISION_MODULE}.downsample.3",
    "predictions": "fc",
}


@dataclasses.dataclass(frozen=True)
class Units:
    """Maker of residual units; the attributes hold what all units of a network share.

    Attributes:
        convolution: All 3x3 convolutions: `"standard"`, `"bsconv_u"` or `"bsconv_s"`.
        convolution_options: More arguments of the blueprint separable convolutions.
        downsampling: `"strided"` or `"padding_free"`.
        shortcut: The shortcut of a unit that downsamples without padding: `"convolution"` (one like the unit's first,
            without batch norm) or `"depthwise"` (depthwise and 1x1 convolutions, each with batch norm).
        initialization: Of all convolutions that are not blueprint separable.
    """

    convolution: str = "standard"
    convolution_options: dict | None = None
    downsampling: str = "strided"
    shortcut: str = "depthwise"
    initialization: str = INITIALIZATION

    def __post_init__(self):
        """Check the attributes."""
        bsconv_library.check_options(self.convolution, self.convolution_options, CONVOLUTIONS, "")
        if self.downsampling == "attention":
            raise InputError(
                f"Expected downsampling to be one of {DOWNSAMPLINGS}, received 'attention': that replaces a whole "
                "unit of stride 2, and a residual network without those is no residual network."
            )
        for argument, known in (("downsampling", DOWNSAMPLINGS), ("shortcut", SHORTCUTS)):
            if getattr(self, argument) not in known:
                raise InputError(f"Expected {argument} to be one of {known}, received {getattr(self, argument)!r}.")

    def stem(self, x, stem: str, *, pre_activation: bool):
        """Return what CIFAR-sized networks begin with: a 3x3 convolution to 16 channels, or the hybrid stem."""
        if stem not in STEMS:
            raise InputError(f"Expected stem to be one of {STEMS}, received {stem!r}.")
        if stem == "hybrid":
            return HybridStem(
                16,
                pre_activation=pre_activation,
                residual=True,
                convolution=self.convolution,
                convolution_options=self.convolution_options,
                initialization=self.initialization,
                name="preactivation_stem" if pre_activation else "hybrid_stem",
            )(x)
        x = self.conv(x, 16, 3, strides=1, name="stem")
        return x if pre_activation else batch_norm_relu(x, "stem")

    def post_activation(self, x, filters: int, strides: int, name: str):
        """Apply convolution, batch norm, ReLU, convolution, batch norm; add the shortcut; apply ReLU."""
        shortcut = x
        if strides != 1 and self.downsampling == "padding_free":
            shortcut = self._depthwise_shortcut(x, filters, name)
        elif strides != 1 or x.shape[-1] != filters:
            shortcut = self.conv(x, filters, 1, strides=strides, name=f"{name}_shortcut")
            shortcut = batch_norm(shortcut, f"{name}_shortcut_batch_norm")
        x = self._first(x, filters, strides, name)
        x = batch_norm(self.conv(x, filters, 3, strides=1, name=f"{name}_second"), f"{name}_second_batch_norm")
        x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def pre_activation(self, x, filters: int, strides: int, name: str):
        """Apply batch norm, ReLU, convolution, batch norm, ReLU, convolution; add the shortcut."""
        activated = batch_norm_relu(x, name)
        shortcut = x
        if strides != 1 and self.downsampling == "padding_free":
            make = self._depthwise_shortcut if self.shortcut == "depthwise" else self._convolution_shortcut
            shortcut = make(activated, filters, name)
        elif strides != 1 or x.shape[-1] != filters:
            shortcut = self.conv(activated, filters, 1, strides=strides, name=f"{name}_shortcut")
        x = self._first(activated, filters, strides, name)
        x = self.conv(x, filters, 3, strides=1, name=f"{name}_second")
        return keras.layers.Add(name=f"{name}_add")([x, shortcut])

    def _first(self, x, filters: int, strides: int, name: str):
        if strides != 1 and self.downsampling == "padding_free":
            return self._padding_free(filters, name=f"{name}_first")(x)
        return batch_norm_relu(self.conv(x, filters, 3, strides=strides, name=f"{name}_first"), f"{name}_first")

    def _convolution_shortcut(self, x, filters: int, name: str):
        without = {"activation": None, "batch_norm": False, "pool_added_after": "convolution"}
        return self._padding_free(filters, **without, name=f"{name}_shortcut")(x)

    def _depthwise_shortcut(self, x, filters: int, name: str):
        x = DepthwiseConv2D(
            3,
            2,
            use_bias=False,
            name=f"{name}_shortcut_depthwise",
            **depthwise_initializers(self.initialization, 3, x.shape[-1]),
        )(x)
        x = batch_norm(x, f"{name}_shortcut_depthwise_batch_norm")
        initializers = convolution_initializers(self.initialization, 1, x.shape[-1], filters)
        x = Conv2D(filters, 1, use_bias=False, name=f"{name}_shortcut_pointwise", **initializers)(x)
        return batch_norm(x, f"{name}_shortcut_pointwise_batch_norm")

    def _padding_free(self, filters: int, **options) -> PaddingFreeDownsampling:
        return PaddingFreeDownsampling(
            filters,
            convolution=self.convolution,
            convolution_options=self.convolution_options,
            initialization=self.initialization,
            **options,
        )

    def conv(self, x, filters: int, kernel_size: int, *, strides: int, name: str):
        """Convolution without bias, padded by half its kernel on each side. Only 3x3 ones become blueprint ones."""
        if kernel_size == 3 and self.convolution != "standard":
            layer = functools.partial(convolution_class(self.convolution), padding=1, **self.convolution_options or {})
        else:
            padding = kernel_size // 2
            if padding and strides > 1:
                x = keras.layers.ZeroPadding2D(padding, name=f"{name}_padding")(x)
            layer = functools.partial(
                keras.layers.Conv2D,
                padding="valid" if strides > 1 else "same",
                use_bias=False,
                **convolution_initializers(self.initialization, kernel_size, x.shape[-1], filters),
            )
        return layer(filters, kernel_size, strides, name=f"{name}_convolution")(x)


def batch_norm_relu(x, name: str):
    """Apply batch norm and ReLU."""
    return keras.layers.ReLU(name=f"{name}_relu")(batch_norm(x, f"{name}_batch_norm"))


def final_activation(x):
    """Apply batch norm and ReLU after the last pre-activation unit."""
    return batch_norm_relu(x, "final")


def torch_names(layers: Mapping[str, keras.layers.Layer]) -> dict[str, str]:
    """Return the PyTorch module of each layer, for `keras_lite.checkpoints`.

    Args:
        layers: The flattened model's layers by name.
    """
    return _TORCHVISION_NAMES if torchvision_form.is_torchvision(layers) else _TORCH_NAMES


def guess_options(names: Names) -> tuple[tuple[int, ...], int, dict[str, str]] | None:
    """Return what a state dict says of a network of the BSConv library's units, or `None` if it is of no such network.

    Returns:
        The units of each of four stages, 0 of one that is not there; the filters of the first unit; and the arguments
        `convolution` and `stem` where they are not the default.
    """
    units = tuple(names.count(rf"stage{stage}\.unit(\d+)\.") for stage in range(1, 5))
    if not units[0] or names.shape("init_conv.conv.weight") or bsconv_library.has_separable_units(names):
        return None
    first, options = "stage1.unit1.conv1.conv", {}
    for part, convolution in (("pw", "bsconv_u"), ("pw1", "bsconv_s")):
        if names.shape(f"{first}.{part}.weight"):
            options["convolution"] = convolution
    if names.shape("init_unit.stem_1.0.weight"):
        options["stem"] = "hybrid"
    filters = next(filter(None, (names.filters(f"{first}{part}.weight") for part in ("", ".pw", ".pw2"))), 0)
    return units, filters, options
