import pytest
from layer_case import check_layer, check_training

from keras_lite.layers import PixelConv2D


@pytest.mark.parametrize(("size", "side"), [(1, 1), (4, 1), (4, 3)])
def test_layer(size, side, tmp_path):
    arguments = {"filters": 5, "kernel_size": (side, side), "padding": "same"}
    variables = {"kernel": (side, side, 6, 5), "bias": (5,)}
    check_layer(PixelConv2D, arguments, (2, size, size, 6), (2, size, size, 5), variables, tmp_path)


def test_training():
    check_training(PixelConv2D(5, 1, activation="relu", name="pixel"), (4, 1, 1, 6))
