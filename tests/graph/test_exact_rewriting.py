"""Models in fewer kinds of layers: their outputs stay, and are those of NumPy."""

import keras
import numpy as np
import pytest

from keras_lite.graph import flatten, in_pairs, plain_rectifiers

layers, ops = keras.layers, keras.ops
IMAGES = np.random.default_rng(0).normal(scale=2.0, size=(3, 6, 5, 4)).astype("float32")


def model_of(function):
    inputs = keras.Input(IMAGES.shape[1:])
    return keras.Model(inputs, function(inputs))


def outputs(model):
    return ops.convert_to_numpy(model(IMAGES))


def kinds(model):
    return sorted(type(layer).__name__ for layer in model.layers[1:])


def leaky(x, slope):
    return np.where(x < 0, slope * x, x)


@pytest.mark.parametrize(
    ("function", "types", "expected"),
    [
        (layers.LeakyReLU(), ["LeakyReLU"], lambda x: leaky(x, 0.3)),
        (layers.LeakyReLU(0.0), ["ReLU"], lambda x: np.maximum(x, 0)),
        (layers.ReLU(negative_slope=0.05), ["LeakyReLU"], lambda x: leaky(x, 0.05)),
        (layers.ReLU(1.5), ["ReLU"], lambda x: np.clip(x, 0, 1.5)),
        (
            layers.ReLU(1.5, 0.25),
            ["LeakyReLU", "ReLU", "Rescaling", "Rescaling"],
            lambda x: np.minimum(leaky(x, 0.25), 1.5),
        ),
        (layers.ReLU(threshold=1.0), ["ReLU"], lambda x: np.where(x >= 1, x, 0)),
        (layers.Activation("leaky_relu"), ["LeakyReLU"], lambda x: leaky(x, 0.2)),
        (lambda x: ops.leaky_relu(x, 0.4), ["LeakyReLU"], lambda x: leaky(x, 0.4)),
        (lambda x: ops.maximum(x, 0.125 * x), ["LeakyReLU"], lambda x: leaky(x, 0.125)),
        (lambda x: ops.maximum(0.125 * x, x), ["LeakyReLU"], lambda x: leaky(x, 0.125)),
        (lambda x: ops.maximum(x, 2.0 * x), ["Maximum", "Rescaling"], lambda x: np.maximum(x, 2 * x)),
        (
            lambda x: ops.maximum(x, layers.ReLU()(x) * 0.5),
            ["Maximum", "ReLU", "Rescaling"],
            lambda x: np.maximum(x, 0),
        ),
    ],
)
def test_rectifiers(function, types, expected):
    model = model_of(function)
    rewritten = plain_rectifiers(flatten(model))
    assert kinds(rewritten) == types
    np.testing.assert_allclose(outputs(rewritten), expected(IMAGES), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outputs(model), expected(IMAGES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(5, 3, activation="leaky_relu", bias_initializer="random_normal", name="inside"),
        layers.DepthwiseConv2D(3, activation="leaky_relu", depth_multiplier=2, name="inside"),
        layers.SeparableConv2D(5, 3, activation="leaky_relu", name="inside"),
        layers.Dense(5, activation="leaky_relu", name="inside"),
    ],
)
def test_leaky_relu_inside_a_layer_comes_out(layer):
    model = model_of(layer)
    rewritten = plain_rectifiers(flatten(model))
    assert [each.name for each in rewritten.layers[1:]] == ["inside", "inside_leaky_relu"]
    linear = keras.Model(rewritten.inputs[0], rewritten.get_layer("inside").output)
    np.testing.assert_allclose(outputs(model), leaky(outputs(linear), 0.2), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outputs(rewritten), outputs(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [3, 4, 5, 8])
@pytest.mark.parametrize(("layer", "function"), [(layers.Add, np.sum), (layers.Multiply, np.prod)])
def test_sums_and_products_in_pairs(layer, function, count):
    factors = np.linspace(-0.5, 1.0, count)

    def build(x):
        # One of them is a number for each channel.
        parts = [layers.Rescaling(float(factor))(x) for factor in factors[1:]]
        return layer(name="all")([layers.GlobalAveragePooling2D(keepdims=True)(x), *parts])

    model = model_of(build)
    rewritten = in_pairs(flatten(model))
    pairs = [each for each in rewritten.layers if type(each) is layer]
    assert len(pairs) == count - 1
    assert all(len(each.input) == 2 for each in pairs)
    assert pairs[-1].name == "all"
    mean = np.broadcast_to(IMAGES.mean((1, 2), keepdims=True), IMAGES.shape)
    expected = function([mean, *(factor * IMAGES for factor in factors[1:])], axis=0)
    np.testing.assert_allclose(outputs(rewritten), expected, rtol=1e-5, atol=1e-5)


def test_no_tensor_of_eight_goes_through_more_than_three_sums():
    model = in_pairs(flatten(model_of(lambda x: layers.Add()([layers.Rescaling(float(i))(x) for i in range(8)]))))

    def depth(tensor):
        maker = tensor._keras_history.operation
        inputs = maker.input if isinstance(maker.input, list) else [maker.input]
        return 0 if type(maker).__name__ != "Add" else 1 + max(map(depth, inputs))

    assert depth(model.outputs[0]) == 3


def test_layers_that_are_used_several_times():
    relu, total = layers.ReLU(negative_slope=0.1), layers.Add()

    def build(x):
        y = total([relu(x), x, layers.Rescaling(2.0)(x)])
        return total([relu(y), x, layers.Rescaling(2.0)(y)])

    model = model_of(build)
    rewritten = plain_rectifiers(in_pairs(flatten(model)))
    np.testing.assert_allclose(outputs(rewritten), outputs(model), rtol=1e-5, atol=1e-5)
    assert "ReLU" not in kinds(rewritten)


def test_nothing_to_do_changes_nothing():
    flat = flatten(model_of(lambda x: layers.Add()([x, layers.ReLU(6.0)(x)])))
    assert in_pairs(flat) is flat
    assert plain_rectifiers(flat) is flat
