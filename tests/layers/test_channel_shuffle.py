import keras
import numpy as np
import pytest
from layer_case import check_layer, check_training

from keras_lite.errors import InputError
from keras_lite.layers import ChannelInterleave, ChannelShuffle, ChannelSlice, ChannelSplit

pytestmark = pytest.mark.slow_elsewhere


@pytest.mark.parametrize(
    ("layer_class", "arguments", "channels"),
    [
        (ChannelShuffle, {"groups": 2}, 6),
        (ChannelShuffle, {"groups": 3}, 6),
        (ChannelSlice, {"start": 0, "filters": 5}, 5),
        (ChannelSlice, {"start": 2, "filters": 4}, 4),
    ],
)
def test_layer(layer_class, arguments, channels, tmp_path):
    check_layer(layer_class, arguments, (2, 3, 4, 6), (2, 3, 4, channels), variables={}, tmp_path=tmp_path)


def test_order():
    images = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype("float32")
    shuffled = keras.ops.convert_to_numpy(ChannelShuffle(2)(images))
    np.testing.assert_array_equal(shuffled, images[..., [0, 3, 1, 4, 2, 5]])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ChannelShuffle(3)(shuffled)), images)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ChannelSlice(1, 3)(images)), images[..., 1:4])


def test_halves():
    images = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype("float32")
    left, right = ChannelSplit()(images)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(left), images[..., :3])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(right), images[..., 3:])
    interleaved = keras.ops.convert_to_numpy(ChannelInterleave()([left, right]))
    np.testing.assert_array_equal(interleaved, images[..., [0, 3, 1, 4, 2, 5]])
    half = ChannelInterleave(dtype="mixed_bfloat16")([left, right])
    assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(keras.ops.cast(half, "float32")), interleaved, rtol=0.01)


def test_training():
    def unit(x):
        left, right = ChannelSplit(name="split")(x)
        return ChannelInterleave(name="join")([left, keras.layers.Conv2D(3, 1, name="second")(right)])

    check_training(unit, (2, 3, 4, 6))


@pytest.mark.parametrize(
    ("build", "shape", "message"),
    [
        (lambda: ChannelShuffle(0), None, "groups to be a positive integer, received 0"),
        (lambda: ChannelShuffle(4), (None, 3, 4, 6), r"groups to divide the number of channels \(6\), received 4"),
        (lambda: ChannelShuffle(2), (None, None, 4, 6), "known height and width for ChannelShuffle"),
        (lambda: ChannelSlice(-1, 2), None, "start to be an integer from 0 on, received -1"),
        (lambda: ChannelSlice(0, 0), None, "filters to be a positive integer, received 0"),
        (lambda: ChannelSlice(4, 3), (None, 3, 4, 6), r"at most the number of channels \(6\), received 4 \+ 3"),
        (ChannelSplit, (None, 3, 4, 5), "an even number of channels, received 5"),
        (ChannelSplit, (None, 3, None, 4), "known height and width for ChannelSplit"),
        (ChannelInterleave, [(None, 3, None, 4)] * 2, "known height and width for ChannelInterleave"),
    ],
)
def test_wrong_arguments(build, shape, message):
    with pytest.raises(InputError, match=message):
        build().build(shape)
