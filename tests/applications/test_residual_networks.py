"""Arguments of the residual networks and of the BSConv library's networks, and counts published beside the tables."""

import keras
import numpy as np
import pytest

from keras_lite import applications
from keras_lite.applications import (
    BSConvMobileNetV3Large,
    BSConvMobileNetV3Small,
    CifarPreResNet,
    CifarResNet,
    EfficientResNet,
    ImageNetPreResNet,
    ImageNetResNet,
    MobileNetV1,
    MobileNetV2,
    WideResNet,
)
from keras_lite.errors import InputError
from keras_lite.profiling import profile

pytestmark = pytest.mark.slow_elsewhere

CIFAR = {"input_shape": (32, 32, 3), "classes": 100}
HYBRID = {"stem": "hybrid"}
PADDING_FREE = {"downsampling": "padding_free"}


@pytest.mark.parametrize(
    ("build", "arguments", "parameters", "million_flops"),
    [
        # What the published code makes of the small networks when their strided convolutions become padding-free.
        (MobileNetV1, CIFAR | PADDING_FREE, 3_309_482, 142.9),
        (MobileNetV2, CIFAR | PADDING_FREE, 2_353_066, 72.0),
        (BSConvMobileNetV3Small, CIFAR | HYBRID | PADDING_FREE, 1_146_712, 15.0),
        (CifarResNet, {"depth": 56, **HYBRID, **PADDING_FREE}, 865_434, 113.6),
        (WideResNet, {"depth": 16, "width": 4, **HYBRID, **PADDING_FREE}, 3_182_378, 381.8),
    ],
)
def test_counts_of_networks_without_a_row(build, arguments, parameters, million_flops):
    found = profile(build(**arguments))
    assert found.parameters == parameters
    assert round(found.flops("bsconv_profiler") / 1e6, 1) == million_flops


@pytest.mark.parametrize("build", [ImageNetResNet, ImageNetPreResNet])
@pytest.mark.parametrize("downsampling", ["strided", "padding_free"])
def test_imagenet_resnets(build, downsampling):
    model = build(10, classes=5, input_shape=(64, 96, 3), downsampling=downsampling, convolution="bsconv_s")
    assert model.output_shape == (None, 5)
    # BSConv-S takes the place of both 3x3 convolutions of each of four units, but not of the 7x7 one. Without padding
    # the shortcuts of three pre-activation units have 3x3 convolutions too.
    assert len(model.losses) == (11 if build is ImageNetPreResNet and downsampling == "padding_free" else 8)
    assert model.get_layer("stem_convolution").kernel_size == (7, 7)


def test_max_pool_of_the_stem_is_pytorchs():
    """3 x 3, stride 2, one pixel of padding: 112 becomes 56, and the first window ends at the second pixel."""
    model = ImageNetResNet(10, include_top=False)
    before, after = (model.get_layer(name).output for name in ("stem_relu", "stem_pool"))
    assert (before.shape[1:3], after.shape[1:3]) == ((112, 112), (56, 56))
    images = np.random.default_rng(0).uniform(size=(1, 32, 32, 3)).astype("float32")
    model = ImageNetResNet(10, include_top=False, input_shape=(32, 32, 3))
    taps = keras.Model(model.inputs[0], [model.get_layer(name).output for name in ("stem_relu", "stem_pool")])
    x, pooled = (keras.ops.convert_to_numpy(y)[0] for y in taps(images))
    np.testing.assert_array_equal(pooled[0, 0], x[:2, :2].max((0, 1)))
    np.testing.assert_array_equal(pooled[1, 1], x[1:4, 1:4].max((0, 1)))


def test_generator_of_efficient_resnets():
    model = EfficientResNet(blocks=(2, 1), channels=32, kernel_sizes=(5, 3), shortcut_kernel_sizes=3, dropout_rate=0.3)
    assert [model.get_layer(f"layer{n}_block1_convolution2").kernel_size for n in (1, 2)] == [(5, 5), (3, 3)]
    assert model.get_layer("layer2_block1_shortcut").kernel_size == (3, 3)
    dropouts = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert dropouts == [0.3] * 4  # behind each of three blocks, and before the classifier
    assert model.get_layer("layer2_block1_relu2").output.shape == (None, 16, 16, 64)


def test_heavy_head_stands_before_the_classifier_only():
    model = BSConvMobileNetV3Large(**CIFAR, heavy_head=True, include_top=False, pooling="avg")
    assert model.output_shape == (None, 960)


@pytest.mark.parametrize("build", [MobileNetV1, MobileNetV2, BSConvMobileNetV3Large])
def test_small_images_keep_their_resolution_longer(build):
    def last_map(**arguments):
        return build(include_top=False, alpha=0.25, **arguments).output_shape[1:3]

    assert last_map(input_shape=(32, 32, 3)) == (4, 4)
    assert last_map(input_shape=(64, 64, 3)) == (2, 2)
    assert last_map(input_shape=(64, 64, 3), small_images=True) == (8, 8)
    assert last_map(input_shape=(None, None, 3)) == (None, None)
    assert last_map(input_shape=(64, 64, 3), downsampling="attention") == (2, 2)


@pytest.mark.parametrize("module", ["mobilenet_v1", "cifar_resnet", "imagenet_resnet", "bsconv_mobilenet_v3"])
def test_preprocess_input_gives_0_to_1(module):
    pixels = np.array([[[0, 51, 255]]], "float32")
    found = getattr(applications, module).preprocess_input(pixels)
    np.testing.assert_allclose(found, [[[0, 0.2, 1]]], rtol=1e-6)


def test_preprocess_input_of_efficient_resnet():
    found = applications.efficient_resnet.preprocess_input(np.array([[[0, 127.5, 255]]], "float32"))
    expected = [-0.4914 / 0.2023, (0.5 - 0.4822) / 0.1994, (1 - 0.4465) / 0.2010]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found)[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (CifarResNet, {"depth": 21}, r"depth to be 6 n \+ 2 for CifarResNet \(8, 14, 20, ...\), received 21"),
        (WideResNet, {"depth": 20}, r"depth to be 6 n \+ 4 for WideResNet \(10, 16, 22, ...\), received 20"),
        (WideResNet, {"width": 0}, "width to be a positive integer, received 0"),
        (CifarPreResNet, {"stem": "deep"}, "stem to be one of .*received 'deep'"),
        (CifarResNet, {"downsampling": "attention"}, "received 'attention': that replaces a whole unit"),
        (CifarResNet, {"downsampling": "blur"}, "downsampling to be one of .*received 'blur'"),
        (WideResNet, {"shortcut": "identity"}, "shortcut to be one of .*received 'identity'"),
        (CifarResNet, {"convolution": "octave"}, "convolution to be one of .*received 'octave'"),
        (CifarResNet, {"convolution_options": {"ratio": 0.5}}, "no convolution_options with standard convolutions"),
        (CifarResNet, {"input_shape": (6, 6, 3), **PADDING_FREE}, "at least 7 x 7 pixels for CifarResNet.*not padded"),
        (ImageNetResNet, {"depth": 50}, r"depth to be one of \(10, 18, 26, 34, 68, 102\).*received 50"),
        (ImageNetResNet, {"stem": "hybrid"}, "begins with a 7x7 one"),
        (MobileNetV1, {"convolution": "bsconv_s"}, "'bsconv_s': a pair of a depthwise and a 1x1 convolution"),
        (MobileNetV2, {"convolution": "bsconv_u"}, "'bsconv_u': the units of this network are inverted residuals"),
        (MobileNetV2, {"alpha": 0.0}, "alpha to leave at least one of 32 channels, received 0.0"),
        (
            BSConvMobileNetV3Large,
            {"convolution": "bsconv_s", "convolution_options": {"ratio": 0.5}},
            "only alpha in convolution_options",
        ),
        (EfficientResNet, {"kernel_sizes": (3, 4, 3)}, "kernel_sizes to be odd and positive"),
        (EfficientResNet, {"kernel_sizes": (3, 3)}, "kernel_sizes to be one number or 3, one a layer"),
        (EfficientResNet, {"blocks": ()}, "blocks to be positive integers"),
        (EfficientResNet, {"channels": 8}, "channels to be an integer of at least 16, received 8"),
        (EfficientResNet, {"dropout_rate": 1.0}, "dropout_rate to be at least 0 and below 1"),
    ],
)
def test_wrong_arguments(build, arguments, message):
    with pytest.raises(InputError, match=message):
        build(**arguments)
