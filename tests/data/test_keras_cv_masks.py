"""GridMask and FMix: with KerasCV where it is installed, and what is said where it is not."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_lite.data import ArraySource, Augmentation, Batches, GridMask, Mix, Preprocessing
from keras_lite.data.keras_cv_masks import fourier_masks
from keras_lite.errors import MissingExtraError

CLASSES = 10


@pytest.fixture
def keras_cv():
    """Skip the test where KerasCV is not installed."""
    return pytest.importorskip("keras_cv", reason="KerasCV is the extra keras-cv")


def images_of(count, height=32, width=24):
    return np.random.default_rng(0).integers(1, 256, (count, height, width, 3)).astype("uint8")


def test_grid_mask_blacks_out_a_grid_and_nothing_else(keras_cv):
    images = images_of(48)
    before = images.copy()
    masked = GridMask()(images, np.random.default_rng(0))
    assert masked.dtype == np.uint8
    np.testing.assert_array_equal(images, before)
    black = (masked == 0).all(-1)
    np.testing.assert_array_equal(masked[~black], images[~black])
    # Squares of side r in a grid of distance 1 cover r squared, with r from 0 to 0.5: a twelfth on average.
    shares = black.mean((1, 2))
    assert 0.03 < shares.mean() < 0.2
    assert shares.min() < 0.02
    assert shares.max() < 0.5
    assert len(np.unique(black.reshape(48, -1), axis=0)) > 40  # another mask for each image


def test_each_fourier_mask_has_its_share_in_few_areas(keras_cv):
    shares = np.linspace(0, 1, 21)
    masks = fourier_masks(shares, 32, 24, np.random.default_rng(0))
    assert masks.shape == (21, 32, 24, 1)
    assert set(np.unique(masks)) == {0.0, 1.0}
    np.testing.assert_allclose(masks.mean((1, 2, 3)), shares, atol=0.51 / (32 * 24))
    # Random pixels change from one to the next in half of all places, areas along their edges.
    assert np.abs(np.diff(masks[10, ..., 0], axis=1)).mean() < 0.2


def test_fourier_mix_mixes_labels_by_area(keras_cv):
    own = np.arange(32) % CLASSES
    images = np.broadcast_to(own[:, None, None, None], (32, 24, 20, 3)).astype("float32")
    labels = np.eye(CLASSES, dtype="float32")[own]
    mixed, soft = Mix(fourier=1.0)(images, labels, np.random.default_rng(0))
    assert mixed.dtype == soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-6)
    for pixels, label in zip(mixed, soft, strict=True):
        areas = np.bincount(pixels[..., 0].astype(int).reshape(-1), minlength=CLASSES) / pixels[..., 0].size
        # The label goes by the area before it is rounded to whole pixels.
        np.testing.assert_allclose(label, areas, atol=0.51 / (24 * 20))
    assert (soft.max(1) < 0.95).sum() > 10


def test_a_batch_depends_on_seed_epoch_and_index_alone(keras_cv):
    import tensorflow as tf

    source = ArraySource(images_of(10), np.arange(10) % 2, ["a", "b"])
    plan = [(0, 0), (0, 1), (0, 2), (3, 0)]

    def batches():
        augmentation = Augmentation(policy=GridMask())
        return Batches(source, 4, Preprocessing((32, 24)), augmentation, shuffle=True, seed=5, mix=Mix(fourier=0.5))

    first = [batches().batch(*place) for place in plan]
    tf.random.set_seed(1)  # nor on TensorFlow's own state
    again = batches()
    with ThreadPoolExecutor(3) as threads:
        others = list(threads.map(lambda place: again.batch(*place), plan[::-1]))[::-1]
    for one, other in zip(first, others, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert (first[0][0] != first[3][0]).any()


def test_grid_mask_comes_back_from_its_dictionary(keras_cv):
    augmentation = Augmentation(policy=GridMask())
    assert augmentation.to_dict()["policy"] == {"name": "grid_mask"}
    assert Augmentation.from_dict(augmentation.to_dict()) == augmentation


@pytest.mark.parametrize("make", [GridMask, lambda: Mix(fourier=0.5)])
def test_without_the_package_the_error_says_what_to_install(monkeypatch, make):
    monkeypatch.setitem(sys.modules, "keras_cv", None)
    with pytest.raises(MissingExtraError, match=r'pip install "keras-lite\[keras-cv\]"'):
        make()
