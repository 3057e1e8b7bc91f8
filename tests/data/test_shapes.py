import numpy as np
import pytest

from keras_lite.data import make_shapes
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


@pytest.fixture(scope="module")
def train():
    return make_shapes(1500, seed=1)


@pytest.fixture(scope="module")
def test():
    return make_shapes(1000, seed=3)


def all_images(source):
    return source.images(np.arange(len(source)))


def test_sizes_and_classes(test):
    assert all_images(test).shape == (1000, 64, 64, 3)
    assert len(test.class_names) >= 10
    assert np.bincount(test.labels).tolist() == [1000 // len(test.class_names)] * len(test.class_names)


def test_the_seed_decides(test):
    np.testing.assert_array_equal(all_images(make_shapes(40, 5)), all_images(make_shapes(40, 5)))
    np.testing.assert_array_equal(make_shapes(40, 5).labels, make_shapes(40, 5).labels)
    assert (all_images(make_shapes(40, 5)) != all_images(make_shapes(40, 6))).any((1, 2, 3)).all()


def test_train_and_test_images_differ(train, test):
    assert not {image.tobytes() for image in all_images(train)} & {image.tobytes() for image in all_images(test)}


def test_other_sizes():
    assert make_shapes(3, 0, image_size=96).image_size == (96, 96)
    for arguments in ((0, 0, 64), (1, -1, 64), (1, 0, 8)):
        with pytest.raises(InputError, match="image_size"):
            make_shapes(*arguments)


def linear_top1(train_features, train_labels, test_features, test_labels):
    """Return the test accuracy of the best ridge classifier, in percent: the strength is chosen by the test images."""
    mean, std = train_features.mean(0), train_features.std(0) + 1e-3
    train_features = ((train_features - mean) / std).astype("float32")
    test_features = ((test_features - mean) / std).astype("float32")
    targets = np.eye(train_labels.max() + 1, dtype="float32")[train_labels] - 0.1
    inner, across = train_features @ train_features.T, test_features @ train_features.T
    found = []
    for strength in (0.03, 0.3, 3):
        ridge = strength * np.trace(inner) / len(inner) * np.eye(len(inner), dtype="float32")
        outputs = across @ np.linalg.solve(inner + ridge, targets)
        found.append((outputs.argmax(1) == test_labels).mean())
    return 100 * max(found)


def test_pixels_do_not_tell_the_class_linearly(train, test):
    features = [all_images(source).reshape(len(source), -1) / np.float32(255) for source in (train, test)]
    assert linear_top1(features[0], train.labels, features[1], test.labels) < 45


def histograms(images):
    """Return how often each channel's values, and each color, occur in an image, 16 and 8 x 8 x 8 bins."""
    pixels = images.reshape(len(images), -1, 3)
    channels = [[np.bincount(image[:, c] // 16, minlength=16) for c in range(3)] for image in pixels]
    joint = (pixels // 32).astype("int64") @ np.array([64, 8, 1])
    colors = [np.bincount(image, minlength=512) for image in joint]
    return np.sqrt(np.concatenate([np.reshape(channels, (len(images), 48)), colors], axis=1))


def test_colors_do_not_tell_the_class_linearly(train, test):
    features = [histograms(all_images(source)) for source in (train, test)]
    assert linear_top1(features[0], train.labels, features[1], test.labels) < 45
