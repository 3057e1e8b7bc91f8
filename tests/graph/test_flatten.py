"""Any functional model as stock layers: operations, nested models, layers that can't be built again."""

import keras
import numpy as np
import pytest

from keras_lite.errors import InputError
from keras_lite.graph import flatten, replace_convolutions, with_input_shape
from keras_lite.graph.tracing import Trace
from keras_lite.profiling import profile

pytestmark = pytest.mark.tensorflow_only
layers, ops = keras.layers, keras.ops
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype("float32")


def outputs(model):
    return keras.ops.convert_to_numpy(model(IMAGES))


@pytest.mark.parametrize(
    ("function", "types"),
    [
        (lambda x: x + x, ["Add"]),
        (lambda x: x - ops.relu(x), ["ReLU", "Subtract"]),
        (lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True), ["GlobalAveragePooling2D", "Multiply"]),
        (lambda x: ops.maximum(x, ops.minimum(x, -x)), ["Rescaling", "Minimum", "Maximum"]),
        (lambda x: x / 127.5 - 1.0, ["Rescaling", "Rescaling"]),
        (lambda x: 1.0 - x, ["Rescaling"]),
        (lambda x: (x - np.array([0.1, 0.2, 0.3])) / np.array([[[[2.0, 3.0, 4.0]]]]), ["Rescaling", "Rescaling"]),
        (lambda x: ops.max(x, axis=[-3, -2]), ["GlobalMaxPooling2D"]),
        (lambda x: ops.concatenate([x, ops.silu(x)], axis=-1), ["Activation", "Concatenate"]),
        (lambda x: ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, 6, 24)), ["Permute", "Reshape"]),
        (lambda x: ops.squeeze(ops.expand_dims(x, 1), 1), ["Reshape", "Reshape"]),
        (lambda x: ops.pad(x, ((0, 0), (1, 0), (2, 3), (0, 0))), ["ZeroPadding2D"]),
        (lambda x: ops.clip(ops.leaky_relu(x, 0.1), 0.0, 0.5), ["LeakyReLU", "ReLU"]),
        (lambda x: ops.softmax(ops.gelu(ops.elu(x), approximate=False)), ["ELU", "Activation", "Softmax"]),
        (lambda x: ops.max_pool(ops.average_pool(x, 2, 1, "same"), 2), ["AveragePooling2D", "MaxPooling2D"]),
        (lambda x: keras.activations.relu(x - keras.activations.relu(x, 0.1, 0.4, 0.2)), ["ReLU", "ReLU", "Subtract"]),
        (lambda x: ops.cast(ops.hard_silu(ops.relu6(x)), "float32"), ["Activation", "Activation"]),
    ],
)
def test_operations_become_layers(function, types):
    inputs = keras.Input(IMAGES.shape[1:])
    model = keras.Model(inputs, function(inputs))

    flat = flatten(model)

    assert sorted(type(operation).__name__ for operation in flat.operations) == sorted(["InputLayer", *types])
    assert all(isinstance(operation, layers.Layer) for operation in flat.operations)
    np.testing.assert_allclose(outputs(flat), outputs(model), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: 1.0 / x, "TrueDivide"),
        (lambda x: x * np.ones((8, 6, 3), "float32"), "Multiply"),
        (lambda x: x[..., ::-1], "GetItem"),
        (lambda x: x * ops.mean(x, axis=(0, 1, 2)), "Multiply"),
        (lambda x: ops.gelu(x), "Gelu"),
        (lambda x: ops.mean(x, axis=-1), "Mean"),
        (lambda x: ops.reshape(x, (-1, 3)), "Reshape"),
    ],
)
def test_operations_without_a_layer_stay(function, kind):
    inputs = keras.Input(IMAGES.shape[1:])
    model = keras.Model(inputs, layers.Activation("relu")(function(layers.Conv2D(3, 1)(inputs))))

    flat = flatten(model)

    others = [type(each).__name__ for each in flat.operations if not isinstance(each, layers.Layer)]
    assert kind in others
    np.testing.assert_array_equal(outputs(flat), outputs(model))
    assert profile(model).macs == 8 * 6 * 9  # counting does not need them


def nested():
    inner_inputs = keras.Input((None, None, 4))
    x = layers.Conv2D(4, 3, padding="same", name="convolution")(inner_inputs)
    inner = keras.Model(inner_inputs, layers.BatchNormalization(name="norm")(x) * 0.5 + inner_inputs, name="inner")
    head = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, name="dense"), layers.Activation("softmax")], name="head"
    )
    inputs = keras.Input(IMAGES.shape[1:])
    x = inner(inner(layers.Conv2D(4, 1)(inputs / 2.0), training=False), training=False)
    return keras.Model(inputs, head(layers.GlobalAveragePooling2D()(x)))


def test_nested_models():
    model = nested()
    for variable in model.weights:
        variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))

    flat = flatten(model)

    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert all(isinstance(operation, layers.Layer) for operation in flat.operations)
    assert {"inner_convolution", "inner_norm", "head_dense"} <= {layer.name for layer in flat.layers}
    np.testing.assert_allclose(outputs(flat), outputs(model), rtol=1e-5)
    assert profile(model).parameters == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    _, report = replace_convolutions(model, "bsconv_u")
    assert report.replaced == ("inner_convolution",)


def test_lambda_is_counted_around():
    inputs = keras.Input(IMAGES.shape[1:])
    x = layers.Conv2D(4, 3, padding="same")(layers.Lambda(lambda x: 2.0 * x)(inputs))
    model = keras.Model(inputs, x)

    np.testing.assert_array_equal(outputs(flatten(model)), outputs(model))
    assert profile(model).macs == 3 * 9 * 4 * 48
    assert replace_convolutions(model, "bsconv_u")[1].after.macs == 12 * 48 + 36 * 48


def test_separable_convolutions_are_counted():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2)(inputs))
    assert profile(model).macs == (9 * 3 * 2 + 6 * 5) * 3 * 3


def test_size_that_was_open():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 3, name="convolution")(inputs))
    sized = with_input_shape(model, (8, 6, 3))
    assert sized.output_shape == (None, 6, 4, 2)
    np.testing.assert_array_equal(outputs(sized), outputs(model))
    with pytest.raises(InputError, match=r"\(None, None, 3\), received \(8, 6, 1\)"):
        with_input_shape(model, (8, 6, 1))


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class WithoutConfig(layers.Layer):
    def __init__(self, number):
        super().__init__(name="mine")
        self.number = number

    def call(self, inputs):
        return inputs * self.number

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("test_flatten")
class Squeezed(keras.layers.Layer):
    """A block as other packages write it: layers inside, operations between them, two outputs by name."""

    def __init__(self, channels, **options):
        super().__init__(**options)
        self.channels = channels
        self.convolution = keras.layers.Conv2D(channels, 3, padding="same", name="convolution")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.gate = keras.layers.Dense(channels, activation="sigmoid", name="gate")

    def build(self, shape):
        self.convolution.build(shape)
        self.norm.build((*shape[:3], self.channels))
        self.gate.build((None, self.channels))

    def call(self, inputs, training=None):
        x = keras.ops.relu(self.norm(self.convolution(inputs), training=training))
        squeezed = keras.ops.mean(x, axis=(1, 2), keepdims=True)
        return {"map": inputs + x * self.gate(squeezed), "mean": squeezed}

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


class Counting(keras.layers.Layer):
    """One whose call wants values."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.ReLU()

    def call(self, inputs):
        return self.inner(inputs[:, : int(inputs[0, 0])])

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape)


def test_blocks_of_other_packages_are_gone_into():
    inputs = keras.Input((6, 8, 3))
    first = Squeezed(3, name="first")(inputs)
    second = Squeezed(3, name="second")(first["map"])
    model = keras.Model(inputs, {"end": second["map"], "means": keras.layers.Add()([first["mean"], second["mean"]])})
    for variable in model.weights:
        variable.assign(np.random.default_rng(2).uniform(0.1, 1, variable.shape))

    flat = flatten(model)

    assert {type(layer).__module__.partition(".")[0] for layer in flat.layers} == {"keras"}
    assert {"first_convolution", "second_gate"} <= {layer.name for layer in flat.layers}
    images = np.random.default_rng(3).uniform(-1, 1, (2, 6, 8, 3)).astype("float32")
    found, expected = flat.predict(images, verbose=0), model.predict(images, verbose=0)
    assert list(found) == list(expected) == ["end", "means"]
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)
    assert [call.kind for call in Trace(model).calls].count("Conv2D") == 2
    subclassed = keras.Input((4,))
    whole = keras.Model(subclassed, Subclassed()(subclassed))
    row = np.ones((1, 4), "float32")
    np.testing.assert_array_equal(flatten(whole).predict(row, verbose=0), whole.predict(row, verbose=0))


def test_what_can_not_be_flattened_is_named():
    inputs = keras.Input((4,))
    with pytest.raises(InputError, match=r"model, received .*Subclassed; call it on symbolic inputs"):
        flatten(Subclassed())
    with pytest.raises(InputError, match=r"call can be followed .*, received layer \w+ of type Counting"):
        flatten(keras.Model(inputs, Counting(name="loop")(inputs)))
    with pytest.raises(InputError, match="received layer mine of type WithoutConfig"):
        flatten(keras.Model(inputs, WithoutConfig(1)(inputs)))


def test_an_adapted_normalization_keeps_what_it_has_seen():
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (20, 4, 4, 3)))
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layer(inputs))
    images = np.random.default_rng(1).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    # Uniform levels have a standard deviation of 255 / sqrt(12) = 73.6.
    outputs = np.asarray(flatten(model).predict(images, verbose=0))
    np.testing.assert_allclose(outputs, (images - 127.5) / 73.6, atol=0.3)
    np.testing.assert_allclose(outputs, np.asarray(model.predict(images, verbose=0)), atol=1e-6)
