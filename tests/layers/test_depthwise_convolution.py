import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.graph import flatten
from keras_lite.layers import DepthwiseConv2D


def test_layer(tmp_path):
    arguments = {"kernel_size": (3, 5), "padding": "same", "activation": "relu"}
    variables = {"kernel": (3, 5, 6, 1), "bias": (6,)}
    check_layer(DepthwiseConv2D, arguments, (2, 7, 8, 6), (2, 7, 8, 6), variables, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 5, "padding": "same"},
        {"kernel_size": 5, "strides": 2},
        {"kernel_size": 5, "strides": 2, "padding": "same"},
        {"kernel_size": (1, 4), "padding": "same", "use_bias": False},
        {"kernel_size": (7, 1)},
        {"kernel_size": 3, "dilation_rate": 2},
    ],
    ids=str,
)
def test_trains_like_the_stock_layer(arguments):
    images = np.random.default_rng(0).normal(size=(4, 9, 8, 6)).astype("float32")
    # A layer before it, so that the gradient of its inputs is needed too.
    layers = [keras.layers.Conv2D(6, 1), DepthwiseConv2D(**arguments, name="depthwise")]
    model = keras.Sequential([keras.Input(images.shape[1:]), *layers])
    stock = flatten(model)
    assert type(stock.layers[-1]) is keras.layers.DepthwiseConv2D
    targets = np.random.default_rng(1).normal(size=(4, *model.output_shape[1:])).astype("float32")
    for each in (model, stock):
        each.compile(keras.optimizers.SGD(0.5), "mse")
        each.fit(images, targets, epochs=3, verbose=0, shuffle=False)
    for found, expected in zip(model.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
