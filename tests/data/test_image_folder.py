import numpy as np
import pytest
from PIL import Image

from keras_lite.data import open_image_folder
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only

COLOURS = {"ant": (200, 0, 0), "Bee": (0, 200, 0), "cat": (0, 0, 200)}


def write(path, colour=(200, 0, 0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Three classes, two images each; each class has a colour."""
    root = tmp_path / "photos"
    for split in ("train", "valid", "test"):
        for name, colour in COLOURS.items():
            for number in (1, 2):
                write(root / split / name / f"{number}.png", colour)
    return root


@pytest.fixture
def open_folder():
    return lambda root, **arguments: open_image_folder(root, (8, 8), **arguments)


def assert_right(source):
    """Check that each image has its class's colour."""
    images = source.images(np.arange(len(source)))
    for pixels, label, path in zip(images, source.labels, source.paths, strict=True):
        assert path.parent.name == source.class_names[label]
        assert pixels[4, 4].tolist() == list(COLOURS[source.class_names[label]])


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


@pytest.mark.parametrize("name", ["validation", "val"])
def test_other_names_of_the_validation_split(folder, open_folder, name):
    (folder / "valid").rename(folder / name)
    assert len(open_folder(folder)["valid"]) == 6
    (folder / "valid").mkdir()
    with pytest.raises(InputError, match=f"valid and {name}"):
        open_folder(folder)


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
    write(folder / "train" / "dog" / "inner" / "1.png")
    refused(lambda: open_folder(folder), folder / "train" / "dog", "found inner/")


def test_an_empty_class_is_refused(folder, open_folder, capsys):
    (folder / "valid" / "dog").mkdir()
    refused(lambda: open_folder(folder), folder / "valid" / "dog", "found nothing")
    assert len(open_folder(folder, skip_broken=True)["valid"]) == 6
    assert f"left out: {folder / 'valid' / 'dog'}" in capsys.readouterr().err


def test_one_class_is_refused(open_folder, tmp_path):
    write(tmp_path / "train" / "ant" / "1.png")
    refused(lambda: open_folder(tmp_path), "two or more classes", tmp_path / "train", "'ant'")


def test_splits_with_other_classes_are_refused(folder, open_folder, capsys):
    write(folder / "test" / "dog" / "1.png")
    refused(lambda: open_folder(folder), "dog", folder / "test", f"not in {folder / 'train'}")
    source = open_folder(folder, skip_broken=True)["test"]
    assert source.class_names == ["Bee", "ant", "cat"]
    assert_right(source)
    assert f"left out: {folder / 'test' / 'dog'}" in capsys.readouterr().err


def test_splits_without_a_class_are_refused(folder, open_folder, capsys):
    (folder / "test" / "cat").rename(folder.parent / "cat")
    refused(lambda: open_folder(folder), "cat", folder / "train", f"not in {folder / 'test'}")
    source = open_folder(folder, skip_broken=True)["test"]
    assert source.class_names == ["Bee", "ant", "cat"]
    assert_right(source)
    assert f"missing: {folder / 'test' / 'cat'}" in capsys.readouterr().err


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
    sources = open_folder(folder, skip_broken=True, cache_bytes=cache_bytes)
    assert {split: len(source) for split, source in sources.items()} == {"train": 5, "valid": 6, "test": 5}
    for source in sources.values():
        assert_right(source)
        assert not set(source.paths) & set(broken)
    listed = capsys.readouterr().err
    assert all(str(path) in listed for path in broken)


def test_a_class_with_broken_images_only_is_refused(folder, open_folder):
    for number in (1, 2):
        (folder / "train" / "cat" / f"{number}.png").write_text("not an image")
    refused(lambda: open_folder(folder, skip_broken=True), folder / "train" / "cat", "broken ones only")
