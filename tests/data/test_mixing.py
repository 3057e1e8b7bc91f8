from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_lite.data import Mix
from keras_lite.data.mixing import erase
from keras_lite.errors import InputError

CLASSES = 10


@pytest.fixture
def batch():
    """Images filled with the number of their class, and one-hot labels."""
    labels = np.arange(32) % CLASSES
    images = np.broadcast_to(labels[:, None, None, None], (32, 24, 20, 3)).astype("float32")
    return images, np.eye(CLASSES, dtype="float32")[labels]


def mixed(batch, seed=0, **arguments):
    images, labels = Mix(**arguments)(*batch, np.random.default_rng(seed))
    assert images.dtype == labels.dtype == np.float32
    assert images.shape == batch[0].shape
    assert labels.shape == batch[1].shape
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)
    assert (labels >= 0).all()
    return images, labels


@pytest.mark.slow_elsewhere
def test_mixup_mixes_labels_as_it_mixes_images(batch):
    images, labels = mixed(batch, mixup=1.0)
    expected = labels @ np.arange(CLASSES)
    np.testing.assert_allclose(images, np.broadcast_to(expected[:, None, None, None], images.shape), atol=1e-4)
    assert ((labels > 0).sum(1) == 2).mean() > 0.5
    assert len(np.unique(labels.max(1).round(4))) > 10  # a share for each image
    # A small alpha leaves most images nearly as they were.
    assert np.median(mixed(batch, mixup=0.05)[1].max(1)) > 0.98


@pytest.mark.slow_elsewhere
def test_cutmix_mixes_labels_by_area(batch):
    images, labels = mixed(batch, cutmix=1.0)
    for pixels, label, own in zip(images, labels, batch[0][:, 0, 0, 0].astype(int), strict=True):
        other = pixels[..., 0] != own
        assert len(np.unique(pixels[other])) <= 1  # one other image
        if other.any():
            rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
            assert other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # a rectangle
        # The label goes by the area before it is rounded to whole pixels.
        assert label[own] == pytest.approx(1 - other.mean(), abs=1 / 24 + 1 / 20)


@pytest.mark.slow_elsewhere
def test_of_both_each_batch_has_one(batch):
    kinds = set()
    for seed in range(12):
        images, _ = mixed(batch, seed, mixup=1.0, cutmix=1.0)
        kinds.add(bool((images == images.round()).all()))  # pasted pixels stay whole numbers
    assert kinds == {True, False}


def test_the_generator_decides_in_any_thread(batch):
    images = (batch[0] * 20).astype("uint8")

    def work(seed):
        kind = {"mixup": 0.4} if seed % 2 else {"cutmix": 1.0}
        return *Mix(**kind)(*batch, np.random.default_rng(seed)), erase(images, 0.5, np.random.default_rng(seed))

    alone = [work(seed) for seed in range(4)]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(work, range(4)))
    for first, second in zip(alone, together, strict=True):
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (alone[0][1] != alone[2][1]).any()
    assert (alone[0][2] != alone[2][2]).any()


@pytest.mark.slow_elsewhere
def test_a_rectangle_of_some_images_is_erased():
    images = np.full((400, 24, 20, 3), 128, "uint8")
    erased = erase(images, 0.25, np.random.default_rng(1))
    assert erased.dtype == np.uint8
    changed = (erased != 128).any(-1)
    hit = changed.any((1, 2))
    assert 0.17 < hit.mean() < 0.33
    areas = changed[hit].mean((1, 2))
    assert areas.min() < 0.1
    assert 0.2 < areas.max() < 0.4
    assert not (erase(images[:4], 1.0, np.random.default_rng(0)) == 128).all((1, 2, 3)).any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "0 for all"),
        ({"mixup": -0.1}, "mixup"),
        ({"mixup": float("nan")}, "mixup"),
        ({"cutmix": 1.5}, "cutmix"),
        ({"cutmix": "1"}, "cutmix"),
        ({"fourier": -0.5}, "fourier"),
    ],
)
def test_bad_arguments_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Mix(**fields)
