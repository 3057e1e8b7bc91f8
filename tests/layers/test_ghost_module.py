import keras
import numpy as np
import pytest
from layer_case import check_layer, check_training

from keras_lite.errors import InputError
from keras_lite.layers import GhostModule

pytestmark = pytest.mark.slow_elsewhere


def batch_norm(name, channels):
    return {f"{name}/{v}": (channels,) for v in ("gamma", "beta", "moving_mean", "moving_variance")}


@pytest.mark.parametrize("arguments", [{"filters": 8}, {"filters": 7, "relu": False, "kernel_size": 5}])
def test_layer(arguments, tmp_path):
    size = arguments.get("kernel_size", 3)
    variables = {
        "primary_convolution/kernel": (1, 1, 6, 4),
        **batch_norm("primary_batch_norm", 4),
        "cheap_convolution/kernel": (size, size, 4, 1),
        **batch_norm("cheap_batch_norm", 4),
    }
    check_layer(
        GhostModule, arguments, (2, 9, 8, 6), (2, 9, 8, arguments["filters"]), variables=variables, tmp_path=tmp_path
    )


def test_training():
    check_training(GhostModule(8, name="ghost"), (4, 5, 5, 6))


def test_ghosts_follow_the_channels_they_are_made_of():
    images = np.random.default_rng(0).normal(size=(1, 5, 5, 6)).astype("float32")
    layer = GhostModule(8, relu=False)
    layer.build(images.shape)
    primary, cheap = np.random.default_rng(1).normal(size=(6, 4)), np.zeros((3, 3, 4, 1))
    cheap[1, 1, :, 0] = [2, 3, 4, 5]
    layer.primary[0].set_weights([primary[None, None]])
    layer.cheap[0].set_weights([cheap])
    found = keras.ops.convert_to_numpy(layer(images))
    expected = images @ primary
    np.testing.assert_allclose(found[..., :4], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[..., 4:], expected * [2, 3, 4, 5], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters to be a positive integer, received 0"),
        ({"filters": 8, "kernel_size": 2}, "kernel_size to be odd, received 2"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        GhostModule(**arguments)
