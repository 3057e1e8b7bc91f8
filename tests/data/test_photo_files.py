"""Which files are photos, whatever they are called."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from keras_lite.data import photo_files, read_image
from keras_lite.data.photo_files import format_of, in_words, is_photo
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def saved(kind):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype="uint8")).save(file, kind)
    return file.getvalue()


@pytest.fixture
def without_heif(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    photo_files.can_read_heif.cache_clear()
    yield
    photo_files.can_read_heif.cache_clear()


@pytest.mark.parametrize("kind", photo_files.FORMATS)
def test_each_format_is_known_by_the_bytes_that_pillow_writes(tmp_path, kind):
    assert format_of(saved(kind)[:64]) == kind
    for name in ("photo", "photo.x", "photo 1.2"):
        (tmp_path / name).write_bytes(saved(kind))
        assert is_photo(tmp_path / name)
        assert read_image(tmp_path / name, (8, 8)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"BMW and others",
        b"P5 is a processor",
        b"II. Chapter",
        b"GIF, JPEG",
        b"\0\0\0\x14ftypmp42\0\0\0\0",
    ],
)
def test_other_content_is_no_photo(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert not is_photo(tmp_path / "file")


def test_a_known_ending_is_enough(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(photo_files, "first_bytes", lambda path: opened.append(path.name) or b"")
    names = ["a.jpg", "b.JFIF", "c.jpe", "d.avif", "e.TIFF", "f.webp"]
    assert all(is_photo(tmp_path / name) for name in names)
    assert not any(is_photo(tmp_path / name) for name in ("a.txt", "b.zip", "c.CR2", "d.mov"))
    assert not opened
    assert not is_photo(tmp_path / "unknown.part")
    assert opened == ["unknown.part"]


def test_heif_photos_without_the_extra(tmp_path, without_heif):
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(HEIC)
    assert not is_photo(path)
    with pytest.raises(InputError, match=r'IMG_1\.HEIC.*HEIF photo.*pip install "keras-lite\[heif\]".*JPEG'):
        read_image(path, (8, 8))
    path.write_bytes(saved("JPEG"))  # as some phones send them
    assert is_photo(path)


def test_heif_photos_with_the_extra(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    photo_files.can_read_heif.cache_clear()
    pixels = np.zeros((64, 64, 3), "uint8")
    pixels[:, :32], pixels[:, 32:] = (200, 30, 30), (30, 30, 200)
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / "IMG_1.HEIC", quality=95, exif=exif.tobytes())
    (tmp_path / "sent.jpg").write_bytes((tmp_path / "IMG_1.HEIC").read_bytes())
    for name in ("IMG_1.HEIC", "sent.jpg"):
        assert is_photo(tmp_path / name)
        shown = read_image(tmp_path / name, (64, 64))
        np.testing.assert_allclose(shown[32, [8, 56]], [(30, 30, 200), (200, 30, 30)], atol=12)


def test_what_is_no_photo_is_counted_by_kind(tmp_path, without_heif):
    names = ["a.HEIC", "b.heic", "c", "photos.zip", "labels.csv", "notes.txt", "read me.txt", "raw.cr2", "live.mov"]
    for name in names:
        (tmp_path / name).write_bytes(HEIC if name in ("a.HEIC", "b.heic", "c") else b"II*\0")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    said = in_words([tmp_path / name for name in [*names, "link.jpg"]], tmp_path)
    for part in (
        '2 .heic, 1 without an ending, such as a.HEIC (HEIF photos: pip install "keras-lite[heif]", or convert',
        "1 .cr2, such as raw.cr2 (not read: convert",
        "1 .zip, such as photos.zip (archives: unpack",
        "1 .mov, such as live.mov (videos",
        "2 .txt, 1 .csv, such as labels.csv (no photos)",
        "1 .jpg, such as link.jpg (links that lead nowhere)",
    ):
        assert part in said
    assert "\n" not in said
