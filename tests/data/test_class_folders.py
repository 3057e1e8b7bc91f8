"""Folders that nobody has divided: the same splits every time, and no picture on both sides."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import open_class_folders, open_data
from keras_lite.data.near_duplicates import difference_hash, near_duplicates
from keras_lite.errors import InputError, InputWarning

pytestmark = pytest.mark.tensorflow_only
NAMES = ["rote Äpfel", "зелёный", "青い 花"]


def picture(rng, size=(40, 36)):
    """A picture with large shapes, as photos have."""
    return Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype="uint8")).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / "my photos" / name).mkdir(parents=True)
        for number in range(10):
            picture(rng).save(tmp_path / "my photos" / name / f"photo {number}.png")
    return tmp_path / "my photos"


def names_of(source):
    return {f"{path.parent.name}/{path.name}" for path in source.paths}


def test_each_class_is_divided_and_always_alike(photos):
    data = open_data(photos, (8, 8))
    assert {split: len(source) for split, source in data.items()} == {"train": 18, "valid": 6, "test": 6}
    assert len(set.union(*map(names_of, data.values()))) == 30
    for source in data.values():
        assert source.class_names == sorted(NAMES)
        assert len(set(np.bincount(source.labels))) == 1
        assert all(
            path.parent.name == sorted(NAMES)[label] for path, label in zip(source.paths, source.labels, strict=True)
        )
    again = open_class_folders(photos, (16, 16), cache_bytes=0)
    assert all(names_of(again[split]) == names_of(source) for split, source in data.items())
    other = open_class_folders(photos, (8, 8), seed=1)
    assert names_of(other["test"]) != names_of(data["test"])
    # A photo more moves one other at most.
    picture(np.random.default_rng(1)).save(photos / NAMES[0] / "new.png")
    more = open_data(photos, (8, 8))
    assert all(len(names_of(more[split]) & names_of(source)) >= len(source) - 1 for split, source in data.items())


def test_near_duplicates_stay_on_one_side(photos, capsys):
    rng = np.random.default_rng(7)
    groups = []
    for number in range(4):
        original = picture(rng, (90, 80))
        original.save(photos / NAMES[0] / f"original {number}.png")
        original.resize((61, 54)).save(photos / NAMES[0] / f"small {number}.jpg", quality=60)
        # The same picture in another class; turned, with the note that turns it back.
        exif = Image.Exif()
        exif[0x0112] = 6
        original.rotate(90, expand=True).save(photos / NAMES[2] / f"turned {number}.png", exif=exif)
        groups.append({
            f"{NAMES[0]}/original {number}.png", f"{NAMES[0]}/small {number}.jpg", f"{NAMES[2]}/turned {number}.png",
        })  # fmt: skip
    data = open_data(photos, (8, 8), verbose=1)
    assert "12 photos in 4 groups" in capsys.readouterr().err
    sides = [[split for split, source in data.items() if group & names_of(source)] for group in groups]
    assert all(len(side) == 1 for side in sides)
    assert sum(map(len, data.values())) == 42
    assert {len(set(source.labels.tolist())) for source in data.values()} == {3}


def test_hash_is_that_of_its_definition_and_survives_saving():
    rng = np.random.default_rng(3)
    gray = rng.integers(0, 256, (8, 9), dtype="uint8")
    bits = "".join("1" if gray[row, column + 1] > gray[row, column] else "0" for row in range(8) for column in range(8))
    assert difference_hash(Image.fromarray(gray)) == int(bits, 2)
    pictures = [picture(rng, (200, 150)) for _ in range(20)]
    for image in pictures[:5]:
        file = io.BytesIO()
        image.resize((120, 90)).save(file, "JPEG", quality=50)
        pictures.append(Image.open(file))
    assert near_duplicates(list(map(difference_hash, pictures))) == [[n, 20 + n] for n in range(5)]


def test_chains_of_near_duplicates_are_one_group():
    steps = [0, 0b1111, 0b11111111, 0xFF << 40]
    assert near_duplicates(steps) == [[0, 1, 2]]
    assert near_duplicates(steps, bits=3) == []


def test_large_groups_leave_enough_for_each_split(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            image = picture(rng)
            for copy in range(2):
                image.save(tmp_path / name / f"{number} {copy}.png")
    data = open_data(tmp_path, (8, 8))
    assert {split: len(source) for split, source in data.items()} == {"train": 4, "valid": 4, "test": 4}


def refused(root, *parts, **arguments):
    with pytest.raises(InputError) as caught:
        open_data(root, (8, 8), **arguments)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)


def test_wrong_folders_are_refused(photos, tmp_path, capsys):
    refused(tmp_path, "CLASS/photo.jpg", "found my photos/", f"Give {photos}")
    (photos / "empty").mkdir()
    refused(photos, photos / "empty", "found nothing")
    with pytest.warns(InputWarning, match="empty .no image."):
        assert len(open_data(photos, (8, 8), skip_broken=True)["train"]) == 18
    (photos / "empty").rename(tmp_path / "no photos")
    refused(tmp_path / "no photos", "found nothing")
    (photos / NAMES[1] / "text.jpg").write_text("not a picture")
    refused(photos, "text.jpg")
    with pytest.warns(InputWarning, match=r"text\.jpg"):
        assert len(open_data(photos, (8, 8), skip_broken=True)["train"]) == 18
    for name in NAMES[1:]:
        (photos / name).rename(tmp_path / name)
    refused(photos, "two or more classes", repr(NAMES[0]))


def test_too_few_different_photos_are_refused(photos):
    image = picture(np.random.default_rng(5))
    (photos / "copies").mkdir()
    for number in range(5):
        image.save(photos / "copies" / f"{number}.png")
    refused(photos, photos / "copies", "three or more photos", "found 1")


def test_a_class_may_be_called_train(photos):
    (photos / NAMES[0]).rename(photos / "train")
    (photos / NAMES[1]).rename(photos / "test")
    assert open_data(photos, (8, 8))["train"].class_names == ["test", "train", NAMES[2]]


def test_a_photo_of_a_hundred_megapixels_is_read_and_one_of_two_hundred_refused(photos):
    Image.new("1", (10_000, 10_000)).save(photos / NAMES[0] / "large.png")
    data = open_data(photos, (8, 8))
    assert any(path.name == "large.png" for source in data.values() for path in source.paths)
    Image.new("1", (14_200, 14_200)).save(photos / NAMES[0] / "large.png")
    refused(photos, "large.png", "exceeds limit")
