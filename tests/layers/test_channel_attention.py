import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.errors import InputError
from keras_lite.layers import ChannelAttention


@pytest.mark.parametrize(
    ("arguments", "squeezed"),
    [({"ratio": 4}, 4), ({"squeeze_filters": 3}, 3), ({"ratio": 2, "gate": "hard_sigmoid"}, 8)],
)
def test_layer(arguments, squeezed, tmp_path):
    variables = {
        "squeeze/kernel": (1, 1, 16, squeezed),
        "squeeze/bias": (squeezed,),
        "excite/kernel": (1, 1, squeezed, 16),
        "excite/bias": (16,),
    }
    check_layer(ChannelAttention, arguments, (2, 5, 6, 16), (2, 5, 6, 16), variables=variables, tmp_path=tmp_path)


@pytest.mark.parametrize(
    ("gate", "reference"),
    [
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("hard_sigmoid", lambda x: np.clip(x + 3, 0, 6) / 6),
    ],
)
def test_against_numpy(gate, reference):
    images = np.random.default_rng(1).normal(size=(3, 4, 4, 8)).astype("float32")
    layer = ChannelAttention(ratio=2, gate=gate)
    found = keras.ops.convert_to_numpy(layer(images))
    w1, b1, w2, b2 = (v.astype("float64") for v in layer.get_weights())
    hidden = np.maximum(images.mean((1, 2)) @ w1[0, 0] + b1, 0)
    expected = images * reference(hidden @ w2[0, 0] + b2)[:, None, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gate": "tanh"}, "gate to be one of"),
        ({"ratio": 0}, "ratio to be a positive integer, received 0"),
        ({"squeeze_filters": 1.5}, "squeeze_filters to be a positive integer, received 1.5"),
        ({"ratio": 16}, r"ratio to be at most the number of channels \(8\), received 16"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        ChannelAttention(**arguments).build((None, 4, 4, 8))
