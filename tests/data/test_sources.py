import numpy as np
import pytest

from keras_lite.data import ArraySource
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only

IMAGES = np.arange(3 * 2 * 4 * 3, dtype="uint8").reshape(3, 2, 4, 3)


def test_holds_images_and_labels():
    source = ArraySource(IMAGES, [1, 0, 1], ["a", "b"])
    assert len(source) == 3
    assert source.image_size == (2, 4)
    assert source.labels.dtype == np.int64
    assert source.paths is None
    np.testing.assert_array_equal(source.images([2, 0]), IMAGES[[2, 0]])


def test_gives_copies():
    source = ArraySource(IMAGES, [1, 0, 1], ["a", "b"])
    source.images([0])[:] = 99
    np.testing.assert_array_equal(source.images([0]), IMAGES[:1])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES.astype("float32"), [1, 0, 1], "uint8"),
        (IMAGES[..., :1], [1, 0, 1], "shape"),
        (IMAGES, [1, 0], "3 images"),
        (IMAGES, [1, 0, 2], "from 0 to 1, received from 0 to 2"),
        (IMAGES, [1, 0, -1], "from 0 to 1"),
        (IMAGES, [1.0, 0.0, 1.0], "whole numbers"),
        (IMAGES[:0], [], "whole numbers"),
    ],
)
def test_bad_arguments_are_refused(images, labels, message):
    with pytest.raises(InputError, match=message):
        ArraySource(images, labels, ["a", "b"])
