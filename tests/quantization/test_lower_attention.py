"""Attention in LiteRT against Keras, on each backend."""

import keras
import numpy as np
import pytest
from test_lower import check as check_kinds
from test_lower import scrambled

from keras_lite.errors import InputError
from keras_lite.litert import write
from keras_lite.quantization.lower import lower
from keras_lite.runtime.litert_worker import delegation

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers
Heads = layers.MultiHeadAttention
_SEEN = np.random.default_rng(0).random((10, 10)) > 0.5
_SEEN[:, 0] = True


def model_of(build, shape=(10, 8)):
    inputs = keras.Input(shape)
    model = scrambled(keras.Model(inputs, build(inputs)))
    for variable in model.weights:  # scores that leave several positions a part
        variable.assign(0.3 * variable)
    return model


def check(model):
    graph = lower(model)
    check_kinds(model, *(operator.kind for operator in graph.operators))
    opened = interpreter.Interpreter(model_content=write(graph, batch=None))
    opened.allocate_tensors()
    assert delegation(opened) == {"partitions": 1, "not_delegated": []}
    return [operator.kind for operator in graph.operators]


@pytest.mark.parametrize(
    "build",
    {
        "self": lambda x: Heads(2, 3)(x, x),
        "others": lambda x: Heads(2, 3, output_shape=7)(
            layers.Dense(6)(x), layers.Dense(5)(layers.Permute((2, 1))(x)), key=layers.Permute((2, 1))(x)
        ),
        # Keras 3.15 itself fails on JAX here.
        "wider values": pytest.param(lambda x: Heads(2, 3, value_dim=5)(x, x), marks=pytest.mark.tensorflow_only),
        "by name": lambda x: Heads(2, 3, use_bias=False)(value=layers.Dense(5)(x), query=x, key=layers.Dense(4)(x)),
        "causal": lambda x: Heads(2, 3)(x, x, use_causal_mask=True),
        "causal with dropout": lambda x: Heads(2, 3, dropout=0.1)(x, x, use_causal_mask=True),
        "mask": lambda x: Heads(2, 3, dropout=0.1)(x, x, attention_mask=_SEEN),
        "mask of an image": lambda x: Heads(2, 3)(x, x, attention_mask=_SEEN[None]),
        "mask a head": lambda x: Heads(2, 3)(x, x, attention_mask=np.stack([_SEEN, _SEEN.T | _SEEN])[None]),
        "mask of values": lambda x: Heads(2, 3)(x, x, value_mask=_SEEN[3:4]),
        "window": lambda x: Heads(2, 3, sliding_window=3)(x, x, use_causal_mask=True),
        "gate": lambda x: Heads(2, 3, use_gate=True)(x, x),
        "outputs of two axes": lambda x: Heads(2, 3, output_shape=(2, 4))(x, x),
    }.values(),
)  # fmt: skip
def test_multi_head_attention(build):
    kinds = check(model_of(build))
    assert kinds.count("BATCH_MATMUL") == 2 and kinds.count("SOFTMAX") == 1


@pytest.mark.parametrize("axes", [None, 1, (2,), (-2,)])
def test_multi_head_attention_of_an_image(axes):
    check(model_of(lambda x: Heads(2, 4, attention_axes=axes)(x, x), (4, 5, 8)))


@pytest.mark.parametrize(
    "build",
    {
        "two": lambda x: layers.Attention()([x, layers.Dense(8)(layers.Permute((2, 1))(x))]),
        "three": lambda x: layers.Attention(use_scale=True)([x, layers.Dense(3)(x), layers.Dense(8)(x)]),
        "sums": lambda x: layers.Attention(score_mode="concat")([x, x]),
        "scaled sums": lambda x: layers.Attention(use_scale=True, score_mode="concat")([x, x]),
        "additive": lambda x: layers.AdditiveAttention()([x, x]),
        "causal": lambda x: layers.Attention()([x, x], use_causal_mask=True),
        "masks": lambda x: layers.Attention()([x, x], mask=[_SEEN[2:3], _SEEN[4:5]]),
    }.values(),
)
def test_attention(build):
    check(model_of(build))


@pytest.mark.parametrize("axis", [-1, 1, -2, (1, 2), [3, 1]])
def test_softmax_along_any_axis(axis):
    check(model_of(layers.Softmax(axis), (4, 5, 8)))


def test_softmax_of_what_is_seen():
    check(model_of(lambda x: layers.Softmax()(x, mask=_SEEN[None, :, :8])))


def test_attention_against_numpy():
    inputs = keras.Input((4, 3))
    graph = lower(keras.Model(inputs, layers.Attention()([inputs, inputs])))
    x = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    opened = interpreter.Interpreter(model_content=write(graph))
    opened.allocate_tensors()
    opened.set_tensor(opened.get_input_details()[0]["index"], x[None])
    opened.invoke()
    shares = np.exp(x @ x.T)
    expected = shares / shares.sum(1, keepdims=True) @ x
    np.testing.assert_allclose(opened.get_tensor(opened.get_output_details()[0]["index"])[0], expected, atol=1e-5)


@pytest.mark.tensorflow_only
def test_masks_that_are_computed_or_leave_nothing_are_named():
    for build, expected in {
        lambda x: Heads(2, 3, name="look")(x, x, attention_mask=layers.Dense(10)(x)): "attention_mask of layer look",
        lambda x: Heads(2, 3, name="look")(x, x, attention_mask=np.zeros((10, 10))): "received none in look",
    }.items():
        with pytest.raises(InputError, match=expected):
            lower(model_of(build))
