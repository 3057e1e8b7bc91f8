import numpy as np
import pytest
from PIL import Image, ImageChops, ImageEnhance, ImageOps

from keras_lite.data import RandAugment, TrivialAugment
from keras_lite.data.auto_augment import OPERATIONS
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def images():
    """Smooth pictures with few extremes, each another one."""
    rows, columns = np.indices((16, 20))
    base = np.stack([60 + 5 * rows, 70 + 4 * columns, 90 + 2 * rows + columns], axis=-1)
    return (base[None] + np.arange(400)[:, None, None, None] % 40).astype("uint8")


def same(first, second):
    return ImageChops.difference(first, second).getbbox() is None


def test_operations_are_those_of_the_papers(images):
    image = Image.fromarray(images[0])
    pixels = images[0]
    assert set(OPERATIONS) == {
        "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast",
        "sharpness", "posterize", "solarize", "autocontrast", "equalize",
    }  # fmt: skip
    assert same(OPERATIONS["identity"](image, 0.5), image)
    assert same(OPERATIONS["rotate"](image, 20), image.rotate(20))
    for name, enhancer in (
        ("brightness", ImageEnhance.Brightness),
        ("color", ImageEnhance.Color),
        ("contrast", ImageEnhance.Contrast),
        ("sharpness", ImageEnhance.Sharpness),
    ):
        assert same(OPERATIONS[name](image, -0.5), enhancer(image).enhance(0.5))
    np.testing.assert_array_equal(OPERATIONS["posterize"](image, 4.0), pixels & 0b11110000)
    np.testing.assert_array_equal(OPERATIONS["solarize"](image, 155.0), np.where(pixels < 100, pixels, 255 - pixels))
    assert same(OPERATIONS["autocontrast"](image, 0), ImageOps.autocontrast(image))
    assert same(OPERATIONS["equalize"](image, 0), ImageOps.equalize(image))
    right = np.asarray(OPERATIONS["translate_x"](image, 3.0))
    np.testing.assert_array_equal(right[:, 3:], pixels[:, :-3])
    assert not right[:, :3].any()
    up = np.asarray(OPERATIONS["translate_y"](image, -2.0))
    np.testing.assert_array_equal(up[:-2], pixels[2:])
    assert not up[-2:].any()
    sheared = np.asarray(OPERATIONS["shear_x"](image, 1.0))
    for row in range(16):  # each row moves by one pixel more than the one above it
        np.testing.assert_array_equal(sheared[row, : 19 - row], pixels[row, row + 1 :])
    sheared = np.asarray(OPERATIONS["shear_y"](image, -1.0))
    np.testing.assert_array_equal(sheared[5:, 5], pixels[:-5, 5])


def changed(before, after):
    return (before != after).any((1, 2, 3))


def test_rand_augment_grows_with_its_magnitude(images):
    def distance(magnitude):
        after = RandAugment(1, magnitude)(images, np.random.default_rng(0))
        return np.abs(after.astype(int) - images).mean((1, 2, 3))

    # At 0 only the operations without a magnitude change anything: stretching contrast, equalizing.
    assert 0.05 < changed(images, RandAugment(1, 0)(images, np.random.default_rng(0))).mean() < 0.25
    assert distance(0).mean() < distance(9).mean() < distance(30).mean()
    # Each image has an operation of its own; two of the 14 leave such an image as it is.
    assert 0.08 < (distance(30) == 0).mean() < 0.22


def test_several_operations_change_more(images):
    once, often = (changed(images, RandAugment(n)(images, np.random.default_rng(0))).mean() for n in (1, 4))
    assert once < 0.98 < often


def test_trivial_augment_draws_every_magnitude(images):
    gray = np.full((3000, 4, 4, 3), 100, "uint8")
    after = TrivialAugment()(gray, np.random.default_rng(0))
    # Of gray images brightness makes all grays from 1 to 199, in 31 steps either way.
    grays = set(after[(after == after[:, :1, :1, :1]).all((1, 2, 3))][:, 0, 0, 0].tolist())
    assert {1, 199} <= grays
    assert len(grays) > 40


@pytest.mark.parametrize("policy", [RandAugment(), TrivialAugment()])
def test_the_generator_decides_and_the_input_stays(images, policy):
    before = images.copy()
    first = policy(images, np.random.default_rng(3))
    assert first.shape == images.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(policy(images, np.random.default_rng(3)), first)
    assert (policy(images, np.random.default_rng(4)) != first).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"operations": 0}, "operations"),
        ({"operations": 1.5}, "operations"),
        ({"magnitude": 31}, "magnitude"),
        ({"magnitude": -1}, "magnitude"),
    ],
)
def test_bad_arguments_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        RandAugment(**fields)
