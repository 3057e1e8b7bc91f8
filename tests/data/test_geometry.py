import keras
import numpy as np
import pytest
import torch_networks
from PIL import Image

from keras_lite.data import ImageGeometry, RandomCrop, RandomResizedCrop
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only

BILINEAR = Image.Resampling.BILINEAR


def noise(height, width):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype="uint8"))


def ramp(height, width):
    """Red is the row, green the column."""
    rows, columns = np.indices((height, width))
    return Image.fromarray(np.stack([rows, columns, rows * 0], axis=-1).astype("uint8"))


@pytest.mark.parametrize(
    ("height", "width", "scaled", "corner"),
    [
        # torchvision's Resize(64): the shorter side exactly, the longer one rounded down; its CenterCrop(56): rounded.
        (100, 151, (64, 96), (4, 20)),
        (151, 100, (96, 64), (20, 4)),
        (80, 80, (64, 64), (4, 4)),
        (30, 77, (64, 164), (4, 54)),
        (50, 53, (64, 67), (4, 6)),
    ],
)
def test_shorter_side_then_center(height, width, scaled, corner):
    photo, geometry = noise(height, width), ImageGeometry((56, 56), (64, 64))
    assert geometry.scaled_size(photo) == scaled
    expected = np.asarray(photo.resize(scaled[::-1], BILINEAR))[corner[0] :, corner[1] :][:56, :56]
    assert np.abs(geometry.center(photo).astype(int) - expected).max() <= 1  # one step instead of two


@pytest.mark.parametrize(("height", "width"), [(100, 151), (151, 100), (20, 30)])
def test_both_sides_then_center(height, width):
    photo = noise(height, width)
    expected = np.asarray(photo.resize((64, 64), BILINEAR))[4:60, 4:60]
    geometry = ImageGeometry((56, 56), (64, 64), keep_aspect=False)
    np.testing.assert_array_equal(geometry.center(photo), expected)
    np.testing.assert_array_equal(geometry.center_of_kept(geometry.keep(photo)[None])[0], expected)


def assert_alike(received, expected, interpolation):
    """Whether images are equal to a level; of pixels that are taken or not rounding decides where the border is."""
    share = np.mean(np.abs(received.astype(int) - expected) > 1)
    assert share <= (0.1 if interpolation in ("box", "nearest") else 0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box", "nearest"])
def test_pillow_scales_so(interpolation):
    """Along the rows first, which Pillow 13 does not always; whole photos, and the middle that just covers a size."""
    filter_ = Image.Resampling[interpolation.upper()]
    stretched = ImageGeometry((56, 48), keep_aspect=False, interpolation=interpolation)
    covering = ImageGeometry((20, 30), interpolation=interpolation)
    for height, width in ((101, 151), (151, 101), (23, 31), (67, 199), (31, 37)):
        photo = noise(height, width)
        expected = np.asarray(photo.resize((48, height), filter_).resize((48, 56), filter_))
        assert_alike(stretched.center(photo), expected, interpolation)
        rows, columns = covering.scaled_size(photo)
        expected = np.asarray(photo.resize((columns, height), filter_).resize((columns, rows), filter_))
        top, left = round((rows - 20) / 2), round((columns - 30) / 2)
        assert_alike(covering.center(photo), expected[top : top + 20, left : left + 30], interpolation)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_keras_resizes_so_without_antialiasing(interpolation):
    ours = "bilinear_no_antialias" if interpolation == "bilinear" else interpolation
    for height, width in ((100, 151), (151, 100), (20, 30), (64, 199), (31, 33), (1, 7), (57, 49)):
        photo = noise(height, width)
        expected = keras.layers.Resizing(57, 49, interpolation=interpolation)(np.asarray(photo, "float32")[None])
        expected = keras.ops.convert_to_numpy(expected)[0]
        received = ImageGeometry((57, 49), keep_aspect=False, interpolation=ours).center(photo)
        # Keras gives fractions of levels.
        np.testing.assert_allclose(received, expected, atol=0.501 if interpolation == "bilinear" else 0)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box", "nearest"])
def test_torchvision_transforms_photos_so(interpolation):
    torch_networks.torchvision_models()  # makes it loadable
    from torchvision import transforms

    kind = transforms.InterpolationMode(interpolation)
    transform = transforms.Compose([transforms.Resize(64, kind), transforms.CenterCrop(56)])
    for height, width in ((100, 151), (80, 80), (73, 128), (128, 256)):
        photo = noise(height, width)
        received = ImageGeometry((56, 56), (64, 64), interpolation=interpolation).center(photo)
        assert_alike(received, np.asarray(transform(photo)), interpolation)


def test_without_resize_the_size_is_just_covered():
    assert ImageGeometry.of((20, 30)).scaled_size(noise(40, 90)) == (20, 45)
    assert ImageGeometry.of((20, 30)).scaled_size(noise(90, 40)) == (67, 30)


def test_random_crop_reaches_every_place():
    photo, geometry = ramp(8, 9), ImageGeometry((5, 5), (8, 8), keep_aspect=True)
    rng = np.random.default_rng(0)
    corners = [tuple(RandomCrop()(photo, geometry, rng)[0, 0, :2]) for _ in range(600)]
    assert set(corners) == {(row, column) for row in range(4) for column in range(5)}
    stretched = ImageGeometry((5, 5), (8, 9), keep_aspect=False)
    pixels = RandomCrop()(photo, stretched, rng)
    row, column = pixels[0, 0, :2]
    np.testing.assert_array_equal(pixels, np.asarray(photo)[row : row + 5, column : column + 5])


def boxes(crop, width, height, count=4000):
    rng = np.random.default_rng(1)
    return np.array([crop.draw_box(width, height, rng) for _ in range(count)]).T


def test_random_resized_crop_draws_area_and_shape_as_defined():
    left, top, right, bottom = boxes(RandomResizedCrop(), 1000, 1000)
    assert left.min() >= 0 and top.min() >= 0 and right.max() <= 1000 and bottom.max() <= 1000
    width, height = right - left, bottom - top
    share, ratio = width * height / 1e6, width / height
    assert 0.08 - 1e-3 < share.min() < 0.085
    assert 0.95 < share.max() <= 1
    assert 0.75 - 2e-3 < ratio.min() < 0.755
    assert 1.325 < ratio.max() < 4 / 3 + 5e-3
    # What fits at any shape is never drawn again: areas are uniform there, and the logarithm of the shape is.
    small = share < 0.7
    assert np.mean(share[small] < (0.08 + 0.7) / 2) == pytest.approx(0.5, abs=0.03)
    assert np.mean(np.log(ratio[small]) < np.log(4 / 3) / 2) == pytest.approx(0.75, abs=0.03)
    assert np.corrcoef(left[small] / (1000 - width[small]), share[small])[0, 1] == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(1000, 10, (493, 0, 506, 10)), (10, 1000, (0, 493, 10, 506)), (1, 1, (0, 0, 1, 1))],
)
def test_a_part_that_never_fits_becomes_the_middle(width, height, box):
    drawn = boxes(RandomResizedCrop((0.9, 1.0)), width, height, 5)
    assert {tuple(numbers) for numbers in drawn.T.tolist()} == {box}


def test_random_resized_crop_cuts_then_scales():
    photo, geometry = noise(60, 80), ImageGeometry((24, 32))
    box = RandomResizedCrop().draw_box(80, 60, np.random.default_rng(5))
    expected = np.asarray(photo.crop(box).resize((32, 24), BILINEAR))
    np.testing.assert_array_equal(RandomResizedCrop()(photo, geometry, np.random.default_rng(5)), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageGeometry((8, 0)), "image_size"),
        (lambda: ImageGeometry((8, 8), (16, 4)), r"resize to be \(8, 8\).*received \(16, 4\)"),
        (lambda: ImageGeometry((8, 8), 16), "resize"),
        (lambda: ImageGeometry((8, 8), (16, 16), 1), "keep_aspect"),
        (lambda: ImageGeometry((8, 8), interpolation="cubic"), "one of bilinear, bicubic, .*, received 'cubic'"),
        (lambda: RandomResizedCrop(scale=(0, 1)), "scale"),
        (lambda: RandomResizedCrop(scale=(0.5, 1.5)), "scale"),
        (lambda: RandomResizedCrop(ratio=(2, 1)), "ratio"),
        (lambda: RandomResizedCrop(ratio="12"), "ratio"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
