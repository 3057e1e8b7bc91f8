import re

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import ImageGeometry, RandomCrop, RandomResizedCrop, open_image_folder
from keras_lite.errors import InputError, InputWarning

pytestmark = pytest.mark.tensorflow_only

COLORS = {"ant": (200, 0, 0), "Bee": (0, 200, 0), "cat": (0, 0, 200)}


def write(path, color=(200, 0, 0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), color).save(path)


@pytest.fixture
def folder(tmp_path):
    """Three classes, two images each; each class has a color."""
    root = tmp_path / "photos"
    for split in ("train", "valid", "test"):
        for name, color in COLORS.items():
            for number in (1, 2):
                write(root / split / name / f"{number}.png", color)
    return root


@pytest.fixture
def open_folder():
    return lambda root, **arguments: open_image_folder(root, (8, 8), **arguments)


def assert_right(source):
    """Check that each image has its class's color."""
    images = source.images(np.arange(len(source)))
    for pixels, label, path in zip(images, source.labels, source.paths, strict=True):
        assert path.parent.name == source.class_names[label]
        assert pixels[4, 4].tolist() == list(COLORS[source.class_names[label]])


@pytest.mark.parametrize("cache_bytes", [2**30, 0])
def test_reads_all_splits(folder, open_folder, cache_bytes):
    sources = open_folder(folder, cache_bytes=cache_bytes)
    assert list(sources) == ["train", "valid", "test"]
    for source in sources.values():
        assert source.class_names == ["Bee", "ant", "cat"]
        assert source.image_size == (8, 8)
        assert len(source) == 6
        assert_right(source)
        assert source.images([5, 0]).shape == (2, 8, 8, 3)


def test_the_cache_holds_and_its_absence_reads_again(folder, open_folder):
    cached, uncached = open_folder(folder)["train"], open_folder(folder, cache_bytes=6 * 8 * 8 * 3)["train"]
    for path in cached.paths:
        write(path, (9, 9, 9))
    assert cached.images([0])[0, 4, 4].tolist() == [0, 200, 0]
    assert uncached.images([0])[0, 4, 4].tolist() == [9, 9, 9]


@pytest.fixture
def photos(tmp_path):
    """Photos of several sizes, full of detail."""
    rng = np.random.default_rng(0)
    for number, size in enumerate([(30, 40), (45, 31), (64, 20), (33, 33)]):
        path = tmp_path / "photos" / "train" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype="uint8")).save(path)
    return tmp_path / "photos"


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_a_photo_is_the_same_from_memory_and_from_its_file(photos, keep_aspect):
    geometry = ImageGeometry((16, 16), (20, 20), keep_aspect)
    kept, unkept = (open_image_folder(photos, geometry, cache_bytes=size)["train"] for size in (2**30, 0))
    indices = np.array([3, 0, 1])
    expected = np.stack([geometry.center(Image.open(kept.paths[index])) for index in indices])
    np.testing.assert_array_equal(kept.images(indices), expected)
    np.testing.assert_array_equal(unkept.images(indices), expected)
    for crop in (RandomCrop(), RandomResizedCrop()):
        parts = [source.crops(indices, crop, geometry, np.random.default_rng(4)) for source in (kept, unkept)]
        np.testing.assert_array_equal(*parts)
        # Each photo has random numbers of its own, which do not depend on how many there are.
        first = unkept.crops(indices[:1], crop, geometry, np.random.default_rng(4))
        np.testing.assert_array_equal(first, parts[0][:1])
        assert (unkept.crops(indices, crop, geometry, np.random.default_rng(5)) != parts[0]).any()


def test_crops_are_cut_from_the_original_photo(photos):
    geometry = ImageGeometry((16, 16))
    source = open_image_folder(photos, geometry)["train"]
    [own_rng] = np.random.default_rng(4).spawn(1)
    photo = Image.open(source.paths[2])
    box = RandomResizedCrop().draw_box(photo.width, photo.height, own_rng)
    expected = photo.crop(box).resize((16, 16), Image.Resampling.BILINEAR)
    received = source.crops(np.array([2]), RandomResizedCrop(), geometry, np.random.default_rng(4))
    np.testing.assert_array_equal(received[0], expected)


def test_imagenet_folders(tmp_path):
    for path in ("train/n01440764/n01440764_18.JPEG", "train/n01443537/n01443537_2.JPEG"):
        write(tmp_path / path)
        write(tmp_path / path.replace("train", "val"))
    sources = open_image_folder(tmp_path, ImageGeometry((8, 8), (10, 10)))
    assert list(sources) == ["train", "valid"]
    assert sources["valid"].class_names == ["n01440764", "n01443537"]
    # The official archive of the validation images has no folders.
    for synset in ("n01440764", "n01443537"):
        (tmp_path / "val" / synset).rename(tmp_path / synset)
    write(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    refused(lambda: open_image_folder(tmp_path, (8, 8)), tmp_path / "val", "ILSVRC2012_val", "folder of its class")


@pytest.mark.parametrize("name", ["validation", "val"])
def test_other_names_of_the_validation_split(folder, open_folder, name):
    (folder / "valid").rename(folder / name)
    assert len(open_folder(folder)["valid"]) == 6
    (folder / "valid").mkdir()
    refused(lambda: open_folder(folder), "one folder for the valid split", " and ".join(sorted(["valid", name])))


@pytest.mark.filterwarnings("ignore::keras_lite.errors.InputWarning")
def test_extensions_in_any_case_and_nothing_else(folder, open_folder):
    for name in ("3.JPG", "4.jpeg", "5.WebP", "6.bmp", "7.gif", "8.TIF", "9.tiff"):
        write(folder / "train" / "ant" / name)
    (folder / "train" / "ant" / "notes.txt").write_text("not an image")
    (folder / "train" / "ant" / ".hidden.png").write_text("not an image")
    (folder / "train" / ".thumbnails").mkdir()
    (folder / "train" / "list.csv").write_text("a,b")
    source = open_folder(folder)["train"]
    assert [path.name for path in source.paths if path.parent.name == "ant"] == [
        "1.png", "2.png", "3.JPG", "4.jpeg", "5.WebP", "6.bmp", "7.gif", "8.TIF", "9.tiff",
    ]  # fmt: skip


def test_a_single_split_is_enough(folder, open_folder, tmp_path):
    (folder / "test").rename(tmp_path / "test")
    (tmp_path / "data").mkdir()
    (tmp_path / "test").rename(tmp_path / "data" / "test")
    assert list(open_folder(tmp_path / "data")) == ["test"]


def refused(call, *parts):
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)


def test_wrong_folders_are_refused(folder, open_folder, tmp_path):
    refused(lambda: open_folder(tmp_path / "nowhere"), tmp_path / "nowhere", "found nothing")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(lambda: open_folder(empty), "train/CLASS/photo.jpg", empty, "found nothing")
    refused(lambda: open_folder(folder / "train"), folder / "train", "found Bee/, ant/, cat/")
    refused(lambda: open_folder(tmp_path), f"Give {folder}")


def test_a_missing_level_is_refused(open_folder, tmp_path):
    write(tmp_path / "train" / "1.png")
    refused(lambda: open_folder(tmp_path), "CLASS/photo.jpg", tmp_path / "train", "1.png")


def test_a_level_too_many_is_refused(folder, open_folder):
    for split in ("train", "valid", "test"):
        for name in COLORS:
            (folder / split / "all").mkdir(exist_ok=True)
            (folder / split / name).rename(folder / split / "all" / name)
    refused(lambda: open_folder(folder), folder / "train", "found all/", "a level deeper", "all/Bee/1.png")


def test_an_empty_class_is_refused(folder, open_folder):
    (folder / "valid" / "dog").mkdir()
    refused(lambda: open_folder(folder), folder / "valid" / "dog", "found nothing")
    with pytest.warns(InputWarning, match=re.escape(f"left out: {folder / 'valid' / 'dog'}")):
        assert len(open_folder(folder, skip_broken=True)["valid"]) == 6


def test_one_class_is_refused(open_folder, tmp_path):
    write(tmp_path / "train" / "ant" / "1.png")
    refused(lambda: open_folder(tmp_path), "two or more classes", tmp_path / "train", "'ant'")


def test_splits_with_other_classes_are_refused(folder, open_folder):
    write(folder / "test" / "dog" / "1.png")
    refused(lambda: open_folder(folder), "dog", folder / "test", f"not in {folder / 'train'}")
    with pytest.warns(InputWarning, match=re.escape(f"left out: {folder / 'test' / 'dog'}")):
        source = open_folder(folder, skip_broken=True)["test"]
    assert source.class_names == ["Bee", "ant", "cat"]
    assert_right(source)


def test_splits_without_a_class_are_refused(folder, open_folder):
    (folder / "test" / "cat").rename(folder.parent / "cat")
    refused(lambda: open_folder(folder), "cat", folder / "train", f"not in {folder / 'test'}")
    with pytest.warns(InputWarning, match=re.escape(f"missing: {folder / 'test' / 'cat'}")):
        source = open_folder(folder, skip_broken=True)["test"]
    assert source.class_names == ["Bee", "ant", "cat"]
    assert_right(source)


@pytest.fixture
def broken(folder):
    """Spoil two images of different splits."""
    text, cut = folder / "train" / "ant" / "1.png", folder / "test" / "cat" / "2.png"
    text.write_text("not an image")
    cut.write_bytes(cut.read_bytes()[:-30])
    return text, cut


def test_the_first_broken_image_is_named_and_the_others_counted(folder, open_folder, broken):
    refused(lambda: open_folder(folder), broken[0], "1 more")
    broken[0].unlink()
    refused(lambda: open_folder(folder), broken[1])


@pytest.mark.parametrize("cache_bytes", [2**30, 0])
def test_broken_images_can_be_left_out(folder, open_folder, broken, cache_bytes, capsys):
    with pytest.warns(InputWarning) as warned:
        sources = open_folder(folder, skip_broken=True, cache_bytes=cache_bytes)
    assert {split: len(source) for split, source in sources.items()} == {"train": 5, "valid": 6, "test": 5}
    for source in sources.values():
        assert_right(source)
        assert not set(source.paths) & set(broken)
    [listed] = [str(each.message).splitlines() for each in warned]
    assert [str(path) in line for path, line in zip(broken, listed, strict=True)] == [True, True]
    # Nothing but the warning: who wants to see progress says so.
    assert capsys.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore::keras_lite.errors.InputWarning")
def test_a_class_with_broken_images_only_is_refused(folder, open_folder):
    for number in (1, 2):
        (folder / "train" / "cat" / f"{number}.png").write_text("not an image")
    refused(lambda: open_folder(folder, skip_broken=True), folder / "train" / "cat", "broken ones only")
