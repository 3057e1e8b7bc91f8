import keras
import numpy as np
import pytest
from layer_case import check_layer, check_training

from keras_lite.layers import Conv2D


@pytest.mark.parametrize(("size", "side"), [(1, 1), (4, 1), (4, 3)])
def test_layer(size, side, tmp_path):
    arguments = {"filters": 5, "kernel_size": (side, side), "padding": "same"}
    variables = {"kernel": (side, side, 6, 5), "bias": (5,)}
    check_layer(Conv2D, arguments, (2, size, size, 6), (2, size, size, 5), variables=variables, tmp_path=tmp_path)


@pytest.mark.parametrize(("size", "strides"), [(1, 1), (4, 1), (4, 2)])
def test_training(size, strides):
    layer = Conv2D(5, 1, strides, activation="relu", name="pointwise")
    check_training(layer, (4, size, size, 6))


def test_size_left_open():
    inputs = keras.Input((None, None, 6))
    model = keras.Model(inputs, Conv2D(5, 1)(inputs))
    assert model.predict(np.zeros((2, 4, 3, 6)), verbose=0).shape == (2, 4, 3, 5)
