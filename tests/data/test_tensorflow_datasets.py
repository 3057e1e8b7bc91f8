import sys
import types
from pathlib import Path

import numpy as np
import pytest
from dataset_records import NAMES, stand_in, write_records

from keras_lite.data import open_data
from keras_lite.errors import InputError, MissingExtraError

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Two files of training images and one of validation images, and a stand-in for the package."""
    module = stand_in("pets", tmp_path, ("/data", None))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    info = module.builder("pets").info
    return types.SimpleNamespace(info=info, folder=tmp_path, file=Path(info.splits["train"].filepaths[1]))


@pytest.mark.parametrize("name", ["tfds:pets", "tfds:pets@/data"])
def test_reads_the_splits(prepared, name):
    sources = open_data(name, (8, 8))
    assert list(sources) == ["train", "valid"]
    assert sources["train"].class_names == NAMES
    assert sources["train"].labels.tolist() == [0, 1, 2, 0, 0, 1, 2, 0]
    reds = sources["train"].images(np.array([5, 2, 0]))[:, 4, 4, 0]
    assert reds.tolist() == [50, 100, 0]


def refused(*parts):
    with pytest.raises(InputError) as caught:
        open_data("tfds:pets", (8, 8))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)


@pytest.mark.filterwarnings("ignore::keras_lite.errors.InputWarning")
def test_damaged_files_are_refused(prepared, capsys):
    content = prepared.file.read_bytes()
    for length in (len(content) - 2, len(content) - 40, 5):
        prepared.file.write_bytes(content[:length])
        refused(prepared.file, "cut off or damaged")
    prepared.file.write_bytes(b"\xff" * 20 + content)
    refused(prepared.file, "cut off or damaged at byte 12")
    start = content.index(b"IHDR")
    prepared.file.write_bytes(content[:start] + b"JUNK" + content[start + 4 :])
    refused("Expected an image in", prepared.file, "at byte")
    assert len(open_data("tfds:pets", (8, 8), skip_broken=True)["train"]) == 7
    write_records(prepared.file, 2, label=3)
    refused(prepared.file, "from 0 to 2", "received 3")


def test_other_sets_are_refused(prepared):
    with pytest.raises(InputError, match=r"can't be opened: no set dogs in /data$"):
        open_data("tfds:dogs@/data", (8, 8))
    prepared.info.splits["train"].filepaths[0] = "pets-train.array_record-00000-of-00001"
    refused("TFRecord", "array_record")
    prepared.info.splits = {"unsupervised": None}
    refused("train, validation or test", "unsupervised")
    prepared.info.splits = {}
    refused("tfds build pets")
    prepared.info.splits = {"train": None}
    prepared.info.features.names = None
    refused("image and label")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "keras-lite\[tfds\]"'):
        open_data("tfds:pets", (8, 8))
