import keras
import numpy as np
import pytest

from keras_lite import applications
from keras_lite.applications import create, feature_extractor
from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.layers import ChannelShuffle

# Strides -> height and channels, as torchvision, timm and the papers have them.
SHAPES = {
    "bsconv_mobilenet_v3_large": {2: (112, 16), 4: (56, 24), 8: (28, 40), 16: (14, 112), 32: (7, 960)},
    "bsconv_mobilenet_v3_small": {2: (112, 16), 4: (56, 16), 8: (28, 24), 16: (14, 48), 32: (7, 576)},
    "carnet18": {1: (240, 64), 2: (117, 128), 4: (56, 256), 8: (25, 512)},
    "cifar_preresnet": {1: (32, 16), 2: (16, 32), 4: (8, 64)},
    "cifar_resnet": {1: (32, 16), 2: (16, 32), 4: (8, 64)},
    "efficient_resnet": {1: (32, 64), 2: (16, 128), 4: (8, 256)},
    "ghostnet": {2: (112, 16), 4: (56, 24), 8: (28, 40), 16: (14, 112), 32: (7, 960)},
    "imagenet_preresnet": {2: (112, 64), 4: (56, 64), 8: (28, 128), 16: (14, 256), 32: (7, 512)},
    "imagenet_resnet": {2: (112, 64), 4: (56, 64), 8: (28, 128), 16: (14, 256), 32: (7, 512)},
    "mobilenet_v1": {2: (112, 64), 4: (56, 128), 8: (28, 256), 16: (14, 512), 32: (7, 1024)},
    "mobilenet_v2": {2: (112, 16), 4: (56, 24), 8: (28, 32), 16: (14, 96), 32: (7, 1280)},
    "mobilenet_v3_large": {2: (112, 16), 4: (56, 24), 8: (28, 40), 16: (14, 112), 32: (7, 960)},
    "mobilenet_v3_small": {2: (112, 16), 4: (56, 16), 8: (28, 24), 16: (14, 48), 32: (7, 576)},
    "parc_mobilenet_v2": {2: (112, 16), 4: (56, 24), 8: (28, 32), 16: (14, 96), 32: (7, 1280)},
    "resnet18": {1: (244, 64), 2: (122, 128), 4: (61, 256), 8: (31, 512)},
    "shufflenet_v2": {2: (112, 24), 4: (56, 24), 8: (28, 116), 16: (14, 232), 32: (7, 1024)},
    "wide_resnet": {1: (32, 16 * 3), 2: (16, 32 * 3), 4: (8, 64 * 3)},
}


def shapes(model):
    return {name: tuple(tensor.shape[1:]) for name, tensor in model.output.items()}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("name", applications.list_models())
def test_shapes(name):
    features = feature_extractor(create(name, pooling="avg", include_top=name < "d"))
    assert shapes(features) == {f"stride{n}": (size, size, c) for n, (size, c) in SHAPES[name].items()}


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # 32 -> 15 -> 7 -> 3, though 32 / 3 is more than 8.
        ("mobilenet_v3_large", {"downsampling": "padding_free"}, {1: (32, 24), 2: (15, 40), 4: (7, 112), 8: (3, 960)}),
        ("mobilenet_v1", {"downsampling": "attention"}, {1: (32, 128), 2: (16, 256), 4: (8, 512), 8: (4, 1024)}),
        # The hybrid stem takes the place of the pool too.
        ("shufflenet_v2", {"small_images": False}, {4: (8, 24), 8: (4, 116), 16: (2, 232), 32: (1, 1024)}),
    ],
)
def test_shapes_of_variants(name, options, expected):
    features = feature_extractor(create(name, input_shape=(32, 32, 3), stem="hybrid", **options))
    assert shapes(features) == {f"stride{n}": (size, size, c) for n, (size, c) in expected.items()}


@pytest.mark.filterwarnings("error::UserWarning")  # of another structure of inputs
def test_values():
    network = create("cifar_resnet", depth=8, include_top=False, classifier_activation=None)
    features = feature_extractor(network, strides=(4, 1))
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    found = {name: keras.ops.convert_to_numpy(tensor) for name, tensor in features(images).items()}
    assert set(found) == {"stride1", "stride4"}
    expected = keras.ops.convert_to_numpy(network(images))
    np.testing.assert_allclose(found["stride4"], expected, rtol=1e-5, atol=1e-6)
    assert features.get_layer("stem_convolution") is network.get_layer("stem_convolution")


@pytest.mark.tensorflow_only
def test_open_size_and_input_tensor():
    scaled = keras.layers.Rescaling(1 / 255)(keras.Input((None, None, 3)))
    features = feature_extractor(create("mobilenet_v2", input_tensor=scaled, include_top=False), strides=[8])
    assert shapes(features) == {"stride8": (None, None, 32)}


def test_wrong_arguments():
    network = create("cifar_resnet", depth=8)
    with pytest.raises(InputError, match=r"strides of cifar_resnet8, of \(1, 2, 4\), received \(4, 8\)"):
        feature_extractor(network, strides=(4, 8))
    with pytest.raises(InputError, match=r"received \(\)"):
        feature_extractor(network, strides=())
    with pytest.raises(InputError, match=r"from keras_lite\.applications, received dense"):
        feature_extractor(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="dense"))
    inputs = keras.Input((4, 4, 8))
    with pytest.raises(InputError, match="not flattened, received shuffled"):
        feature_extractor(flatten(keras.Model(inputs, ChannelShuffle(2)(inputs), name="shuffled")))
