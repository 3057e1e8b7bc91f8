import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.errors import InputError
from keras_lite.layers import HybridStem

pytestmark = pytest.mark.slow_elsewhere


def batch_norm(name, channels):
    return {f"{name}/{variable}": (channels,) for variable in ("gamma", "beta", "moving_mean", "moving_variance")}


def variables(pre_activation=False, convolution=(("kernel", (3, 3, 3, 8)),)):
    shapes = {f"convolution/{name}": shape for name, shape in convolution}
    shapes |= {"depthwise/kernel": (3, 3, 8, 1), "fuse/kernel": (1, 1, 16, 8), **batch_norm("depthwise_batch_norm", 8)}
    if pre_activation:
        return shapes | batch_norm("fuse_batch_norm", 16)
    return shapes | batch_norm("fuse_batch_norm", 8) | batch_norm("convolution_batch_norm", 8)


BLUEPRINT = (("pointwise/kernel", (1, 1, 3, 8)), ("depthwise/kernel", (3, 3, 8, 1)))


@pytest.mark.parametrize(
    ("arguments", "size", "shapes"),
    [
        ({"activation": "hard_silu"}, (10, 11), variables()),
        ({"activation": "relu6", "strides": 2, "residual": True}, (5, 6), variables()),
        ({"strides": 2, "branch_strides": 2, "initialization": "kaiming_normal"}, (3, 3), variables()),
        ({"pre_activation": True, "residual": True}, (10, 11), variables(pre_activation=True)),
        ({"convolution": "bsconv_u", "strides": 2}, (5, 6), variables(convolution=BLUEPRINT)),
    ],
)
def test_layer(arguments, size, shapes, tmp_path):
    check_layer(
        HybridStem, {"filters": 8, **arguments}, (2, 10, 11, 3), (2, *size, 8), variables=shapes, tmp_path=tmp_path
    )


def test_extra_parameters_are_those_published():
    """Beside a plain stem (convolution and batch norm), 9 C + 2 C^2 + 4 C: 720, 1464 and 2464."""
    for filters, extra in ((16, 720), (24, 1464), (32, 2464)):
        layer = HybridStem(filters)
        layer.build((None, 32, 32, 3))
        trainable = sum(np.prod(v.shape) for v in layer.trainable_variables)
        assert trainable == 27 * filters + 2 * filters + extra


def test_pool_padding_is_infinitely_low():
    """In the pre-activation form the pool sees negative values, where a padding of zeros would win."""
    stem = HybridStem(2, pre_activation=True, branch_strides=2)
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    stem(images)
    a = np.random.default_rng(1).uniform(-2, -1, size=(1, 8, 8, 2)).astype("float32")
    pooled = a
    for layer in stem.pool:
        pooled = layer(pooled)
    padded = np.pad(a, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = [[padded[0, i : i + 3, j : j + 3].max((0, 1)) for j in range(0, 8, 2)] for i in range(0, 8, 2)]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(pooled)[0], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "gelu"}, "activation to be one of .*received 'gelu'"),
        ({"filters": 0}, "filters to be a positive integer, received 0"),
        ({"strides": 3}, "strides to be 1 or 2, received 3"),
        ({"convolution": "octave"}, "convolution to be one of .*received 'octave'"),
        ({"initialization": "zeros"}, "initialization to be one of .*received 'zeros'"),
        ({"residual": True, "branch_strides": 2}, "branch_strides of 1 with residual"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        HybridStem(**{"filters": 8, **arguments})
