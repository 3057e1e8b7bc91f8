import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.errors import InputError
from keras_lite.layers import PaddingFreeDownsampling

pytestmark = pytest.mark.slow_elsewhere


def batch_norm(channels):
    return {f"batch_norm/{variable}": (channels,) for variable in ("gamma", "beta", "moving_mean", "moving_variance")}


DEPTHWISE = {"convolution/kernel": (3, 3, 16, 1), **batch_norm(16)}
FULL = {"convolution/kernel": (3, 3, 16, 24), "pool_projection/kernel": (1, 1, 16, 24)}
BLUEPRINT = {
    "convolution/pointwise/kernel": (1, 1, 16, 24),
    "convolution/depthwise/kernel": (3, 3, 24, 1),
    "pool_projection/kernel": (1, 1, 16, 24),
}
CASES = [
    ({"activation": "hard_silu"}, 16, DEPTHWISE),
    (
        {"kernel_size": 5, "pool_size": 5, "activation": None, "pool_added_after": "batch_norm"},
        16,
        DEPTHWISE | {"convolution/kernel": (5, 5, 16, 1)},
    ),
    ({"activation": None, "pool_added_after": "convolution"}, 16, DEPTHWISE),
    ({"filters": 24, "initialization": "kaiming_uniform"}, 24, FULL | batch_norm(24)),
    ({"filters": 24, "activation": None, "batch_norm": False, "pool_added_after": "convolution"}, 24, FULL),
    ({"filters": 24, "convolution": "bsconv_u"}, 24, BLUEPRINT | batch_norm(24)),
]


@pytest.mark.parametrize(("arguments", "channels", "variables"), CASES)
def test_layer(arguments, channels, variables, tmp_path):
    shape = (2, 10, 11, 16)
    check_layer(PaddingFreeDownsampling, arguments, shape, (2, 4, 5, channels), variables=variables, tmp_path=tmp_path)


@pytest.mark.parametrize("size", [7, 8, 13, 14])
@pytest.mark.parametrize("pool_size", [3, 5])
def test_pool_against_numpy(size, pool_size):
    """With a kernel of zeros the pool alone is left: 5 x 5 pools are padded by one pixel that never wins."""
    images = np.random.default_rng(0).uniform(-2, -1, size=(1, size, size, 4)).astype("float32")
    layer = PaddingFreeDownsampling(
        kernel_size=pool_size, pool_size=pool_size, activation=None, batch_norm=False, pool_added_after="convolution"
    )
    layer.build(images.shape)
    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    pad = pool_size // 2 - 1
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=-np.inf)
    starts = range(0, padded.shape[1] - pool_size + 1, 2)
    expected = [[padded[0, i : i + pool_size, j : j + pool_size].max((0, 1)) for j in starts] for i in starts]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(images))[0], expected)


def test_where_the_pool_is_added():
    """Depthwise weights of -1 on positive images: ReLU turns the convolution to zero, so the order shows."""
    images = np.random.default_rng(0).uniform(1, 2, size=(1, 5, 5, 4)).astype("float32")
    pooled = images[:, :3, :3].max((1, 2))

    def first_pixel(where):
        layer = PaddingFreeDownsampling(pool_added_after=where, batch_norm_epsilon=1e-12)
        layer.build(images.shape)
        kernel, gamma, *rest, variance = layer.get_weights()
        layer.set_weights([-np.ones_like(kernel), gamma * 2, *rest, variance])
        return keras.ops.convert_to_numpy(layer(images))[:, 0, 0]

    np.testing.assert_allclose(first_pixel("activation"), pooled, rtol=1e-6)
    np.testing.assert_array_equal(first_pixel("batch_norm"), 0)
    np.testing.assert_array_equal(first_pixel("convolution"), 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters to be a positive integer or None, received 0"),
        ({"kernel_size": 7}, "kernel_size to be 3 or 5, received 7"),
        ({"activation": "gelu"}, "activation to be one of .*received 'gelu'"),
        ({"activation": None}, "pool_added_after to be one of .* that the layer has, received 'activation'"),
        ({"convolution": "bsconv_u"}, "filters with convolution='bsconv_u', received none"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        PaddingFreeDownsampling(**arguments)
