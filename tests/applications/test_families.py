"""What the light families do beyond their published form."""

import keras
import numpy as np
import pytest

from keras_lite import applications
from keras_lite.applications import (
    BSConvMobileNetV3Large,
    BSConvMobileNetV3Small,
    GhostNet,
    MobileNetV3Large,
    MobileNetV3Small,
    ParCMobileNetV2,
    ShuffleNetV2,
    blocks,
)
from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.layers import ChannelAttention

pytestmark = pytest.mark.slow_elsewhere

NETWORKS = [GhostNet, MobileNetV3Large, MobileNetV3Small, ParCMobileNetV2, ShuffleNetV2]


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("build", "options", "parameters"),
    [
        # torchvision's counts with 1000 classes.
        (MobileNetV3Large, {}, 5_483_032),
        (MobileNetV3Small, {}, 2_542_856),
        (ShuffleNetV2, {"alpha": 0.5}, 1_366_792),
        (ShuffleNetV2, {}, 2_278_604),
        (ShuffleNetV2, {"alpha": 1.5}, 3_503_624),
        (ShuffleNetV2, {"alpha": 2.0}, 7_393_996),
    ],
)
def test_parameters(build, options, parameters):
    model = build(input_shape=(32, 32, 3), **options) if build is MobileNetV3Small else build(**options)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters


@pytest.mark.tensorflow_only
def test_widths():
    narrow = MobileNetV3Large(input_shape=(32, 32, 3), alpha=0.5, reduced_tail=True)
    # 160 channels, halved by the tail and again by the multiplier; six times as many in the last convolution.
    assert narrow.get_layer("block15_project_convolution").filters == 40
    assert narrow.get_layer("block15_expand_convolution").filters == 240
    assert narrow.get_layer("block13_expand_convolution").filters == 336
    assert narrow.get_layer("last_convolution").filters == 240
    assert narrow.get_layer("hidden").units == 320
    assert [blocks.rounded(v) for v in (3, 11, 12, 18, 44, 100)] == [8, 16, 16, 24, 48, 104]
    assert GhostNet(input_shape=(32, 32, 3), alpha=1.3).get_layer("stem_convolution").filters == 20


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("build", NETWORKS)
def test_options(build):
    """Stem, downsampling and head in one: the feature map gets smaller with less padding."""
    inputs = keras.Input((64, 96, 3))
    strided = build(include_top=False, input_tensor=inputs)
    free = build(include_top=False, input_tensor=inputs, stem="hybrid", downsampling="padding_free", pooling="max")
    attention = build(input_tensor=inputs, classes=3, downsampling="attention", classifier_activation=None)
    assert strided.output_shape[:3] == (None, 2, 3)
    assert len(free.output_shape) == 2
    assert attention.output_shape == (None, 3)
    layers = [type(layer).__name__ for layer in flatten(attention).layers]
    assert layers.count("StridedAttention") == (1 if build is ShuffleNetV2 else 2)


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (GhostNet, {"stem": "none"}, r"stem to be one of \('plain', 'hybrid'\), received 'none'"),
        (GhostNet, {"downsampling": "blur"}, "downsampling to be one of .* received 'blur'"),
        (GhostNet, {"alpha": 0}, "alpha to be above 0, received 0"),
        (MobileNetV3Large, {"alpha": -1.0}, "alpha to be above 0, received -1.0"),
        (ShuffleNetV2, {"alpha": 0.75}, r"alpha to be one of \(0.5, 1.0, 1.5, 2.0\), received 0.75"),
        (ShuffleNetV2, {"input_shape": (None, None, 3)}, "with a height and width for ShuffleNetV2"),
        (MobileNetV3Large, {"activation": "swish"}, "activation to be one of .*'relu6'.* received 'swish'"),
        (MobileNetV3Large, {"gate": "tanh"}, r"gate to be one of \('sigmoid', 'hard_sigmoid', None\), received 'tanh'"),
        (ParCMobileNetV2, {"input_shape": (None, 32, 3)}, "with a height and width for ParCMobileNetV2"),
        (
            MobileNetV3Large,
            {"input_shape": (14, 14, 3), "downsampling": "padding_free"},
            r"at least 15 x 15 pixels for MobileNetV3 with downsampling='padding_free', received \(14, 14, 3\)",
        ),
        (
            MobileNetV3Small,
            {"input_shape": (32, 32, 3), "downsampling": "padding_free"},
            "at least 61 x 61 pixels",
        ),
    ],
)
def test_wrong_arguments(build, arguments, message):
    with pytest.raises(InputError, match=message):
        build(**arguments)


@pytest.mark.tensorflow_only
def test_smallest_images():
    small = MobileNetV3Large(input_shape=(15, 15, 3), downsampling="padding_free", include_top=False)
    assert small.output_shape == (None, 1, 1, 960)
    large = MobileNetV3Small(input_shape=(61, 61, 3), downsampling="padding_free", include_top=False)
    assert large.output_shape == (None, 1, 1, 576)


@pytest.mark.tensorflow_only
def test_initialization():
    model = flatten(MobileNetV3Large(input_shape=(32, 32, 3), stem="hybrid"))
    kernel = model.get_layer("block14_depthwise_convolution").get_weights()[0]
    # PyTorch's fan-out ignores groups.
    assert abs(kernel.std() / np.sqrt(2 / (25 * 960)) - 1) < 0.05
    assert abs(model.get_layer("predictions").get_weights()[0].std() / 0.01 - 1) < 0.05
    stem = {model.get_layer(f"stem_{part}_batch_norm").epsilon for part in ("convolution", "depthwise", "fuse")}
    assert stem == {1e-5}
    assert (model.get_layer("last_batch_norm").epsilon, model.get_layer("last_batch_norm").momentum) == (1e-3, 0.99)

    model = GhostNet(input_shape=(32, 32, 3))
    kernel = model.get_layer("stage7_block5_ghost1").primary[0].get_weights()[0]
    assert 0.99 / np.sqrt(112) < np.abs(kernel).max() <= 1 / np.sqrt(112)


def test_preprocess_input():
    for family in ("ghostnet", "mobilenet_v3", "parc_mobilenet_v2", "shufflenet_v2"):
        found = getattr(applications, family).preprocess_input(np.full((1, 1, 3), 255.0, "float32"))
        np.testing.assert_allclose(found[0, 0], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], 1e-5)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("build", [MobileNetV3Large, MobileNetV3Small, BSConvMobileNetV3Large, BSConvMobileNetV3Small])
def test_phone_friendly_form(build):
    arguments = {"input_shape": (64, 64, 3), "stem": "hybrid", "downsampling": "padding_free", "alpha": 0.5}
    published = flatten(build(**arguments))
    small = flatten(build(**arguments, activation="relu6", gate=None))
    kinds = {layer.activation.__name__ for layer in published.layers if hasattr(layer, "activation")}
    assert {"hard_silu", "hard_sigmoid"} <= kinds
    assert {layer.activation.__name__ for layer in small.layers if hasattr(layer, "activation")} <= {
        "linear",
        "softmax",
    }
    assert "Multiply" not in {type(layer).__name__ for layer in small.layers}
    # Each hard-swish has become a ReLU6; nothing else has changed.
    swishes = sum(getattr(layer, "activation", None) is keras.activations.hard_silu for layer in published.layers)
    assert sum(getattr(layer, "max_value", None) == 6 for layer in small.layers) == swishes > 0
    attention = sum(layer.count_params() for layer in published.layers if "attention" in layer.name)
    assert small.count_params() == published.count_params() - attention


def test_gate():
    gated = GhostNet(input_shape=(32, 32, 3), classes=3, gate="sigmoid")
    attention = [layer.gate_name for layer in gated.layers if isinstance(layer, ChannelAttention)]
    assert attention == ["sigmoid"] * 7
    free = GhostNet(input_shape=(32, 32, 3), classes=3, gate=None)
    assert not any(isinstance(layer, ChannelAttention) for layer in free.layers)
    assert free.predict(np.zeros((1, 32, 32, 3), "float32"), verbose=0).shape == (1, 3)


@pytest.mark.tensorflow_only
def test_weights_of_another_form_are_refused():
    for options in ({"activation": "relu6"}, {"gate": "sigmoid"}, {"gate": None}):
        with pytest.raises(
            InputError, match=r"published ImageNet weights .* received mobilenet_v3_small of another form"
        ):
            MobileNetV3Small(weights="imagenet", **options)
