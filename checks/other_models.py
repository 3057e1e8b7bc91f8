"""Models of other packages, built without any download: of keras.applications, KerasHub and KerasCV."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from checks.known_weights import draw_weights
from keras_lite.data import Preprocessing

APPLICATIONS, HUB, CV = "keras.applications/", "keras_hub/", "keras_cv/"
# Those whose float32 files `checks.float_files` compares with TensorFlow's converter.
NAMES = (
    "MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "ResNet50", "ResNet50V2", "DenseNet121",
    "EfficientNetB0", "EfficientNetV2B0", "Xception", "NASNetMobile",
)  # fmt: skip
# The others with up to 100 million parameters.
_MORE = (
    *(f"EfficientNetB{number}" for number in range(1, 8)), *(f"EfficientNetV2B{number}" for number in range(1, 4)),
    "EfficientNetV2S", "EfficientNetV2M", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "DenseNet169",
    "DenseNet201", "InceptionV3", "InceptionResNetV2", "NASNetLarge", "ConvNeXtTiny", "ConvNeXtSmall", "ConvNeXtBase",
)  # fmt: skip
# Larger ones, one a family, as float32 files alone.
_LARGER = ("EfficientNetV2L", "ConvNeXtLarge", "VGG16")
# Models that scale their input themselves.
_TAKE_PIXELS = ("MobileNetV3", "EfficientNet", "ConvNeXt")
_CLASSES = 100
_HUB: dict[str, dict[str, Any]] = {
    "ResNetBackbone": {
        "input_conv_filters": [64], "input_conv_kernel_sizes": [7], "stackwise_num_filters": [64, 128, 256, 512],
        "stackwise_num_blocks": [2, 2, 2, 2], "stackwise_num_strides": [1, 2, 2, 2], "block_type": "basic_block",
    },
    "MobileNetBackbone": {
        "stackwise_expansion": [[40, 56], [64, 144], [72], [144, 288]], "stackwise_num_blocks": [2, 2, 1, 2],
        "stackwise_num_filters": [[16, 16], [24, 24], [24], [48, 48]],
        "stackwise_kernel_size": [[3, 3], [5, 5], [5], [5, 5]], "stackwise_num_strides": [[2, 1], [2, 1], [1], [2, 1]],
        "stackwise_se_ratio": [[None, None], [0.25, 0.25], [0.3], [0.3, 0.25]],
        "stackwise_activation": [["relu", "relu"], ["hard_swish"] * 2, ["hard_swish"], ["hard_swish"] * 2],
        "stackwise_padding": [[1, 1], [2, 2], [2], [2, 2]], "output_num_filters": 288, "input_num_filters": 16,
        "input_activation": "hard_swish", "output_activation": "hard_swish", "depthwise_filters": 8,
        "squeeze_and_excite": 0.5, "depthwise_stride": 2, "depthwise_residual": False, "last_layer_filter": 128,
    },
    "DenseNetBackbone": {"stackwise_num_repeats": [6, 12, 24, 16]},
    "CSPNetBackbone": {
        "stem_filters": 32, "stem_kernel_size": 3, "stem_strides": 1, "stackwise_depth": [1, 2, 4, 2],
        "stackwise_strides": [2, 2, 2, 2], "stackwise_num_filters": [64, 128, 256, 512], "block_type": "dark_block",
        "stage_type": "csp", "stem_padding": "same", "bottle_ratio": (0.5, 1.0), "block_ratio": (1.0, 0.5),
        "expand_ratio": (2.0, 1.0), "down_growth": True,
    },
    "XceptionBackbone": {
        "stackwise_conv_filters": [[32, 64], [128, 128], [256, 256], [728, 728]],
        "stackwise_pooling": [False, True, True, False],
    },
    "VGGBackbone": {
        "stackwise_num_repeats": [2, 2, 3, 3], "stackwise_num_filters": [64, 128, 256, 512],
    },
    "ViTBackbone": {
        "patch_size": (16, 16), "num_layers": 4, "num_heads": 3, "hidden_dim": 192, "mlp_dim": 768,
    },
}  # fmt: skip
_CV: dict[str, dict[str, Any]] = {
    "ResNetV2Backbone": {
        "stackwise_filters": [64, 128, 256, 512], "stackwise_blocks": [2, 2, 2, 2], "stackwise_strides": [1, 2, 2, 2],
        "include_rescaling": True,
    },
    "EfficientNetV2Backbone": {
        "stackwise_kernel_sizes": [3, 3, 3, 3], "stackwise_num_repeats": [1, 2, 2, 3],
        "stackwise_input_filters": [24, 24, 48, 64], "stackwise_output_filters": [24, 48, 64, 128],
        "stackwise_expansion_ratios": [1, 4, 4, 4], "stackwise_squeeze_and_excite_ratios": [0.0, 0.0, 0.0, 0.25],
        "stackwise_strides": [1, 2, 2, 2], "stackwise_conv_types": ["fused", "fused", "fused", "unfused"],
        "width_coefficient": 1.0, "depth_coefficient": 1.0, "include_rescaling": True,
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class OtherModel:
    """A model of another package.

    Args:
        name: The package and the model's name in it.
        build: Makes it, of an image's shape; its outputs are logits.
        takes_pixels: Whether it takes numbers from 0 to 255.
        float_only: Whether it is too large for more than a float32 file.
        package: The package to import, which may be missing.
    """

    name: str
    _: dataclasses.KW_ONLY
    build: Callable[[tuple[int, int, int]], keras.Model]
    takes_pixels: bool
    float_only: bool = False
    package: str = "keras"

    def preprocessing(self, image_size: int) -> Preprocessing:
        """Return how images are prepared, at a height and width in pixels."""
        size = (image_size, image_size)
        return Preprocessing(size, (0.0,) * 3, (1 / 255,) * 3) if self.takes_pixels else Preprocessing(size)

    def with_known_weights(self, images: np.ndarray) -> keras.Model:
        """Return the model with known random weights, for preprocessed images."""
        keras.utils.set_random_seed(0)
        model = self.build(images.shape[1:])
        draw_weights(model, images)
        return model

    def exact_outputs(self, model: keras.Model, images: np.ndarray) -> np.ndarray:
        """Return the outputs of the model for preprocessed images, computed in float64 throughout."""
        kept = keras.config.floatx(), keras.config.dtype_policy()
        try:
            keras.config.set_floatx("float64")
            keras.config.set_dtype_policy("float64")
            double = self.build(images.shape[1:])
            double.set_weights(model.get_weights())
            return keras.ops.convert_to_numpy(double(images.astype("float64"), training=False))
        finally:
            keras.config.set_floatx(kept[0])
            keras.config.set_dtype_policy(kept[1])


def other_models() -> dict[str, OtherModel]:
    """Return all of them by name: the small ones of each package first, the large ones last."""
    found = [_application(name) for name in NAMES]
    found += [_with_head(HUB, "keras_hub", name, {**arguments}, "image_shape") for name, arguments in _HUB.items()]
    found += [_with_head(CV, "keras_cv", name, {**arguments}, "input_shape") for name, arguments in _CV.items()]
    found += [_application(name) for name in _MORE] + [_application(name, float_only=True) for name in _LARGER]
    return {model.name: model for model in found}


def _application(name: str, float_only: bool = False) -> OtherModel:
    def build(shape: tuple[int, int, int]) -> keras.Model:
        return getattr(keras.applications, name)(weights=None, input_shape=shape, classifier_activation=None)

    pixels = name.startswith(_TAKE_PIXELS)
    return OtherModel(f"{APPLICATIONS}{name}", build=build, takes_pixels=pixels, float_only=float_only)


def _with_head(prefix: str, package: str, name: str, arguments: dict[str, Any], shape_name: str) -> OtherModel:
    """Return a backbone with a pooling and a dense layer behind it."""

    def build(shape: tuple[int, int, int]) -> keras.Model:
        backbone = getattr(importlib.import_module(f"{package}.models"), name)(**arguments, **{shape_name: shape})
        flat = len(backbone.output.shape) == 3
        pooling = keras.layers.GlobalAveragePooling1D() if flat else keras.layers.GlobalAveragePooling2D()
        return keras.Model(backbone.inputs, keras.layers.Dense(_CLASSES)(pooling(backbone.output)))

    pixels = bool(arguments.get("include_rescaling"))
    return OtherModel(f"{prefix}{name}", build=build, takes_pixels=pixels, package=package)
