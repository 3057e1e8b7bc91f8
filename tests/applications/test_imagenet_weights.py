"""Fetching published weights, and the names of ImageNet's classes. Nothing comes from outside here."""

import dataclasses
import hashlib

import keras
import numpy as np
import pytest

from keras_lite.applications import ImageNetResNet, MobileNetV2, ShuffleNetV2, imagenet_weights, mobilenet_v2
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def published(tmp_path, monkeypatch):
    """An entry of the table whose file lies here, and the cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    file = tmp_path / "net-1234.pth"
    file.write_bytes(b"weights")
    prefix = hashlib.sha256(b"weights").hexdigest()[:8]
    weights = dataclasses.replace(imagenet_weights.WEIGHTS[0], url=file.as_uri(), sha256=prefix)
    return weights, file, tmp_path / "home" / "models" / "keras_lite"


def test_fetched_once(published):
    weights, file, cache = published
    path = weights.path()
    assert path.read_bytes() == b"weights"
    assert [entry.name for entry in cache.iterdir()] == [path.name]
    file.unlink()
    assert weights.path() == path


def test_wrong_hash(published):
    weights, file, cache = published
    file.write_bytes(b"others")
    with pytest.raises(InputError, match=rf"SHA-256 that begins with {weights.sha256}, received .* is removed now"):
        weights.path()
    assert not list(cache.iterdir())
    file.write_bytes(b"weights")
    weights.path().write_bytes(b"spoiled")
    with pytest.raises(InputError, match="is removed now"):
        weights.path()
    assert weights.path().read_bytes() == b"weights"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/net.pth", "file:///absent/net.pth"])
def test_offline(published, url):
    weights = dataclasses.replace(published[0], url=url)
    with pytest.raises(InputError, match=r"fetch the weights of MobileNetV3Small\(\), received: URL .* weights=PATH"):
        weights.path()
    assert not list(published[2].iterdir())


def test_find():
    options = {"include_top": False, "input_tensor": keras.layers.Rescaling(2.0)(keras.Input((96, 64, 3)))}
    found = imagenet_weights.find(ShuffleNetV2(alpha=0.5, **options))
    assert found.network == "ShuffleNetV2(alpha=0.5)"
    with pytest.raises(InputError, match="a network with published ImageNet weights"):
        imagenet_weights.find(ImageNetResNet(18, include_top=False))
    other = ShuffleNetV2(alpha=0.5, input_shape=(64, 64, 3), classes=7)
    with pytest.raises(InputError, match=r"1000 classes with ImageNet weights, received 7 \(load_classifier=False"):
        imagenet_weights.find(other)
    assert imagenet_weights.find(other, any_classes=True) == found


def test_names_of_classes(monkeypatch):
    from keras.src.applications import imagenet_utils

    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", {str(i): [f"n{i}", f"name {i}"] for i in range(1000)})
    scores = np.zeros((1, 1000), "float32")
    scores[0, [7, 3]] = 0.6, 0.4
    assert mobilenet_v2.decode_predictions(scores, top=2) == [[("n7", "name 7", scores[0, 7]), ("n3", "name 3", 0.4)]]
    assert imagenet_weights.class_names()[999] == "name 999"
    with pytest.raises(InputError, match=r"of shape \(images, 1000\), received \(1, 10\)"):
        mobilenet_v2.decode_predictions(scores[:, :10])


def test_names_of_classes_offline(monkeypatch):
    from keras.src.applications import imagenet_utils

    def fail(*_, **__):
        raise Exception("URL fetch failure on https://x: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", None)
    monkeypatch.setattr(imagenet_utils.file_utils, "get_file", fail)
    with pytest.raises(InputError, match="the names of ImageNet's classes, received: URL fetch failure"):
        imagenet_weights.class_names()


def test_preprocess_input():
    white = np.full((1, 1, 3), 255.0, "float32")
    np.testing.assert_array_equal(mobilenet_v2.preprocess_input(white.copy()), white / 255)
    found = mobilenet_v2.preprocess_input(white, variant="torchvision")
    np.testing.assert_allclose(found[0, 0], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], 1e-5)
    with pytest.raises(InputError, match=r"variant to be one of \('bsconv', 'torchvision'\), received 'timm'"):
        MobileNetV2(variant="timm")


def test_narrower_networks():
    """torchvision rounds widths to multiples of 8 and expands what is rounded."""
    model = MobileNetV2(variant="torchvision", alpha=0.35, input_shape=(32, 32, 3))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 1_677_128
