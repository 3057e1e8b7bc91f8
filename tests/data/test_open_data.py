import numpy as np
import pytest
from PIL import Image

from keras_lite.data import open_data
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
