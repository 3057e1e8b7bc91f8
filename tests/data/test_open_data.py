import pickle

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import is_named, open_data
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


def write_folder(root):
    for name in ("ant", "bee"):
        (root / "train" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / "train" / name / "1.png")


def test_a_folder_of_photos(tmp_path):
    write_folder(tmp_path)
    sources = open_data(tmp_path, (8, 12))
    assert sources["train"].class_names == ["ant", "bee"]
    assert sources["train"].image_size == (8, 12)


@pytest.mark.filterwarnings("ignore::keras_lite.errors.InputWarning")
def test_skip_broken_is_passed_on(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "ant" / "2.png").write_text("not an image")
    with pytest.raises(InputError, match=r"2\.png"):
        open_data(tmp_path, (8, 8))
    assert len(open_data(tmp_path, (8, 8), skip_broken=True)["train"]) == 2


def test_the_built_in_shapes():
    sources = open_data("shapes", (16, 16))
    assert list(sources) == ["train", "valid", "test"]
    assert len(sources["test"]) >= 2000
    assert len(sources["train"].class_names) >= 10
    assert all(source.image_size == (16, 16) for source in sources.values())
    seen = [{image.tobytes() for image in source.images(np.arange(len(source)))} for source in sources.values()]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    with pytest.raises(InputError, match="square"):
        open_data("shapes", (16, 24))


def test_cifar_keeps_its_size(tmp_path):
    (tmp_path / "batches.meta").write_bytes(b"")
    with pytest.raises(InputError, match=r"\(32, 32\)"):
        open_data(tmp_path, (64, 64))
    with pytest.raises(InputError, match="data_batch_1"):
        open_data(tmp_path, (32, 32))


def write_cifar100(root, classes=100, label=0):
    entries = {b"data": np.zeros((3, 3072), "uint8"), b"fine_labels": [0, 1, label]}
    for name in ("train", "test"):
        (root / name).write_bytes(pickle.dumps(entries))
    (root / "meta").write_bytes(pickle.dumps({b"fine_label_names": [f"{n}".encode() for n in range(classes)]}))


def refused(root, *parts):
    with pytest.raises(InputError) as caught:
        open_data(root, (32, 32))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)


def test_wrong_cifar_files_are_named(tmp_path):
    write_cifar100(tmp_path)
    assert len(open_data(tmp_path, (32, 32))["train"]) == 3
    whole = (tmp_path / "train").read_bytes()
    (tmp_path / "train").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, tmp_path / "train", "can't be read")
    write_cifar100(tmp_path, label=100)
    refused(tmp_path, tmp_path / "train", "from 0 to 99", "received from 0 to 100")
    write_cifar100(tmp_path, classes=99)
    refused(tmp_path, tmp_path / "meta", "100 different class names", "received 99")


def test_ninety_nine_classes_of_photos_are_refused(tmp_path):
    for split, count in (("train", 100), ("test", 99)):
        for number in range(count):
            (tmp_path / split / f"{number:02}").mkdir(parents=True)
            Image.new("RGB", (2, 2)).save(tmp_path / split / f"{number:02}" / "1.bmp")
    refused(tmp_path, "the same classes", "received 99 in", tmp_path / "train", f"not in {tmp_path / 'test'}")


def test_names_are_told_from_folders():
    assert all(is_named(name) for name in ("shapes", "cifar10", "cifar100", "tfds:pets", "tfds:pets@/data"))
    assert not any(is_named(name) for name in ("photos", "./shapes", "/data/cifar10"))


def test_what_was_looked_for_is_said(tmp_path):
    with pytest.raises(InputError, match=r"train/CLASS/photo\.jpg.*found nothing"):
        open_data(tmp_path, (8, 8))
    with pytest.raises(InputError, match="nowhere, found nothing"):
        open_data(tmp_path / "nowhere", (8, 8))
    (tmp_path / "data_batch_1").write_bytes(b"")
    with pytest.raises(InputError, match="data_batch_1, found a file"):
        open_data(tmp_path / "data_batch_1", (8, 8))
    with pytest.raises(InputError, match=r"batches\.meta"):
        open_data(tmp_path, (32, 32))
