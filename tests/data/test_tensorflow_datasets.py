import io
import sys
import types

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import open_data
from keras_lite.errors import InputError, MissingExtraError

pytestmark = pytest.mark.tensorflow_only

NAMES = ["ant", "bee", "cat"]


def write_records(path, count, label=None):
    """Write TFRecords as tensorflow-datasets does: one image each, its file and its label."""
    import tensorflow as tf

    def feature(**value):
        return tf.train.Feature(**{kind: getattr(tf.train, name)(value=v) for kind, (name, v) in value.items()})

    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(count):
            file = io.BytesIO()
            Image.new("RGB", (10 + number, 9), (50 * number, 0, 0)).save(file, "png")
            features = {
                "image": feature(bytes_list=("BytesList", [file.getvalue()])),
                "image/filename": feature(bytes_list=("BytesList", [f"{number}.png".encode()])),
                "label": feature(int64_list=("Int64List", [number % 3 if label is None else label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


class Features:
    """Like the package's, no dictionary."""

    names = NAMES

    def items(self):
        return [("image", object()), ("image/filename", object()), ("label", types.SimpleNamespace(names=self.names))]


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Two files of training images and one of validation images, and a stand-in for the package."""
    files = {"train": ["pets-train.tfrecord-00000-of-00002", "pets-train.tfrecord-00001-of-00002"]}
    files["validation"] = ["pets-validation.tfrecord-00000-of-00001"]
    for name in [name for names in files.values() for name in names]:
        write_records(tmp_path / name, 4)
    info = types.SimpleNamespace(
        splits={
            split: types.SimpleNamespace(filepaths=[str(tmp_path / name) for name in names])
            for split, names in files.items()
        },
        features=Features(),
    )

    def builder(name, data_dir=None):
        if (name, data_dir) not in (("pets", "/data"), ("pets", None)):
            raise ValueError(f"no set {name}\nin {data_dir}")
        return types.SimpleNamespace(info=info)

    module = types.ModuleType("tensorflow_datasets")
    module.builder = builder
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
    return types.SimpleNamespace(info=info, folder=tmp_path, file=tmp_path / files["train"][1])


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
