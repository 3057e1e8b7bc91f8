import keras
import numpy as np
import pytest
from layer_case import check_layer

from keras_lite.errors import InputError
from keras_lite.layers import AttentionDownsampling, StridedAttention

pytestmark = pytest.mark.slow_elsewhere


def convolution(name, *kernel, bias):
    return {f"{name}convolution/kernel": kernel, f"{name}convolution/bias": (bias,)}


def batch_norm(name, channels):
    return {f"{name}batch_norm/{v}": (channels,) for v in ("gamma", "beta", "moving_mean", "moving_variance")}


PLAIN = convolution("", 3, 3, 6, 10, bias=10) | batch_norm("", 10)
ATTENTION = PLAIN | {
    **convolution("attention_query_local_", 3, 3, 6, 1, bias=6),
    **convolution("attention_query_", 1, 1, 6, 128, bias=128),
    **batch_norm("attention_query_", 128),
    **convolution("attention_key_", 1, 1, 6, 128, bias=128),
    **batch_norm("attention_key_", 128),
    **convolution("attention_value_", 1, 1, 6, 512, bias=512),
    **batch_norm("attention_value_", 512),
    **convolution("attention_value_local_", 3, 3, 512, 1, bias=512),
    **batch_norm("attention_value_local_", 512),
    **convolution("attention_output_", 1, 1, 512, 10, bias=10),
    **batch_norm("attention_output_", 10),
    "attention/biases": (8, 20),
}


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ({"filters": 10, "initialization": "kaiming_normal", "batch_norm_epsilon": 1e-3}, PLAIN),
        ({"filters": 10, "attention": True, "batch_norm_momentum": 0.99}, ATTENTION),
    ],
)
def test_layer(arguments, variables, tmp_path):
    # 4 rows and 5 columns: 4 x 5 distances.
    check_layer(
        AttentionDownsampling,
        arguments,
        (2, 4, 5, 6),
        (2, 2, 3, 10),
        variables=variables,
        tmp_path=tmp_path,
        leaves=(StridedAttention,),
    )


def test_attention_against_numpy():
    rng = np.random.default_rng(0)
    queries, keys, values = (rng.normal(size=s) for s in ((2, 2, 2, 6), (2, 4, 3, 6), (2, 4, 3, 4)))
    layer = StridedAttention(heads=2)
    layer.build([queries.shape, keys.shape, values.shape])
    biases = rng.normal(size=(2, 12))
    layer.set_weights([biases])
    # The first query stands in the corner and sees every distance, numbered row by row.
    expected = np.zeros((2, 2, 2, 4))
    for head in range(2):
        q, k = queries[..., 3 * head :][..., :3], keys[..., 3 * head :][..., :3]
        v = values[..., 2 * head :][..., :2]
        for i in range(2):
            for j in range(2):
                scores = np.einsum("bc,bxyc->bxy", q[:, i, j], k) / np.sqrt(3)
                distance = np.abs(2 * i - np.arange(4))[:, None] * 3 + np.abs(2 * j - np.arange(3))[None]
                weights = np.exp(scores + biases[head][distance])
                weights /= weights.sum((1, 2), keepdims=True)
                expected[:, i, j, 2 * head : 2 * head + 2] = np.einsum("bxy,bxyc->bc", weights, v)
    found = layer([x.astype("float32") for x in (queries, keys, values)])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0}, "filters to be a positive integer, received 0"),
        ({"filters": 8, "initialization": "zeros"}, "initialization to be one of"),
        ({"filters": 8, "attention": True}, "known height and width for StridedAttention"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        AttentionDownsampling(**arguments).build((None, None, 8, 6))


def test_heads():
    with pytest.raises(InputError, match="heads to be a positive integer, received 0"):
        StridedAttention(0)
