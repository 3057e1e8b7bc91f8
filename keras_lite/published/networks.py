"""Which network stands behind which row."""

from collections.abc import Callable

from keras_lite import applications as networks

VARIANTS = {
    "original": {},
    "stem": {"stem": "hybrid"},
    "downsampling": {"downsampling": "padding_free"},
    "ours": {"stem": "hybrid", "downsampling": "padding_free"},
    "efficientformer": {"downsampling": "attention"},
}

# Tables whose MobileNetV3 is the BSConv library's.
_FIRST = {
    "mobilenetv3_large": (networks.BSConvMobileNetV3Large, {}),
    "mobilenetv3_large_bsconvs": (networks.BSConvMobileNetV3Large, {"convolution": "bsconv_s"}),
    "resnet20": (networks.CifarResNet, {"depth": 20}),
    "resnet110_bsconvu": (networks.CifarResNet, {"depth": 110, "convolution": "bsconv_u"}),
    "wrn40_3": (networks.WideResNet, {"depth": 40, "width": 3}),
    "wrn40_8_bsconvu": (
        networks.WideResNet,
        {"depth": 40, "width": 8, "convolution": "bsconv_u", "shortcut": "depthwise"},
    ),
}
_SECOND = {
    "mobilenetv3_large": (networks.MobileNetV3Large, {}),
    "parc_mobilenetv2": (networks.ParCMobileNetV2, {}),
    "ghostnet": (networks.GhostNet, {}),
    "shufflenetv2": (networks.ShuffleNetV2, {}),
}

# Table -> model -> network and its arguments.
TABLES = {
    "sports100": {"carnet18": (networks.CARNet18, {}), "resnet18": (networks.ResNet18, {})},
    "cifar10_efficient_resnet": {
        "efficient_resnet": (networks.EfficientResNet, {}),
        "resnet18": (networks.EfficientResNet, {"blocks": (2, 2, 2, 2), "squeeze_excite": False}),
    },
    "cifar100_first": _FIRST,
    "stanford_dogs": _FIRST,
    "imagenet": {"mobilenetv3_large": (networks.BSConvMobileNetV3Large, {"heavy_head": True})},
    "cifar100_second": _SECOND,
    "cifar100_ablation": _SECOND,
    "cifar100_efficientformer": _SECOND,
    "vegfru292": _SECOND,
}

# These tables compare networks that have no variants.
_WITHOUT_VARIANTS = ("sports100", "cifar10_efficient_resnet")

DATASETS = {
    "sports100": "sports100",
    "cifar10_efficient_resnet": "cifar10",
    "cifar100_first": "cifar100",
    "cifar100_second": "cifar100",
    "cifar100_ablation": "cifar100",
    "cifar100_efficientformer": "cifar100",
    "stanford_dogs": "stanford_dogs",
    "imagenet": "imagenet",
    "vegfru292": "vegfru292",
}


def find(row_id: str) -> tuple[Callable, dict]:
    """Return the function that makes a row's network, and its arguments."""
    table, model, variant = row_id.split("/")
    function, options = TABLES[table][model]
    return function, options if table in _WITHOUT_VARIANTS else options | VARIANTS[variant]
