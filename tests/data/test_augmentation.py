import json

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from keras_lite.data import Augmentation, RandAugment, RandomCrop, RandomResizedCrop, TrivialAugment
from keras_lite.data.augmentation import rotate, scale_brightness, shift_crop
from keras_lite.data.mixing import erase
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(1, 256, (64, 12, 16, 3), dtype="uint8")


def augment(images, seed=0, **arguments):
    return Augmentation(**arguments)(images, np.random.default_rng(seed))


def test_nothing_changes_by_default(images):
    np.testing.assert_array_equal(augment(images), images)


def test_rotation_by_known_angles():
    square = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), dtype="uint8")
    turned = rotate(square, np.array([0, 90, 180, -90]))
    expected = np.stack([np.rot90(image, turns) for image, turns in zip(square, [0, 1, 2, 3], strict=True)])
    np.testing.assert_array_equal(turned, expected)  # np.rot90 turns counter-clockwise, as published


def test_rotation_is_pillows():
    images = np.random.default_rng(0).integers(0, 256, (20, 31, 24, 3), dtype="uint8")
    angles = np.linspace(-15, 15, 20)
    expected = [Image.fromarray(image).rotate(angle) for image, angle in zip(images, angles, strict=True)]
    # Pillow reckons in fixed point: a pixel that falls on an edge may go to its neighbor.
    same = (rotate(images, angles) == np.stack([np.asarray(image) for image in expected])).all(-1)
    assert same.mean() > 0.999


def test_rotation_fills_with_black(images):
    turned = augment(images, rotation=15.0)
    assert (turned[:, 6, 8] > 0).all()  # the middle stays
    assert (turned[:, 0, 0] == 0).all(-1).sum() > 30  # about every image loses a corner or another
    assert len({image.tobytes() for image in turned}) == 64


def test_brightness_is_pillows():
    images = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3), dtype="uint8")
    factors = np.linspace(0.8, 1.2, 8)
    expected = [
        np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(factor))
        for image, factor in zip(images, factors, strict=True)
    ]
    difference = scale_brightness(images, factors).astype(int) - np.stack(expected)
    assert np.abs(difference).max() <= 1  # Pillow reckons in single precision


def test_brightness_draws_one_factor_an_image_from_the_range():
    gray = np.full((500, 2, 2, 3), 100, "uint8")
    changed = augment(gray, brightness=0.2)
    assert (changed == changed[:, :1, :1, :1]).all()
    assert changed.min() in (80, 81)
    assert changed.max() in (118, 119)


def test_brightness_does_not_wrap_around():
    assert scale_brightness(np.full((1, 1, 1, 3), 250, "uint8"), np.array([1.2])).tolist() == [[[[255] * 3]]]


def test_horizontal_flip_mirrors_about_half(images):
    changed = augment(images, horizontal_flip=True)
    mirrored = (changed == images[:, :, ::-1]).all((1, 2, 3))
    kept = (changed == images).all((1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 20 < mirrored.sum() < 44


def test_crop_moves_the_image_and_fills_with_black(images):
    moved = shift_crop(images[:3], 2, np.array([2, 0, 4]), np.array([2, 4, 1]))
    np.testing.assert_array_equal(moved[0], images[0])
    np.testing.assert_array_equal(moved[1, 2:, :-2], images[1, :-2, 2:])
    assert not moved[1, :2].any()
    assert not moved[1, :, -2:].any()
    np.testing.assert_array_equal(moved[2, :-2, 1:], images[2, 2:, :-1])


def test_crop_reaches_every_offset(images):
    changed = augment(np.repeat(images[:1], 600, axis=0), crop_padding=2)
    assert len({image.tobytes() for image in changed}) == 25


def test_order_is_the_published_one(images):
    rng = np.random.default_rng(7)
    expected = scale_brightness(images, rng.uniform(0.8, 1.2, 64))
    flipped = rng.random(64) < 0.5
    expected[flipped] = expected[flipped, :, ::-1]
    expected = rotate(expected, rng.uniform(-15, 15, 64))
    np.testing.assert_array_equal(
        augment(images, seed=7, brightness=0.2, horizontal_flip=True, rotation=15.0), expected
    )


def test_flip_and_brightness_commute(images):
    """Stanford Dogs' published order is the flip first."""
    factors = np.random.default_rng(0).uniform(0.6, 1.4, 64)
    np.testing.assert_array_equal(
        scale_brightness(images[:, :, ::-1], factors), scale_brightness(images, factors)[:, :, ::-1]
    )


def test_policy_and_erasing_come_last(images):
    rng = np.random.default_rng(7)
    flipped = rng.random(64) < 0.5
    expected = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
    expected = erase(RandAugment()(expected, rng), 0.5, rng)
    received = augment(images, seed=7, horizontal_flip=True, policy=RandAugment(), erasing=0.5)
    np.testing.assert_array_equal(received, expected)


def test_input_stays_and_the_generator_decides(images):
    before = images.copy()
    everything = {"crop_padding": 2, "brightness": 0.2, "horizontal_flip": True, "rotation": 15.0}
    first = augment(images, seed=3, **everything)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(augment(images, seed=3, **everything), first)
    assert (augment(images, seed=4, **everything) != first).any()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"crop": RandomCrop(), "policy": TrivialAugment()},
        {"crop": RandomResizedCrop((0.2, 0.9), (0.5, 2.0)), "policy": RandAugment(3, 12), "erasing": 0.25},
    ],
)
def test_comes_back_from_its_dictionary(more):
    augmentation = Augmentation(crop_padding=4, brightness=0.2, horizontal_flip=True, rotation=15.0, **more)
    fields = json.loads(json.dumps(augmentation.to_dict()))
    assert Augmentation.from_dict(fields) == augmentation
    # Files written before there were others have these four, and stay equal.
    assert set(fields) == {"crop_padding", "brightness", "horizontal_flip", "rotation", *more}


@pytest.mark.parametrize(
    "fields",
    [
        {"brightness": -0.1},
        {"brightness": 1.5},
        {"brightness": "0.2"},
        {"horizontal_flip": 1},
        {"rotation": 200},
        {"rotation": float("nan")},
        {"crop_padding": 1.5},
        {"crop_padding": -1},
        {"erasing": 1.1},
        {"crop": "random_crop"},
        {"crop": {"name": "other"}},
        {"crop": {"name": "random_crop", "more": 1}},
        {"crop": {"scale": [0.1, 1.0]}},
        {"policy": {"name": "random_crop"}},
        {"zoom": 2},
    ],
)
def test_bad_fields_are_refused(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        Augmentation.from_dict(fields)
