import keras
import numpy as np
import pytest

from keras_lite.data import open_data
from keras_lite.data.cifar_download import CLASS_NAMES
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_keras_download_becomes_sources(monkeypatch, name, classes):
    images = np.random.default_rng(0).integers(0, 256, (2 * classes, 32, 32, 3), dtype="uint8")
    labels = np.arange(2 * classes)[:, None] % classes  # of shape (count, 1), as Keras gives them
    monkeypatch.setattr(
        getattr(keras.datasets, name), "load_data", lambda: ((images, labels), (images[:5], labels[:5]))
    )
    sources = open_data(name, (32, 32))
    assert list(sources) == ["train", "test"]
    assert len(sources["train"].class_names) == classes
    assert sources["test"].labels.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(sources["train"].images([7]), images[7:8])


def test_class_names_are_the_official_ones():
    """The official files have the names of the fine classes in alphabetical order."""
    assert CLASS_NAMES["cifar10"][:4] == ["airplane", "automobile", "bird", "cat"]
    assert len(set(CLASS_NAMES["cifar100"])) == 100
    assert CLASS_NAMES["cifar100"] == sorted(CLASS_NAMES["cifar100"])
    assert [CLASS_NAMES["cifar100"][n] for n in (0, 19, 47, 99)] == ["apple", "cattle", "maple_tree", "worm"]


def test_a_failed_download_is_one_line(monkeypatch):
    def fail():
        raise Exception("URL fetch failure on https://example.org:\nNone -- no network")

    monkeypatch.setattr(keras.datasets.cifar100, "load_data", fail)
    with pytest.raises(InputError, match=r"^Expected to download cifar100.*no network.*--data_dir[^\n]*$"):
        open_data("cifar100", (32, 32))
