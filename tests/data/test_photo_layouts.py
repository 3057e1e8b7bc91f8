"""Folders as people have them: nothing vanishes without a word, and no split or year becomes a class."""

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import Preprocessing, open_data
from keras_lite.data.photo_tree import PhotoTree, find_photos
from keras_lite.data.split_folders import split_of
from keras_lite.errors import InputError, InputWarning
from keras_lite.inference.samples import read_samples
from keras_lite.pipelines import predict

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def write(tmp_path):
    """Write photos that differ, six into each folder, or other files."""
    rng = np.random.default_rng(0)
    root = tmp_path / "data"

    def photo(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype="uint8"))
        pixels.resize((30, 30), Image.Resampling.BICUBIC).save(path, "PNG")

    def write_all(*names):
        for name in names:
            if name.endswith("/"):
                for number in range(6):
                    photo(root / name / f"{number}.png")
            elif name.endswith((".jpg", ".png")):
                photo(root / name)
            else:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(b"This is text.")
        return root

    return write_all


def count(root):
    return {split: np.bincount(source.labels).tolist() for split, source in open_data(root, (8, 8)).items()}


def refused(root, *parts):
    with pytest.raises(InputError) as caught:
        open_data(root, (8, 8))
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", ["train", "Train", "TRAINING", "training_set", "TrainImages", "train-data", "Trainset"]),
        ("valid", ["val", "VALID", "Validation", "dev", "ValSet", "validation images"]),
        ("test", ["test", "Testing", "TEST_IMAGES", "test set", "TestSet"]),
        (None, ["cats", "trainers", "contest", "train_val", "values", "Testarossa", "2019", "花", "", "test_a"]),
    ],
)
def test_names_of_splits(split, names):
    assert [split_of(name) for name in names] == [split] * len(names)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("TRAIN", "Test"),
        ("seg_train", "seg_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set/training_set", "test_set/test_set"),
        ("train2017", "test2017"),
    ],
)
def test_splits_under_other_names(write, train, test):
    root = write(f"{train}/ant/", f"{train}/bee/", f"{test}/ant/", f"{test}/bee/")
    data = open_data(root, (8, 8))
    assert {split: len(source) for split, source in data.items()} == {"train": 12, "test": 12}
    for split, source in data.items():
        assert source.class_names == ["ant", "bee"]
        assert all(split in path.relative_to(root).parts[0].lower() for path in source.paths)


def test_the_test_photos_alone_never_train(write):
    root = write("Testing/ant/", "Testing/bee/")
    assert count(root) == {"test": [6, 6]}
    # Given itself, beside the training photos, it is not divided.
    write("Training/ant/", "Training/bee/")
    assert count(root / "Testing") == {"test": [6, 6]}
    assert list(count(root / "Training")) == ["train", "valid", "test"]
    # No hint leads there.
    (root / "Training").rename(root / "old")
    (root / "Testing").rename(root / "holdout_test")
    assert "Give" not in refused(root, "holdout_test/", "name them train, valid and test")
    (root / "old").rename(root.parent / "old")
    assert "Give" not in refused(root, "holdout_test/", "name them train, valid and test")


def test_years_are_no_classes(write):
    root = write("2019/cat/", "2019/dog/", "2020/cat/", "2020/dog/")
    text = refused(root, "a level deeper", "2019/cat/0.png", root / "cat", root / "2019")
    assert "Give" not in text
    write("2019/stray.jpg")
    refused(root, "a level deeper", "2019/cat/0.png")


def test_splits_within_classes_are_not_mixed(write):
    root = write("cat/Train/", "cat/Test/", "dog/Train/", "dog/Test/")
    refused(root, f"move {root / 'cat' / 'Test'} to {root / 'Test' / 'cat'}")
    write("cat/", "cat/more/", "dog/", "dog/more/")  # most photos lie in the classes themselves
    refused(root, f"move {root / 'cat' / 'Test'} to {root / 'Test' / 'cat'}")


def test_a_data_set_beside_some_samples_is_named(write):
    root = write("set/train/ant/", "set/train/bee/", "samples/")
    refused(root, f"Give {root / 'set'}")


def test_what_an_archive_was_unpacked_into_is_named(write):
    root = write("archive/insects/ant/", "archive/insects/bee/")
    refused(root, f"Give {root / 'archive' / 'insects'}")


def test_photos_in_subfolders_are_their_class(write, capsys):
    root = write("ant/", "bee/", "ant/garden/", "ant/garden/pond/")
    assert {split: sum(counts) for split, counts in count(root).items()} == {"train": 16, "valid": 4, "test": 4}
    open_data(root, (8, 8), verbose=1)
    [line] = [line for line in capsys.readouterr().err.splitlines() if "subfolders" in line]
    assert "12 photos in subfolders of ant, such as ant/garden/0.png" in line


def test_what_is_left_out_is_said(write, recwarn):
    root = write(
        "train/ant/", "train/bee/", "train/ant/notes.txt", "train/loose.jpg", "more.zip", "labels.csv", "extra/1.jpg"
    )
    assert count(root) == {"train": [6, 6]}
    said = [str(each.message) for each in recwarn]
    [files] = [line for line in said if "notes.txt" in line or "labels.csv" in line or "more.zip" in line]
    assert "1 .zip, such as more.zip (archives: unpack them)" in files
    assert "1 .csv" in files
    assert "1 .txt" in files
    [photos] = [line for line in said if "no class's folder" in line]
    assert "2 photos" in photos


def test_what_systems_leave_behind_is_passed_over(write, recwarn):
    root = write("ant/", "bee/")
    expected = count(root)
    write("__MACOSX/ant/._0.png", "ant/.DS_Store", "bee/Thumbs.db", "bee/desktop.ini", "ant/@eaDir/0.jpg")
    write(".ipynb_checkpoints/0.jpg", "ant/.hidden.jpg", "bee/.thumbnails/1.jpg")
    assert count(root) == expected
    assert not list(recwarn)
    assert len(find_photos(root)) == 12


def test_a_folder_without_photos_says_what_is_there(write):
    refused(write("photos.tar"), "found photos.tar", "archives: unpack them")
    root = write("ant/", "bee/1.psd")
    refused(root, root / "bee", "found 1.psd", "convert")


def test_links_are_followed_but_not_in_circles(write):
    root = write("ant/", "elsewhere/bee/")
    (root / "bee").symlink_to(root / "elsewhere" / "bee")
    (root / "ant" / "up").symlink_to(root)
    tree = PhotoTree.read(root)
    assert [len(folder.all_photos) for folder in tree.folders] == [6, 6, 6]


def test_tools_that_read_folders_find_the_same_photos(write):
    root = write("a/", "a/deeper/", "b.png", "c.zip", "__MACOSX/a/0.jpg")
    (root / "b.png").rename(root / "without ending")
    with pytest.warns(InputWarning, match=r"1 \.zip, such as c\.zip \(archives: unpack them\)"):
        assert len(predict._image_files(root)) == 13
    with pytest.warns(InputWarning, match=r"c\.zip"):
        assert len(read_samples(root, Preprocessing((8, 8)), 100)) == 13
    with pytest.raises(InputError, match="image or a folder of images"):
        predict._image_files(root / "nowhere")
    with pytest.raises(InputError, match=r"found c\.zip.*unpack"):
        find_photos(write("empty/c.zip") / "empty")


def test_bursts_are_named_with_their_numbers(write):
    root = write("day/0.jpg", "night/0.jpg")
    for name in ("day", "night"):
        for number in range(1, 9):
            with Image.open(root / name / "0.jpg") as photo:
                photo.resize((30 + number, 30)).save(root / name / f"{number}.jpg", "PNG")
    refused(root, "near-duplicates", f"1 among the 9 in {root / 'day'}", f"1 among the 9 in {root / 'night'}")
