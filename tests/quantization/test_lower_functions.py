"""Activations and other functions of single numbers in float and int8 files against Keras."""

import keras
import pytest

pytest.importorskip("ai_edge_litert.interpreter")
from both_files import check_float, check_int8
from test_lower import chain, scrambled

from keras_lite.errors import InputError
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.lower.functions import ACTIVATIONS

layers = keras.layers
# What LiteRT's own kernels compute in int8, by tables, and XNNPACK does not take.
OUTSIDE = {
    "exponential": ["EXP"], "gelu": ["GELU"], "log_sigmoid": ["LOG"], "mish": ["LOG"], "softplus": ["LOG"],
    "softsign": ["LOG", "EXP"],
}  # fmt: skip
REFUSED = {
    "hard_shrink": "it jumps at its threshold",
    "log_softmax": "leave it out",
    "squareplus": "int8 has no operator",
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations(name):
    model = chain(layers.Activation(name), layers.Conv2D(3, 1))
    check_float(model)
    if name in REFUSED:
        with pytest.raises(InputError, match=f"int8 file .* of type Activation: .*{REFUSED[name]}"):
            for_int8(lower(model))
    elif keras.backend.backend() == "tensorflow":
        outside = ["SOFTMAX"] if name == "softmax" else OUTSIDE.get(name, [])
        check_int8(model, outside=outside, steps=40)


@pytest.mark.tensorflow_only
@pytest.mark.parametrize(
    ("layer", "kinds"),
    [
        (lambda: layers.PReLU(shared_axes=(1, 2)), ["MUL", "DEPTHWISE_CONV_2D", "ADD"]),
        (lambda: layers.PReLU(), ["MUL", "MUL", "ADD"]),
        (lambda: layers.ELU(), ["ELU"]),
        (lambda: layers.ELU(0.3), ["DEPTHWISE_CONV_2D", "ELU", "MUL", "ADD"]),
        (lambda: layers.Activation("selu"), ["MUL", "ELU", "MUL", "ADD"]),
        (lambda: layers.Activation("hard_tanh"), ["DEPTHWISE_CONV_2D"]),
        (lambda: layers.ReLU(negative_slope=0.2), ["LEAKY_RELU"]),
        (lambda: layers.LeakyReLU(0.2), ["LEAKY_RELU"]),
    ],
)
def test_operators_in_int8(layer, kinds):
    model = chain(layer())
    check_float(model)
    check_int8(model, kinds)


@pytest.mark.tensorflow_only
def test_slopes_that_are_all_the_same_are_a_leaky_relu():
    model = chain(layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25)), shape=(4, 4, 2))
    model.layers[-1].alpha.assign(0.25 * keras.ops.ones((4, 4, 2)))
    check_int8(model, ["LEAKY_RELU"])


@pytest.mark.tensorflow_only
def test_slopes_behind_a_dense_layer():
    model = chain(layers.Dense(5), layers.PReLU(), shape=(7,))
    check_float(model, ["FULLY_CONNECTED", "PRELU"])
    check_int8(model, ["FULLY_CONNECTED", "MUL", "MUL", "ADD"])


@pytest.mark.parametrize(
    ("layer_class", "kinds"),
    [(layers.Maximum, ["SUB", "ADD"]), (layers.Minimum, ["SUB", "SUB"]), (layers.Average, ["ADD", "MUL"])],
)
def test_the_larger_and_the_smaller(layer_class, kinds):
    inputs = keras.Input((5, 4, 3))
    model = scrambled(keras.Model(inputs, layer_class()([layers.Conv2D(3, 1)(inputs), inputs])))
    check_float(model)
    check_int8(model, ["CONV_2D", *kinds])


@pytest.mark.tensorflow_only
def test_a_jump_is_named():
    with pytest.raises(InputError, match=r"layer step of type ReLU: it jumps at its threshold.*; write ReLU\(\)"):
        for_int8(lower(chain(layers.ReLU(None, 0.1, 0.5, name="step"))))
