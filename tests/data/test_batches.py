import keras
import numpy as np
import pytest

from keras_lite.data import (
    ArraySource,
    Augmentation,
    Batches,
    ImageGeometry,
    Mix,
    Preprocessing,
    RandAugment,
    RandomCrop,
    RandomResizedCrop,
)
from keras_lite.errors import InputError

PREPROCESSING = Preprocessing((8, 8))
AUGMENTATION = Augmentation(crop_padding=1, brightness=0.2, horizontal_flip=True, rotation=15.0)


@pytest.fixture
def source():
    """Image number n is filled with n, and so is its label."""
    images = np.broadcast_to(np.arange(23, dtype="uint8")[:, None, None, None], (23, 8, 8, 3))
    return ArraySource(images.copy(), np.arange(23), [str(number) for number in range(23)])


def labels_of(batches):
    return np.concatenate([batches[index][1] for index in range(len(batches))])


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_shapes_and_types(source):
    batches = Batches(source, 5, PREPROCESSING)
    images, labels = batches[0]
    assert images.shape == (5, 8, 8, 3)
    assert images.dtype == np.float32
    assert labels.dtype == np.int32
    assert len(batches) == 5
    assert batches[4][0].shape[0] == 3
    np.testing.assert_array_equal(labels_of(batches), np.arange(23))


def test_labels_stay_with_their_images(source):
    for images, labels in Batches(source, 5, PREPROCESSING, shuffle=True):
        np.testing.assert_allclose(images[:, 0, 0, 0], (labels / 255 - 0.485) / 0.229, atol=1e-6)


def test_drop_remainder(source):
    assert len(Batches(source, 5, PREPROCESSING, drop_remainder=True)) == 4
    with pytest.raises(InputError, match="batch of 24"):
        Batches(source, 24, PREPROCESSING, drop_remainder=True)


def test_each_epoch_has_an_order_of_its_own(source):
    batches = Batches(source, 5, PREPROCESSING, shuffle=True)
    first = labels_of(batches)
    batches.on_epoch_end()
    second = labels_of(batches)
    assert sorted(first) == sorted(second) == list(range(23))
    assert list(first) != list(second)
    assert list(first) != list(range(23))


def test_seed_decides_order_and_augmentation(source):
    same = [Batches(source, 5, PREPROCESSING, AUGMENTATION, shuffle=True, seed=4) for _ in range(2)]
    other = Batches(source, 5, PREPROCESSING, AUGMENTATION, shuffle=True, seed=5)
    assert_same(same[0], same[1])
    assert list(labels_of(other)) != list(labels_of(same[0]))
    unshuffled = [Batches(source, 5, PREPROCESSING, AUGMENTATION, seed=seed) for seed in (4, 5)]
    assert (unshuffled[0][0][0] != unshuffled[1][0][0]).any()


def test_augmentation_differs_from_batch_to_batch_and_epoch_to_epoch():
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype="uint8").repeat(8, axis=0)
    batches = Batches(ArraySource(images, np.zeros(8, int), ["a"]), 4, PREPROCESSING, AUGMENTATION)
    seen = {batches.batch(epoch, index)[0].tobytes() for epoch in range(3) for index in range(2)}
    assert len(seen) == 6


def test_a_batch_does_not_depend_on_what_was_read_before(source):
    straight = Batches(source, 4, PREPROCESSING, AUGMENTATION, shuffle=True, seed=2)
    expected = {}
    for epoch in range(3):
        expected |= {(epoch, index): straight[index] for index in range(len(straight))}
        straight.on_epoch_end()
    again = Batches(source, 4, PREPROCESSING, AUGMENTATION, shuffle=True, seed=2)
    for place in np.random.default_rng(0).permutation(list(expected)):
        assert_same([again.batch(*map(int, place))], [expected[tuple(place)]])
    for epoch, index in ((1, 3), (2, 0), (0, 5)):  # restarted in the middle
        restarted = Batches(source, 4, PREPROCESSING, AUGMENTATION, shuffle=True, seed=2)
        restarted.epoch = epoch
        assert_same([restarted[index]], [expected[epoch, index]])


MODERN = Augmentation(crop=RandomResizedCrop(), horizontal_flip=True, policy=RandAugment(), erasing=0.5)


@pytest.mark.slow_elsewhere
def test_with_everything_on_a_batch_is_still_a_function_of_its_place():
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype="uint8")
    source = ArraySource(images, np.arange(10) % 3, ["a", "b", "c"])
    arguments = (source, 4, PREPROCESSING, MODERN, True, 5)
    expected = [Batches(*arguments, mix=Mix(mixup=0.4)).batch(1, index) for index in range(3)]
    again = Batches(*arguments, mix=Mix(mixup=0.4))
    again.batch(0, 1)
    for index in (2, 0, 1):
        assert_same([again.batch(1, index)], [expected[index]])
    assert (again.batch(2, 0)[0] != expected[0][0]).any()
    for inputs, labels in expected:
        assert inputs.dtype == labels.dtype == np.float32
        assert labels.shape == (len(inputs), 3)
        np.testing.assert_allclose(labels.sum(1), 1, atol=1e-5)


def test_fit_takes_mixed_labels():
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype="uint8")
    batches = Batches(ArraySource(images, np.arange(8) % 2, ["a", "b"]), 4, PREPROCESSING, MODERN, mix=Mix(cutmix=1.0))
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    losses = model.fit(batches, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def test_crops_are_cut_from_the_whole_image_as_the_geometry_scales_it():
    """Of an image that is taken for a photo of 8x8, scaled to 16x16, a crop shows a quarter."""
    images = np.repeat(np.arange(64, dtype="uint8").reshape(1, 8, 8, 1), 3, axis=3) * 4
    source = ArraySource(images, [0], ["a"])
    preprocessing = Preprocessing((8, 8), (0.0,) * 3, (1.0,) * 3, resize=(16, 16), keep_aspect=False)
    batches = Batches(source, 1, preprocessing, Augmentation(crop=RandomCrop()))
    ranges = {float(np.ptp(batches.batch(epoch, 0)[0]) * 255) for epoch in range(20)}
    assert len(ranges) > 1
    assert max(ranges) < 0.62 * 63 * 4
    assert np.ptp(Batches(source, 1, preprocessing)[0][0]) * 255 == pytest.approx(63 * 4)  # images of one size stay


def test_fit_sees_the_batches_in_their_order(source):
    seen = []

    class Recorder(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(batches.epoch)

    batches = Batches(source, 5, PREPROCESSING, AUGMENTATION, shuffle=True, seed=3)
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(23, kernel_initializer="zeros")]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    model.fit(batches, epochs=3, shuffle=False, verbose=0, callbacks=[Recorder()])
    assert seen == [1, 2, 3]  # Keras ends an epoch before its first
    expected = _descend(Batches(source, 5, PREPROCESSING, AUGMENTATION, shuffle=True, seed=3))
    np.testing.assert_allclose(model.get_weights()[0], expected, atol=2e-5)


def _descend(batches):
    """Reckon epochs 1 to 3 of gradient descent on a linear classifier, batch by batch in their order."""
    kernel, bias = np.zeros((8 * 8 * 3, 23)), np.zeros(23)
    for epoch in (1, 2, 3):
        for index in range(len(batches)):
            images, labels = batches.batch(epoch, index)
            inputs = images.reshape(len(images), -1)
            logits = inputs @ kernel + bias
            probabilities = np.exp(logits - logits.max(1, keepdims=True))
            probabilities /= probabilities.sum(1, keepdims=True)
            error = (probabilities - np.eye(23)[labels]) / len(labels)
            kernel -= 0.1 * inputs.T @ error
            bias -= 0.1 * error.sum(0)
    return kernel


def test_an_error_of_the_source_comes_out_as_it_was(source, monkeypatch):
    def broken(indices):
        raise InputError("photo.jpg")

    batches = Batches(source, 4, PREPROCESSING)
    monkeypatch.setattr(source, "images", broken)
    with pytest.raises(InputError, match=r"photo\.jpg"):
        batches[0]


def test_photos_must_be_opened_as_the_preprocessing_says(source):
    source.geometry = ImageGeometry((8, 8))
    Batches(source, 4, PREPROCESSING)
    with pytest.raises(InputError, match=r"resize=\(9, 9\).*received.*resize=\(8, 8\)"):
        Batches(source, 4, Preprocessing((8, 8), resize=(9, 9)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"preprocessing": Preprocessing((8, 9))}, "images of"),
    ],
)
def test_bad_arguments_are_refused(source, arguments, message):
    with pytest.raises(InputError, match=message):
        Batches(**({"source": source, "batch_size": 4, "preprocessing": PREPROCESSING} | arguments))


def test_there_is_no_batch_behind_the_last(source):
    with pytest.raises(IndexError):
        Batches(source, 5, PREPROCESSING)[5]
