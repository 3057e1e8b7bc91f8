import numpy as np
import pytest
from PIL import Image

from keras_lite.data import ImageGeometry, open_data
from keras_lite.errors import InputError, InputWarning

pytestmark = pytest.mark.tensorflow_only

BREEDS = ["n02085620-Chihuahua", "n02085782-Japanese_spaniel", "n02116738-African_hunting_dog"]
COLORS = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]


def save_list(path, names, labels):
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    path.parent.mkdir(parents=True, exist_ok=True)
    variables = {"file_list": cells, "annotation_list": cells, "labels": np.array(labels, float).reshape(-1, 1)}
    pytest.importorskip("scipy.io").savemat(path, variables, do_compression=True)


@pytest.fixture
def dogs(tmp_path):
    """Three breeds: two photos of each to train, one to test."""
    names = {"train": [], "test": []}
    for breed, color in zip(BREEDS, COLORS, strict=True):
        (tmp_path / "Images" / breed).mkdir(parents=True)
        for number in range(3):
            name = f"{breed}/{breed[:9]}_{number}.jpg"
            Image.new("RGB", (12 + number, 10), color).save(tmp_path / "Images" / name, quality=100)
            names["test" if number == 1 else "train"].append(name)
    save_list(tmp_path / "lists" / "train_list.mat", names["train"], [1, 1, 2, 2, 3, 3])
    save_list(tmp_path / "lists" / "test_list.mat", names["test"], [1, 2, 3])
    return tmp_path


@pytest.mark.parametrize("folder", ["lists", "file_list", "."])
def test_the_archives_layout(dogs, folder):
    for name in ("train_list.mat", "test_list.mat"):
        (dogs / folder).mkdir(exist_ok=True)
        (dogs / "lists" / name).rename(dogs / folder / name)
    sources = open_data(dogs, ImageGeometry((8, 8), (9, 9), keep_aspect=False))
    assert list(sources) == ["train", "test"]
    assert sources["train"].class_names == BREEDS
    assert sources["train"].labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert sources["test"].labels.tolist() == [0, 1, 2]
    for source in sources.values():
        for pixels, label in zip(source.images(np.arange(len(source))), source.labels, strict=True):
            np.testing.assert_allclose(pixels[4, 4], COLORS[label], atol=6)


def refused(root, *parts, **arguments):
    with pytest.raises(InputError) as caught:
        open_data(root, (8, 8), **arguments)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)


def test_wrong_lists_are_refused(dogs):
    path = dogs / "lists" / "train_list.mat"
    names = [f"{breed}/{breed[:9]}_0.jpg" for breed in BREEDS]
    save_list(path, names, [1, 2, 4])
    refused(dogs, path, "label 3", names[2], "received 4")
    save_list(path, names, [1, 2])
    refused(dogs, path, "3 numbers")
    save_list(path, [*names, "n000-Wolf/1.jpg"], [1, 2, 3, 4])
    refused(dogs, path, "'n000-Wolf/1.jpg'")
    for name in ("../secret.jpg", "/etc/passwd", f"{BREEDS[0]}/../../secret.jpg", f"{BREEDS[0]}/.."):
        save_list(path, [*names, name], [1, 2, 3, 1])
        refused(dogs, path, name)
    save_list(path, names[:2], [1, 2])
    refused(dogs, path, "all 3 breeds", BREEDS[2])
    save_list(path, [name.replace("_0", "_1") for name in names], [1, 2, 3])
    refused(dogs, path, f"{BREEDS[0]}/n02085620_1.jpg")
    pytest.importorskip("scipy.io").savemat(path, {"labels": np.ones((3, 1))})
    refused(dogs, path, "file_list")
    path.unlink()
    refused(dogs, path, "does not exist")


def test_missing_and_broken_photos_are_refused(dogs):
    photo = dogs / "Images" / BREEDS[0] / "n02085620_2.jpg"
    photo.write_text("not a dog")
    refused(dogs, photo)
    with pytest.warns(InputWarning, match=photo.name):
        assert len(open_data(dogs, (8, 8), skip_broken=True)["train"]) == 5
    photo.unlink()
    refused(dogs, photo, "does not exist")
    for path in (dogs / "Images").glob("*/*"):
        path.unlink()
    for breed in BREEDS:
        (dogs / "Images" / breed).rmdir()
    refused(dogs, dogs / "Images", "found 0")
