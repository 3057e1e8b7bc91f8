import numpy as np
import pytest

from keras_lite.data import ArraySource, with_classes
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


def test_labels_in_the_numbers_of_a_model():
    source = ArraySource(IMAGES, [1, 0, 1], ["owl", "cat"])
    known = with_classes(source, ["ant", "cat", "dog", "owl"])
    assert known.labels.tolist() == [1, 3, 1]
    assert known.class_names == ["ant", "cat", "dog", "owl"]
    np.testing.assert_array_equal(known.images([2, 0]), IMAGES[[2, 0]])
    assert (source.labels.tolist(), source.class_names) == ([1, 0, 1], ["owl", "cat"])
    with pytest.raises(InputError, match=r"the 2 classes .* \('cat', 'ant'\), received 1 others, such as 'owl'"):
        with_classes(source, ["cat", "ant"])
