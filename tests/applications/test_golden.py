"""The outputs of the published networks; of those whose outputs are not known, the names and shapes of the weights."""

import functools
import json
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_lite.applications import (
    BSConvMobileNetV3Large,
    BSConvMobileNetV3Small,
    CifarPreResNet,
    CifarResNet,
    EfficientResNet,
    GhostNet,
    ImageNetResNet,
    MobileNetV1,
    MobileNetV2,
    MobileNetV3Large,
    ParCMobileNetV2,
    ShuffleNetV2,
    WideResNet,
)
from keras_lite.checkpoints import load_torch_state_dict, to_torch_state_dict

CIFAR = {"input_shape": (32, 32, 3), "classes": 100}
DOGS = {"classes": 120}
VEGFRU = {"classes": 292}
OURS = {"stem": "hybrid", "downsampling": "padding_free"}
STEM = {"stem": "hybrid"}
DOWNSAMPLING = {"downsampling": "padding_free"}
ATTENTION = {"downsampling": "attention"}
BSCONV_U = {"convolution": "bsconv_u"}
BSCONV_S = {"convolution": "bsconv_s"}

# Name of the golden file, network, arguments.
GOLDEN = [
    ("cifar_mobilenetv3_large_w1__orig", BSConvMobileNetV3Large, CIFAR),
    ("cifar_mobilenetv3_large_w1__ours", BSConvMobileNetV3Large, CIFAR | OURS),
    ("cifar_mobilenetv3_large_w1_bsconvs_p1d6__orig", BSConvMobileNetV3Large, CIFAR | BSCONV_S),
    ("cifar_mobilenetv3_large_w1_bsconvs_p1d6__ours", BSConvMobileNetV3Large, CIFAR | BSCONV_S | OURS),
    ("mobilenetv3_large_w1_dogs__orig", BSConvMobileNetV3Large, DOGS),
    ("mobilenetv3_large_w1_dogs__ours", BSConvMobileNetV3Large, DOGS | OURS),
    ("mobilenetv3_large_w1_bsconvs_dogs__orig", BSConvMobileNetV3Large, DOGS | BSCONV_S),
    ("mobilenetv3_large_w1_bsconvs_dogs__ours", BSConvMobileNetV3Large, DOGS | BSCONV_S | OURS),
    ("mobilenetv3_large_w1_imagenet__orig", BSConvMobileNetV3Large, {"heavy_head": True}),
    ("mobilenetv3_large_w1_imagenet__ours", BSConvMobileNetV3Large, {"heavy_head": True, **OURS}),
    ("cifar_resnet20__ours", CifarResNet, {"depth": 20, **OURS}),
    ("cifar_resnet20__orig", CifarResNet, {"depth": 20}),
    ("cifar_resnet110_bsconvu__orig", CifarResNet, {"depth": 110, **BSCONV_U}),
    ("cifar_resnet110_bsconvu__ours", CifarResNet, {"depth": 110, **BSCONV_U, **OURS}),
    ("cifar_wrn40_3__ours", WideResNet, {"depth": 40, "width": 3, **OURS}),
    ("cifar_wrn40_3__orig", WideResNet, {"depth": 40, "width": 3}),
    ("cifar_wrn40_8_bsconvu__orig", WideResNet, {"depth": 40, "width": 8, **BSCONV_U}),
    ("cifar_wrn40_8_bsconvu__ours", WideResNet, {"depth": 40, "width": 8, "shortcut": "depthwise", **BSCONV_U, **OURS}),
    ("cifar_wrn40_8_bsconvu__ours_repoproj", WideResNet, {"depth": 40, "width": 8, **BSCONV_U, **OURS}),
    ("effresnet_best", EfficientResNet, {}),
    ("effresnet_resnet18", EfficientResNet, {"blocks": (2, 2, 2, 2), "squeeze_excite": False}),
    ("mobilenetv3_large__ours", MobileNetV3Large, CIFAR | OURS),
    ("mobilenetv3_large__orig", MobileNetV3Large, CIFAR),
    ("mobilenetv3_large__stem", MobileNetV3Large, CIFAR | STEM),
    ("mobilenetv3_large__down", MobileNetV3Large, CIFAR | DOWNSAMPLING),
    ("mobilenetv3_large__effv2", MobileNetV3Large, CIFAR | ATTENTION),
    ("mobilenetv3_large_vegfru__orig", MobileNetV3Large, VEGFRU),
    ("parc_mobilenetv2__effv2", ParCMobileNetV2, CIFAR | ATTENTION),
    ("parc_mobilenetv2__orig", ParCMobileNetV2, CIFAR),
    ("parc_mobilenetv2__stem", ParCMobileNetV2, CIFAR | STEM),
    ("parc_mobilenetv2__down", ParCMobileNetV2, CIFAR | DOWNSAMPLING),
    ("parc_mobilenetv2__ours", ParCMobileNetV2, CIFAR | OURS),
    ("parc_mobilenetv2_vegfru__orig", ParCMobileNetV2, VEGFRU),
    ("ghostnet__ours", GhostNet, CIFAR | OURS),
    ("ghostnet__orig", GhostNet, CIFAR),
    ("ghostnet__down", GhostNet, CIFAR | DOWNSAMPLING),
    ("ghostnet__effv2", GhostNet, CIFAR | ATTENTION),
    ("ghostnet_vegfru__orig", GhostNet, VEGFRU),
    ("shufflenetv2__ours", ShuffleNetV2, CIFAR | OURS),
    ("shufflenetv2__orig", ShuffleNetV2, CIFAR),
    ("shufflenetv2__stem", ShuffleNetV2, CIFAR | STEM),
    ("shufflenetv2__effv2", ShuffleNetV2, CIFAR | ATTENTION),
    ("shufflenetv2_vegfru__orig", ShuffleNetV2, VEGFRU),
]

# Name in state_dict_names.json, network, arguments.
NAMES = [
    ("cifar_mobilenetv1_w1d4__upstream", MobileNetV1, {"alpha": 1 / 4, **CIFAR}),
    ("cifar_mobilenetv1_w1d4_bsconvu__upstream", MobileNetV1, {"alpha": 1 / 4, **BSCONV_U, **CIFAR}),
    ("mobilenetv1_w1d4_224__upstream", MobileNetV1, {"alpha": 1 / 4, **DOGS}),
    ("cifar_mobilenetv2_w1d4__upstream", MobileNetV2, {"alpha": 1 / 4, **CIFAR}),
    ("cifar_mobilenetv2_w1d4_bsconvs_p1d6__upstream", MobileNetV2, {"alpha": 1 / 4, **BSCONV_S, **CIFAR}),
    ("mobilenetv2_w1d4_224__upstream", MobileNetV2, {"alpha": 1 / 4, **DOGS}),
    ("cifar_mobilenetv3_small_w7d20__upstream", BSConvMobileNetV3Small, {"alpha": 7 / 20, **CIFAR}),
    (
        "cifar_mobilenetv3_small_w7d20_bsconvs_p1d6__upstream",
        BSConvMobileNetV3Small,
        {"alpha": 7 / 20, **BSCONV_S, **CIFAR},
    ),
    ("mobilenetv3_small_w1_224__upstream", BSConvMobileNetV3Small, DOGS),
    ("cifar_resnet20_bsconvu__upstream", CifarResNet, {"depth": 20, **BSCONV_U}),
    ("cifar_resnet20_bsconvs_p1d4__upstream", CifarResNet, {"depth": 20, **BSCONV_S}),
    ("cifar_preresnet20__upstream", CifarPreResNet, {"depth": 20}),
    ("cifar_wrn16_1__upstream", WideResNet, {"depth": 16, "width": 1}),
    ("cifar_wrn16_2_bsconvs_p1d4__upstream", WideResNet, {"depth": 16, "width": 2, **BSCONV_S}),
    ("resnet10_224__upstream", ImageNetResNet, {"depth": 10, **DOGS}),
    ("mobilenetv3_large_vegfru__ours", MobileNetV3Large, VEGFRU | OURS),
    ("parc_mobilenetv2_vegfru__ours", ParCMobileNetV2, VEGFRU | OURS),
    ("ghostnet__stem", GhostNet, CIFAR | STEM),
    ("ghostnet_vegfru__ours", GhostNet, VEGFRU | OURS),
    ("shufflenetv2__down", ShuffleNetV2, CIFAR | DOWNSAMPLING),
    ("shufflenetv2_vegfru__ours", ShuffleNetV2, VEGFRU | OURS),
]


def cases(table, quick):
    """`make test` runs the first files of each network, on JAX and PyTorch the first of each family."""
    seen = Counter()
    found = []
    for name, build, arguments in table:
        seen.update((build, build.__module__))
        marks = [pytest.mark.slow_elsewhere] if seen[build.__module__] > 1 else []
        marks += [pytest.mark.slow] if seen[build] > quick else []
        found.append(pytest.param(name, build, arguments, id=name, marks=marks))
    return found


def unused_names(names):
    """GhostNet with hybrid stem keeps the batch norm of its plain stem and does not use it."""
    return {name for name in names if name.startswith("bn1.") and "conv_stem.stem_1.0.weight" in names}


@functools.cache
def state_dict_names():
    path = Path(__file__).parents[1] / "golden" / "state_dict_names.json"
    return json.loads(path.read_text(encoding="utf-8"))


def trainable(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.parametrize(("name", "build", "arguments"), cases(GOLDEN, quick=2))
def test_logits(name, build, arguments, golden):
    meta, weights, images, logits = golden(name)
    model = build(classifier_activation=None, **arguments)
    load_torch_state_dict(model, weights)
    unused = unused_names(weights)
    assert trainable(model) == meta["params"] - sum(weights[x].size for x in unused if x in ("bn1.weight", "bn1.bias"))

    # JAX is quick with compiled models only, TensorFlow needs longer to trace one than to run it once.
    jax = keras.backend.backend() == "jax"
    found = model.predict(images, verbose=0) if jax else keras.ops.convert_to_numpy(model(images, training=False))
    assert np.abs(found - logits).max() < 1e-4 * np.abs(logits).max()

    penalty = meta["bsconv_s_regularization_alpha_0_1"]
    assert len(model.losses) == (15 if penalty else 0)
    if penalty:
        np.testing.assert_allclose(keras.ops.convert_to_numpy(sum(model.losses)), penalty, rtol=1e-5)

    back = to_torch_state_dict(model)
    for tensor, values in weights.items():
        assert back[tensor].shape == values.shape
        assert tensor in unused or (back[tensor] == values).all()


@pytest.mark.slow_elsewhere
@pytest.mark.parametrize(("name", "build", "arguments"), cases(NAMES, quick=1))
def test_names_and_shapes(name, build, arguments):
    expected = state_dict_names()[name]
    model = build(classifier_activation=None, **arguments)
    found = {tensor: list(values.shape) for tensor, values in to_torch_state_dict(model).items()}
    counters = {tensor for tensor in found if tensor.endswith("num_batches_tracked")}
    assert len(counters) == sum(tensor.endswith("running_mean") for tensor in found)
    assert {tensor: shape for tensor, shape in found.items() if tensor not in counters} == expected["tensors"]
    unused = unused_names(found.keys()) & {"bn1.weight", "bn1.bias"}
    assert trainable(model) == expected["params"] - sum(found[name][0] for name in unused)
