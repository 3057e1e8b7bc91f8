"""Networks of torchvision and timm: files of their weights give the same outputs here."""

import keras
import numpy as np
import pytest
import torch
import torch_networks
from safetensors.torch import save_file

from keras_lite.applications import (
    GhostNet,
    ImageNetResNet,
    MobileNetV2,
    MobileNetV3Large,
    MobileNetV3Small,
    ShuffleNetV2,
    imagenet_weights,
)
from keras_lite.checkpoints import load_checkpoint, to_torch_state_dict
from keras_lite.errors import InputError

SIZE = 64
NETWORKS = {
    "mobilenet_v3_small": (MobileNetV3Small, {}, 2_542_856),
    "mobilenet_v3_large": (MobileNetV3Large, {}, 5_483_032),
    "mobilenet_v2": (MobileNetV2, {"variant": "torchvision"}, 3_504_872),
    "shufflenet_v2_x0_5": (ShuffleNetV2, {"alpha": 0.5}, 1_366_792),
    "shufflenet_v2_x1_0": (ShuffleNetV2, {}, 2_278_604),
    "shufflenet_v2_x1_5": (ShuffleNetV2, {"alpha": 1.5}, 3_503_624),
    "shufflenet_v2_x2_0": (ShuffleNetV2, {"alpha": 2.0}, 7_393_996),
    "resnet18": (ImageNetResNet, {"depth": 18, "variant": "torchvision"}, 11_689_512),
    "resnet34": (ImageNetResNet, {"depth": 34, "variant": "torchvision"}, 21_797_672),
    "ghostnet_100": (GhostNet, {}, 5_182_508),
}
CHEAPEST = ("resnet18", "shufflenet_v2_x0_5")


def build(name, **options):
    function, arguments, _ = NETWORKS[name]
    options = {"input_shape": (SIZE, SIZE, 3), "classifier_activation": None, **arguments, **options}
    return function(**options)


def save(network, name, folder):
    """Write a network as its publisher does, and one in the format that PyTorch had before 1.6."""
    if name == "ghostnet_100":
        save_file(network.state_dict(), folder / "model.safetensors")
        return folder / "model.safetensors"
    old = name == "mobilenet_v3_small"
    torch.save(network.state_dict(), folder / "net.pth", _use_new_zipfile_serialization=not old)
    return folder / "net.pth"


def images():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(2, SIZE, SIZE, 3)) * [[[[1.5]]], [[[0.5]]]]).astype("float32")


def predict(model, inputs):
    # JAX is quick with compiled models only, TensorFlow needs longer to trace one than to run it once.
    jax = keras.backend.backend() == "jax"
    return model.predict(inputs, verbose=0) if jax else keras.ops.convert_to_numpy(model(inputs, training=False))


def assert_same(found, expected):
    assert found.shape == expected.shape
    largest = np.abs(expected).max()
    # What is not the image's doing would be alike in both.
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * largest
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * largest)


def assert_published(weights, name):
    """What the table says is what torchvision or timm says."""
    if name == "ghostnet_100":
        import timm

        config = timm.get_pretrained_cfg(name)
        assert weights.url.startswith(f"https://huggingface.co/{config.hf_hub_id}/resolve/")
        sizes, interpolation = (round(config.input_size[1] / config.crop_pct), config.input_size[1]), "bicubic"
        assert config.interpolation == interpolation
        mean, std = config.mean, config.std
    else:
        published = torch_networks.torchvision_models().get_model_weights(name).DEFAULT
        assert weights.url == published.url
        assert weights.sha256 in published.url
        photos = published.transforms()
        sizes, interpolation = (*photos.resize_size, *photos.crop_size), photos.interpolation.value
        mean, std = photos.mean, photos.std
    assert (weights.resize_size, weights.input_size) == sizes
    assert weights.interpolation == interpolation
    assert (list(weights.mean), list(weights.std)) == (list(mean), list(std))


@pytest.mark.parametrize(
    "name", [name if name in CHEAPEST else pytest.param(name, marks=pytest.mark.slow_elsewhere) for name in NETWORKS]
)
def test_same_logits(name, tmp_path):
    network = torch_networks.make(name)
    model = build(name)
    load_checkpoint(model, save(network, name, tmp_path))
    assert_same(predict(model, images()), torch_networks.logits(network, images()))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == NETWORKS[name][2]
    assert_published(imagenet_weights.find(model), name)
    back = to_torch_state_dict(model)
    for key, tensor in network.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(back[key], tensor.numpy())


@pytest.mark.tensorflow_only
def test_other_heads(tmp_path):
    network = torch_networks.make("mobilenet_v3_small")
    path = save(network, "mobilenet_v3_small", tmp_path)

    features = build("mobilenet_v3_small", include_top=False)
    load_checkpoint(features, path)
    maps = torch_networks.logits(network.features, images()).transpose(0, 2, 3, 1)
    assert_same(predict(features, images()), maps)

    other = build("mobilenet_v3_small", classes=7)
    with pytest.raises(InputError, match=r"net.pth: .*classifier.3.bias \(1000,\).*load_classifier=False takes all"):
        load_checkpoint(other, path)
    before = other.get_layer("predictions").get_weights()
    load_checkpoint(other, path, load_classifier=False)
    np.testing.assert_array_equal(other.get_layer("hidden").kernel, network.classifier[0].weight.detach().numpy().T)
    for old, new in zip(before, other.get_layer("predictions").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.tensorflow_only
def test_checkpoint_of_another_network(tmp_path):
    torch.save(torch_networks.torchvision_models().resnet18().state_dict(), tmp_path / "resnet18.pth")
    model = build("shufflenet_v2_x0_5")
    before = model.get_weights()
    with pytest.raises(
        InputError, match=r"resnet18.pth: Expected the state dict of shufflenet_v2, .* It fits imagenet_resnet"
    ):
        load_checkpoint(model, tmp_path / "resnet18.pth")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize("options", [{"downsampling": "padding_free"}, {"small_images": True}])
def test_no_imagenet_weights_for_other_forms(options):
    with pytest.raises(InputError, match=r"a network with published ImageNet weights .* received mobilenet_v2 of ano"):
        imagenet_weights.find(build("mobilenet_v2", **options))
