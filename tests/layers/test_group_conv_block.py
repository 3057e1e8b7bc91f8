import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.errors import InputError
from keras_lite.graph import flatten
from keras_lite.layers import GroupConvBlock, GroupedConv2D


def variables(kernel_name, kernel_shape, filters):
    return {
        f"convolution/{kernel_name}": kernel_shape,
        "convolution/bias": (16,),
        "batch_norm/gamma": (16,),
        "batch_norm/beta": (16,),
        "batch_norm/moving_mean": (16,),
        "batch_norm/moving_variance": (16,),
        "attention/squeeze/kernel": (1, 1, 16, 4),
        "attention/squeeze/bias": (4,),
        "attention/excite/kernel": (1, 1, 4, 16),
        "attention/excite/bias": (16,),
        "pointwise/kernel": (1, 1, 16, filters),
        "pointwise/bias": (filters,),
    }


@pytest.mark.parametrize(
    ("options", "output", "kernel"),
    [
        ({}, (2, 7, 8, 24), ("kernel", (3, 3, 16, 1))),
        ({"strides": 2}, (2, 4, 4, 24), ("kernel", (3, 3, 16, 1))),
        ({"groups": 4}, (2, 7, 8, 24), ("kernel", (3, 3, 4, 16))),
        ({"groups": 1, "kernel_size": 5}, (2, 5, 6, 24), ("kernel", (5, 5, 16, 16))),
    ],
)
def test_layer(options, output, kernel, tmp_path):
    arguments = {"filters": 24, "attention_ratio": 4, **options}
    check_layer(GroupConvBlock, arguments, (2, 9, 10, 16), output, variables=variables(*kernel, 24), tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 3}, r"groups to divide the number of input channels \(16\), received 3"),
        ({"strides": 0}, "strides to be a positive integer, received 0"),
        ({"filters": "8"}, "filters to be a positive integer, received '8'"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(InputError, match=message):
        GroupConvBlock(**{"filters": 8, **options}).build((None, 9, 9, 16))


def test_initialization_is_pytorchs():
    block = GroupConvBlock(64)
    block.build((None, 9, 9, 64))
    # A depthwise 3x3 kernel has a fan of 9, a 1x1 convolution of 64 channels one of 64.
    for layer, limit in ((block.convolution, 1 / 3), (block.pointwise, 1 / 8)):
        for values in layer.get_weights():
            assert limit * 0.9 < np.abs(values).max() <= limit
            assert abs(values.mean()) < limit / 4


@pytest.mark.parametrize("strides", [1, 2])
def test_grouped_convolution_equals_the_native_one(strides):
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 12)).astype("float32")
    inputs = keras.Input((9, 9, 12))
    layer = GroupedConv2D(24, 3, strides=strides, groups=3, padding="same", name="grouped")
    model = keras.Model(inputs, layer(inputs))
    flat = flatten(model)
    native = flat.get_layer("grouped")
    assert type(native) is keras.layers.Conv2D
    assert native.groups == 3
    assert [tuple(v.shape) for v in layer.weights] == [(3, 3, 4, 24), (24,)]
    np.testing.assert_allclose(model.predict(images, verbose=0), flat.predict(images, verbose=0), atol=1e-5)
