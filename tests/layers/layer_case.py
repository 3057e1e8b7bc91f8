"""One case that every layer passes: shapes, config, saving, dtype and training."""

import keras
import numpy as np

from keras_lite.graph import flatten


def check_layer(
    layer_class, arguments: dict, input_shape: tuple, output_shape: tuple, *, variables: dict, tmp_path, leaves=()
):
    """Check a layer from all sides.

    Args:
        layer_class: The layer.
        arguments: What to build it with.
        input_shape: Of the test input, with the batch.
        output_shape: What must come out.
        variables: Path of each variable below the layer -> its shape.
        tmp_path: A folder to write to.
        leaves: Layers of our own that Keras has no equivalent of, and that flattening leaves.
    """
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(size=input_shape).astype("float32")
    layer = layer_class(**arguments, name="tested")
    eager = keras.ops.convert_to_numpy(layer(images))
    assert eager.shape == output_shape
    assert layer.compute_output_shape(input_shape) == output_shape
    found = {v.path.removeprefix("tested/"): tuple(v.shape) for v in layer.variables}
    assert found == variables

    inputs = keras.Input(input_shape[1:])
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, *output_shape[1:])
    np.testing.assert_allclose(model.predict(images, verbose=0), eager, rtol=1e-5, atol=1e-6)

    again = layer_class.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    for argument, value in arguments.items():
        assert layer.get_config()[argument] == value

    path = tmp_path / "layer.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), eager, rtol=1e-5, atol=1e-6)

    flat = flatten(model)
    assert all(type(x).__module__.startswith("keras.") or type(x) in leaves for x in flat.layers)
    np.testing.assert_allclose(flat.predict(images, verbose=0), eager, rtol=1e-5, atol=1e-5)
    shapes = [sorted(tuple(v.shape) for v in m.trainable_variables) for m in (flat, model)]
    assert shapes[0] == shapes[1]

    half = layer_class(**arguments, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(half(images).dtype) == "bfloat16"
    assert all(v.dtype == "float32" for v in half.weights)

    before = [keras.ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    model.compile("sgd", "mse")
    model.fit(images, np.ones(output_shape, "float32"), verbose=0)
    after = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    unchanged = [v.path for v, a, b in zip(model.trainable_variables, before, after, strict=True) if (a == b).all()]
    # A bias in front of a batch norm has a gradient of zero up to rounding; a squeezed channel can be dead at first.
    assert all(path.endswith(("convolution/bias", "excite/kernel")) or "squeeze" in path for path in unchanged)


def check_training(layers, input_shape: tuple, leaves=()):
    """Check that layers train like the stock layers that flattening makes of them.

    Args:
        layers: Function from a tensor to a tensor. A convolution before it makes its gradient matter.
        input_shape: Of the test input, with the batch.
        leaves: Layers that flattening leaves.
    """
    images = np.random.default_rng(0).normal(size=input_shape).astype("float32")
    inputs = keras.Input(input_shape[1:])
    model = keras.Model(inputs, layers(keras.layers.Conv2D(input_shape[-1], 1, name="first")(inputs)))
    stock = flatten(model)
    assert all(type(x).__module__.startswith("keras.") or type(x) in leaves for x in stock.layers)
    targets = np.random.default_rng(1).normal(size=(input_shape[0], *model.output_shape[1:])).astype("float32")
    weights = []
    for each in (model, stock):
        each.compile(keras.optimizers.SGD(0.5), "mse")
        each.fit(images, targets, epochs=3, verbose=0, shuffle=False)
        weights.append({v.path.replace("/", "_"): keras.ops.convert_to_numpy(v) for v in each.variables})
    assert len(weights[0]) == len(weights[1])
    for (name, found), (other, expected) in zip(sorted(weights[0].items()), sorted(weights[1].items()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=f"{name}, {other}")
