"""The neighbors of layers, against models whose wiring is written down here."""

import keras
import pytest

from keras_lite.errors import InputError
from keras_lite.graph import View
from keras_lite.graph.view import is_plain_relu, is_relu, producer, sources

layers = keras.layers


def test_neighbors():
    inputs = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    gate = layers.Activation("sigmoid", name="gate")(stem)
    product = layers.Multiply(name="product")([stem, gate])
    output = layers.Add(name="output")([product, product])
    layers.ReLU(name="of_no_use")(output)
    view = View(keras.Model(inputs, output))

    assert [call.operation.name for call in view.calls] == ["stem", "gate", "product", "output"]
    assert view.producer(inputs) is None
    assert [view.producer(each).name for each in (stem, gate, product)] == ["stem", "gate", "product"]
    assert [call.operation.name for call in view.consumers(stem)] == ["gate", "product"]
    assert [call.operation.name for call in view.consumers(product)] == ["output", "output"]
    assert view.only_consumer(inputs).name == "stem"
    assert view.only_consumer(gate).name == "product"
    assert [view.only_consumer(each) for each in (stem, product, output)] == [None] * 3
    assert producer(product).name == "product"
    assert [producer(each).name for each in sources(product)] == ["stem", "gate"]


def test_an_output_is_taken_by_the_caller_too():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3)(inputs)
    view = View(keras.Model(inputs, [hidden, layers.Dense(2, name="classes")(hidden)]))
    assert [call.operation.name for call in view.consumers(hidden)] == ["classes"]
    assert view.only_consumer(hidden) is None


def test_a_layer_that_is_called_twice_has_two_calls():
    inputs = keras.Input((4,))
    dense = layers.Dense(4, name="dense")
    first = dense(inputs)
    second = dense(first)
    view = View(keras.Model(inputs, second))
    assert [call.outputs[0] is tensor for call, tensor in zip(view.calls, (first, second), strict=True)] == [True] * 2
    assert view.only_consumer(first) is dense


def test_operations_are_refused_where_layers_are_asked_for():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.cumsum(inputs, axis=1))
    assert [type(call.operation).__name__ for call in View(model).calls] == ["Cumsum"]
    with pytest.raises(InputError, match=r"received cumsum\w* \(Cumsum\): there is no stock layer for it"):
        View(model, layers_only=True)


@pytest.mark.parametrize(
    ("layer", "any_kind", "plain"),
    [
        (layers.ReLU(), True, True),
        (layers.Activation("relu"), True, True),
        (layers.ReLU(6.0), True, False),
        (layers.Activation("relu6"), True, False),
        (layers.ReLU(negative_slope=0.1), True, False),
        (layers.ReLU(threshold=1.0), True, False),
        (layers.LeakyReLU(), False, False),
        (layers.Activation("silu"), False, False),
        (layers.Dense(3, activation="relu"), False, False),
        (None, False, False),
    ],
)
def test_kinds_of_relu(layer, any_kind, plain):
    assert (is_relu(layer), is_plain_relu(layer)) == (any_kind, plain)
