import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from keras_lite.data import read_image
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def colors(path, size=(8, 8)):
    """Return the colors of the left and the right half."""
    pixels = read_image(path, size)
    assert pixels.shape == (*size, 3)
    assert pixels.dtype == np.uint8
    return pixels[size[0] // 2, 1].tolist(), pixels[size[0] // 2, -2].tolist()


def halves(left, right, dtype="uint8"):
    """Return an 8x8 array with a left and a right half."""
    left, right = np.asarray(left, dtype), np.asarray(right, dtype)
    return np.stack([np.stack([left] * 4 + [right] * 4)] * 8)


def test_rgb(tmp_path):
    Image.fromarray(halves(RED, (1, 2, 3))).save(tmp_path / "a.png")
    assert colors(tmp_path / "a.png") == ([255, 0, 0], [1, 2, 3])


def test_gray_and_black_and_white(tmp_path):
    Image.fromarray(halves(10, 200)).save(tmp_path / "gray.png")
    assert colors(tmp_path / "gray.png") == ([10] * 3, [200] * 3)
    Image.fromarray(halves(0, 255)).convert("1").save(tmp_path / "bits.png")
    assert colors(tmp_path / "bits.png") == ([0] * 3, [255] * 3)


@pytest.mark.parametrize("name", ["gray.png", "gray.tif"])
def test_sixteen_bit_gray_does_not_saturate(tmp_path, name):
    Image.fromarray(halves(257 * 10, 257 * 200, "uint16")).save(tmp_path / name)
    assert colors(tmp_path / name) == ([10] * 3, [200] * 3)


def test_sixteen_bit_big_endian_tiff(tmp_path):
    image = Image.frombytes("I;16B", (8, 8), halves(257 * 10, 65535, "uint16").astype(">u2").tobytes())
    image.save(tmp_path / "gray.tif")
    assert colors(tmp_path / "gray.tif") == ([10] * 3, [255] * 3)


def test_sixteen_bit_gray_with_a_transparent_value(tmp_path):
    pixels = halves(257 * 10, 257 * 200, "uint16")
    Image.fromarray(pixels).save(tmp_path / "gray.png", transparency=257 * 10)
    assert colors(tmp_path / "gray.png") == ([255] * 3, [200] * 3)


def test_sixteen_bit_gray_ppm(tmp_path):
    pixels = halves(257 * 10, 257 * 200, "uint16").astype(">u2")
    (tmp_path / "gray.pgm").write_bytes(b"P5\n8 8\n65535\n" + pixels.tobytes())
    assert colors(tmp_path / "gray.pgm") == ([10] * 3, [200] * 3)


@pytest.mark.parametrize(("kind", "options"), [("AVIF", {"quality": 100}), ("JPEG2000", {}), ("PPM", {})])
def test_other_formats_whatever_the_file_is_called(tmp_path, kind, options):
    for name in ("photo.jpg", "photo", "photo.unknown"):
        Image.fromarray(np.repeat(halves(RED, BLUE), 8, 1)).save(tmp_path / name, kind, **options)
        left, right = colors(tmp_path / name)
        np.testing.assert_allclose((left, right), (RED, BLUE), atol=6)


def test_palette(tmp_path):
    image = Image.fromarray(halves(1, 0))
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([0, 0, 255, 0, 255, 0])
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.gif")
    for name in ("a.png", "a.gif"):
        assert colors(tmp_path / name) == (list(GREEN), list(BLUE))


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_transparent_palette_entries_become_white(tmp_path, name):
    image = Image.frombytes("P", (8, 8), halves(1, 0).tobytes())
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / name, transparency=0)
    assert colors(tmp_path / name) == (list(GREEN), list(WHITE))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_hidden_colors_stay_hidden(tmp_path, name):
    Image.fromarray(halves((255, 0, 0, 0), (0, 0, 255, 255))).save(tmp_path / name, lossless=True, exact=True)
    assert colors(tmp_path / name) == (list(WHITE), list(BLUE))


def test_half_transparent_pixels_are_mixed_with_white(tmp_path):
    Image.fromarray(halves((0, 0, 0, 128), (10, 20, 30, 255))).save(tmp_path / "a.png")
    left, right = colors(tmp_path / "a.png")
    assert max(abs(value - 127) for value in left) <= 1
    assert right == [10, 20, 30]


def test_gray_with_alpha(tmp_path):
    Image.fromarray(halves((50, 0), (60, 255))).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "LA"
    assert colors(tmp_path / "a.png") == (list(WHITE), [60] * 3)


def test_rgb_with_a_transparent_color(tmp_path):
    Image.fromarray(halves(RED, BLUE)).save(tmp_path / "a.png", transparency=RED)
    assert colors(tmp_path / "a.png") == (list(WHITE), list(BLUE))


def test_cmyk(tmp_path):
    # Pillow writes CMYK as Adobe's programs do: inverted, and marked so.
    Image.fromarray(halves((0, 255, 255, 0), (0, 0, 0, 255)), "CMYK").save(tmp_path / "a.jpg", quality=100)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
    left, right = colors(tmp_path / "a.jpg")
    np.testing.assert_allclose(left, RED, atol=8)
    np.testing.assert_allclose(right, BLACK, atol=8)
    Image.fromarray(halves((0, 255, 255, 0), (0, 0, 0, 255)), "CMYK").save(tmp_path / "a.tif")
    assert colors(tmp_path / "a.tif") == (list(RED), list(BLACK))


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [  # where top left, top right, bottom left and bottom right of the stored image must be shown
        (1, ["red", "green", "blue", "white"]),
        (2, ["green", "red", "white", "blue"]),
        (3, ["white", "blue", "green", "red"]),
        (6, ["blue", "red", "white", "green"]),
        (8, ["green", "white", "red", "blue"]),
    ],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_exif_orientation(tmp_path, name, orientation, corners):
    stored = np.zeros((32, 32, 3), "uint8")
    places = [np.s_[:16, :16], np.s_[:16, 16:], np.s_[16:, :16], np.s_[16:, 16:]]
    by_name = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    for place, color in zip(places, by_name.values(), strict=True):
        stored[place] = color
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / name, exif=exif, quality=95)
    shown = read_image(tmp_path / name, (32, 32))
    for place, corner in zip(places, corners, strict=True):
        np.testing.assert_allclose(shown[place][8, 8], by_name[corner], atol=40)


def test_a_sound_picture_with_broken_exif_is_read(tmp_path):
    Image.fromarray(halves(RED, BLUE)).save(tmp_path / "a.png", exif=b"Exif\0\0nonsense that is no TIFF header")
    assert colors(tmp_path / "a.png") == (list(RED), list(BLUE))


def test_the_middle_of_the_shorter_side_is_kept(tmp_path):
    wide = np.zeros((10, 40, 3), "uint8")
    wide[:, 15:25] = RED
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2)).save(tmp_path / "high.png")
    for name in ("wide.png", "high.png"):
        pixels = read_image(tmp_path / name, (10, 10))
        np.testing.assert_array_equal(pixels, np.broadcast_to(np.uint8(RED), (10, 10, 3)))
    pixels = read_image(tmp_path / "wide.png", (10, 20))
    np.testing.assert_array_equal(pixels, wide[:, 10:30])


def test_scaling_down_averages(tmp_path):
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    Image.fromarray(checks.astype("uint8")).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png", (8, 8))
    assert np.abs(pixels.astype(int) - 127).max() < 4


def test_small_images_are_scaled_up(tmp_path):
    Image.new("RGB", (1, 1), RED).save(tmp_path / "a.bmp")
    assert colors(tmp_path / "a.bmp", (6, 9)) == (list(RED), list(RED))


def test_an_animation_gives_its_first_picture(tmp_path):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert colors(tmp_path / "a.gif") == (list(RED), list(RED))


def refused(path, message=None):
    with pytest.raises(InputError, match=message) as caught:
        read_image(path, (8, 8))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "bmp", "gif", "tif"])
def test_truncated_files_are_refused(tmp_path, extension):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype="uint8")
    path = tmp_path / f"a.{extension}"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    for share in (0.9, 0.5, 0.02):
        path.write_bytes(content[: int(len(content) * share)])
        refused(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "photo.jpg"
    for content in (b"", b"This is text.\nNot a photo.\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        path.write_bytes(content)
        refused(path, "no JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000 or PPM")
    path.write_bytes(b"\xff\xd8\xff\xe0")
    refused(path, "begins like a JPEG file")
    refused(tmp_path / "missing.jpg", "does not exist")
    refused(tmp_path, "does not exist")


def test_pixels_without_an_agreed_white_are_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), "float32")).save(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "32 bits")


def test_a_decompression_bomb_is_refused(tmp_path):
    header = io.BytesIO()
    Image.new("1", (1, 1)).save(header, "png")
    content = bytearray(header.getvalue())
    content[16:24] = (60000).to_bytes(4, "big") * 2  # width and height
    crc = PngImagePlugin._crc32(bytes(content[12:29])) & 0xFFFFFFFF
    content[29:33] = crc.to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(content)
    refused(tmp_path / "bomb.png", "decompression bomb")


@pytest.mark.parametrize("size", [(0, 8), 8, (8, 8, 3)])
def test_bad_sizes_are_refused(tmp_path, size):
    with pytest.raises(InputError, match="image_size"):
        read_image(tmp_path / "a.jpg", size)
