import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.errors import InputError
from keras_lite.layers import BSConvS, BSConvU, OrthonormalRegularizer

pytestmark = pytest.mark.slow_elsewhere


def batch_norm(name, channels):
    return {f"{name}/{variable}": (channels,) for variable in ("gamma", "beta", "moving_mean", "moving_variance")}


@pytest.mark.parametrize(
    ("arguments", "size", "extra"),
    [
        ({"kernel_size": 3}, (9, 10), {}),
        ({"kernel_size": 5, "strides": 2, "padding": 1}, (4, 4), {}),
        ({"kernel_size": 3, "padding": "valid", "use_bias": True}, (7, 8), {"depthwise/bias": (24,)}),
        ({"kernel_size": 3, "batch_norm": True, "strides": 2}, (5, 5), batch_norm("pointwise_batch_norm", 24)),
    ],
)
def test_unconstrained(arguments, size, extra, tmp_path):
    k = arguments["kernel_size"]
    variables = {"pointwise/kernel": (1, 1, 16, 24), "depthwise/kernel": (k, k, 24, 1), **extra}
    check_layer(
        BSConvU, {"filters": 24, **arguments}, (2, 9, 10, 16), (2, *size, 24), variables=variables, tmp_path=tmp_path
    )


@pytest.mark.parametrize(("ratio", "subspace"), [(1 / 8, 4), (0.3, 5), (1.0, 16)])
def test_subspace(ratio, subspace, tmp_path):
    variables = {
        "pointwise1/kernel": (1, 1, 16, subspace),
        "pointwise2/kernel": (1, 1, subspace, 24),
        "depthwise/kernel": (3, 3, 24, 1),
        **batch_norm("pointwise1_batch_norm", subspace),
        **batch_norm("pointwise2_batch_norm", 24),
    }
    arguments = {"filters": 24, "ratio": ratio, "strides": 2, "padding": 1}
    check_layer(BSConvS, arguments, (2, 9, 10, 16), (2, 5, 5, 24), variables=variables, tmp_path=tmp_path)


def test_few_channels_keep_their_number():
    layer = BSConvS(16, ratio=1 / 6)
    layer.build((None, 8, 8, 3))
    assert layer.sublayers[0].filters == 3


def test_equals_a_convolution_whose_filters_share_one_blueprint():
    """The source's own definition: the kernel of filter n is one k x k blueprint times a weight for each channel."""
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 4)).astype("float32")
    layer = BSConvU(6, 3, strides=2, padding=1)
    found = keras.ops.convert_to_numpy(layer(images))
    weights, blueprints = layer.get_weights()
    full = keras.layers.Conv2D(6, 3, strides=2, use_bias=False)
    full.build((None, 11, 11, 4))
    full.set_weights([weights * blueprints.transpose(0, 1, 3, 2)])
    expected = full(np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))))
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5)


def test_regularizer_against_numpy():
    kernel = np.random.default_rng(0).normal(size=(1, 1, 12, 5))
    w = kernel[0, 0].T
    expected = 0.3 * np.linalg.norm(w @ w.T - np.eye(5))
    found = OrthonormalRegularizer(0.3)(keras.ops.convert_to_tensor(kernel.astype("float32")))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-5)
    assert keras.regularizers.get(keras.regularizers.serialize(OrthonormalRegularizer(0.3))).alpha == 0.3


def test_penalty_is_a_loss_of_the_layer():
    layer = BSConvS(8, alpha=0.2)
    layer.build((None, 8, 8, 16))
    w = layer.get_weights()[0][0, 0].T
    expected = 0.2 * np.linalg.norm(w @ w.T - np.eye(4))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(sum(layer.losses)), expected, rtol=1e-5)
    without = BSConvS(8, alpha=0.0)
    without.build((None, 8, 8, 16))
    assert without.losses == []


@pytest.mark.parametrize(
    ("layer_class", "arguments", "message"),
    [
        (BSConvU, {"filters": 0}, "filters to be a positive integer, received 0"),
        (BSConvU, {"filters": 8, "padding": "causal"}, "padding to be 'same', 'valid' or a number of pixels"),
        (BSConvS, {"filters": 8, "ratio": 0}, "ratio to be above 0 and at most 1, received 0"),
        (BSConvS, {"filters": 8, "alpha": -1}, "alpha to be 0 or more, received -1"),
    ],
)
def test_wrong_arguments(layer_class, arguments, message):
    with pytest.raises(InputError, match=message):
        layer_class(**arguments)
