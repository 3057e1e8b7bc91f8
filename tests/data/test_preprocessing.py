import numpy as np
import pytest
from PIL import Image

from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, ImageGeometry, Preprocessing
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


def test_known_pixels():
    preprocessing = Preprocessing((1, 2), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    result = preprocessing(np.array([[[[0, 0, 0], [255, 255, 255]]]], "uint8"))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0, 0], [[-1, -1, 0], [1, 3, 1]], atol=1e-6)


def test_imagenet_normalization_is_the_default():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype="uint8")
    expected = (images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(Preprocessing((5, 7))(images), expected, atol=1e-5)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


def test_comes_back_from_its_dictionary():
    preprocessing = Preprocessing((96, 64), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    fields = preprocessing.to_dict()
    assert fields == {"image_size": [96, 64], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    assert Preprocessing.from_dict(fields) == preprocessing


def test_how_photos_come_to_the_size_goes_along():
    preprocessing = Preprocessing((224, 224), resize=(256, 256), keep_aspect=False)
    fields = preprocessing.to_dict()
    assert fields["resize"] == [256, 256]
    assert fields["keep_aspect"] is False
    assert Preprocessing.from_dict(fields) == preprocessing
    assert preprocessing.geometry == ImageGeometry((224, 224), (256, 256), keep_aspect=False)
    assert preprocessing.at((112, 168)) == Preprocessing((112, 168), resize=(128, 192), keep_aspect=False)
    assert Preprocessing((244, 244)).at((96, 96)) == Preprocessing((96, 96))
    assert Preprocessing((8, 8), keep_aspect=False).to_dict()["resize"] == [8, 8]


def test_the_interpolation_goes_along_where_it_is_not_the_usual():
    preprocessing = Preprocessing((8, 6), (0.5,) * 3, (0.5,) * 3, interpolation="bicubic")
    fields = {"image_size": [8, 6], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    assert preprocessing.to_dict() == fields
    assert Preprocessing.from_dict(fields) == preprocessing
    assert preprocessing.geometry == ImageGeometry((8, 6), interpolation="bicubic")
    assert preprocessing.at((16, 12)) == Preprocessing((16, 12), (0.5,) * 3, (0.5,) * 3, interpolation="bicubic")


@pytest.mark.parametrize(
    "change",
    [
        {"resize": [90, 96]},
        {"keep_aspect": 1},
        {"interpolation": "linear"},
        {"image_size": [0, 5]},
        {"image_size": 96},
        {"image_size": [96.5, 96]},
        {"image_size": "96"},
        {"mean": [0.1, 0.2]},
        {"mean": ["a", "b", "c"]},
        {"std": [1, 0, 1]},
        {"std": [1, float("nan"), 1]},
        {"more": 1},
    ],
)
def test_bad_fields_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change)) if "more" not in change else "fields"):
        Preprocessing.from_dict(Preprocessing((96, 96)).to_dict() | change)


@pytest.mark.parametrize("content", [None, [], {}, {"image_size": [1, 1]}])
def test_missing_fields_are_refused(content):
    with pytest.raises(InputError, match="fields"):
        Preprocessing.from_dict(content)


def test_other_sizes_and_types_are_refused():
    preprocessing = Preprocessing((4, 4))
    with pytest.raises(InputError, match="received uint8 of shape"):
        preprocessing(np.zeros((1, 4, 5, 3), "uint8"))
    with pytest.raises(InputError, match="received float64"):
        preprocessing(np.zeros((1, 4, 4, 3)))


def test_one_mean_is_that_of_gray_photos():
    preprocessing = Preprocessing((5, 7), (0.25,), (0.5,))
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype="uint8")
    received = preprocessing(images)
    assert (received.shape, received.dtype, preprocessing.channels) == ((3, 5, 7, 1), np.float32, 1)
    gray = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    np.testing.assert_allclose(received[..., 0], (gray / 255 - 0.25) / 0.5, atol=1e-6)
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
    assert [limit.tolist() for limit in preprocessing.limits()] == [[-0.5], [1.5]]
    averaged = Preprocessing((5, 7), (0.1, 0.2, 0.6), (0.2, 0.2, 0.8)).gray()
    np.testing.assert_allclose((*averaged.mean, *averaged.std), [0.3, 0.4])
    with pytest.raises(InputError, match="three numbers for both mean and std, or one for both"):
        Preprocessing((5, 7), (0.25,))
