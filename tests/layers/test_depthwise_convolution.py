import pytest
from layer_case import check_layer, check_training

from keras_lite.layers import DepthwiseConv2D


def test_layer(tmp_path):
    arguments = {"kernel_size": (3, 5), "padding": "same", "activation": "relu"}
    variables = {"kernel": (3, 5, 6, 1), "bias": (6,)}
    check_layer(DepthwiseConv2D, arguments, (2, 7, 8, 6), (2, 7, 8, 6), variables=variables, tmp_path=tmp_path)


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
    check_training(DepthwiseConv2D(**arguments, name="depthwise"), (4, 9, 8, 6))
