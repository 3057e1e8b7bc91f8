import keras
import numpy as np
import pytest
from layer_case import check_layer, check_training

from keras_lite.errors import InputError
from keras_lite.layers import PositionAwareCircularConv, PositionEmbedding

pytestmark = pytest.mark.slow_elsewhere


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (
            {"axis": "height"},
            {
                "position/embedding": (5, 1, 6),
                "convolution/kernel": (5, 1, 6, 1),
                "convolution/bias": (6,),
            },
        ),
        (
            {"axis": "width", "position_embedding": False, "initialization": "pytorch"},
            {"convolution/kernel": (1, 4, 6, 1), "convolution/bias": (6,)},
        ),
    ],
)
def test_layer(arguments, variables, tmp_path):
    shape = (2, 5, 4, 6)
    check_layer(
        PositionAwareCircularConv,
        arguments,
        shape,
        shape,
        variables=variables,
        tmp_path=tmp_path,
        leaves=(PositionEmbedding,),
    )


@pytest.mark.parametrize("axis", ["height", "width"])
def test_against_numpy(axis):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 5, 5, 3))
    layer = PositionAwareCircularConv(axis)
    layer.build(images.shape)
    embedding, kernel, bias = (rng.normal(size=v.shape) for v in layer.weights)
    layer.set_weights([embedding, kernel, bias])
    placed = images + embedding
    number = 1 if axis == "height" else 2
    expected = bias + sum(kernel.reshape(5, 3)[k] * np.roll(placed, -k, axis=number) for k in range(5))
    found = keras.ops.convert_to_numpy(layer(images.astype("float32")))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", ["height", "width"])
def test_training(axis):
    check_training(PositionAwareCircularConv(axis, name="circular"), (2, 5, 4, 6), leaves=(PositionEmbedding,))


def test_a_map_of_one_pixel():
    layer = PositionAwareCircularConv("height", position_embedding=False)
    assert layer(np.ones((2, 1, 1, 3), "float32")).shape == (2, 1, 1, 3)


def test_initialization():
    layer = PositionAwareCircularConv("height")
    layer.build((None, 8, 8, 512))
    embedding, kernel, bias = layer.get_weights()
    assert abs(embedding.std() / 0.02 - 1) < 0.1
    assert abs(kernel.std() / np.sqrt(2 / (512 * 8)) - 1) < 0.1
    assert not bias.any()


def test_wrong_arguments():
    with pytest.raises(InputError, match=r"axis to be one of \('height', 'width'\), received 'both'"):
        PositionAwareCircularConv("both")
    with pytest.raises(InputError, match="known height and width for PositionAwareCircularConv"):
        PositionAwareCircularConv("height").build((None, None, 4, 3))
