import keras
import numpy as np
import pytest
from small_classifier import SIZE, carnet_like, color_images, preactivation, scramble

from keras_lite.errors import InputError
from keras_lite.layers import AttentionDownsampling, PositionAwareCircularConv
from keras_lite.quantization import to_tf_keras

layers = keras.layers
once = pytest.mark.tensorflow_only  # the walk is the same on every backend


def every_kind():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(0.5, offset=0.1)(inputs)
    x = layers.ZeroPadding2D(((1, 0), (2, 3)))(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.Conv2D(8, 3, groups=4, dilation_rate=2, activation="hard_silu")(x)
    x = layers.BatchNormalization(scale=False, epsilon=1e-2)(x)
    x = layers.SeparableConv2D(6, 3, activation="silu")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x)
    x = layers.UpSampling2D(2)(layers.Cropping2D(1)(x))
    halves = [layers.MaxPooling2D(2, padding="same")(x), layers.AveragePooling2D(2, padding="same")(x)]
    x = layers.Concatenate()([*halves, layers.Maximum()(halves), layers.Subtract()(halves)])
    x = layers.SpatialDropout2D(0.3)(layers.GaussianNoise(1.0)(x))
    x = layers.ReLU(max_value=2.0, negative_slope=0.1)(layers.Permute((2, 1, 3))(x))
    x = layers.Activation("hard_sigmoid")(layers.Reshape((-1, 4))(x))
    x = layers.Dense(5, activation="tanh")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Softmax()(layers.Average()([x, layers.Dense(5, use_bias=False)(x)])))


def own_layers():
    inputs = keras.Input((SIZE, SIZE, 3))
    x = PositionAwareCircularConv("height")(layers.Conv2D(8, 3, strides=4)(inputs))
    x = PositionAwareCircularConv("width")(x)
    x = AttentionDownsampling(16, attention=True)(x)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: carnet_like(gate="hard_sigmoid"), id="carnet"),
        pytest.param(preactivation, id="preactivation", marks=once),
        pytest.param(every_kind, id="every_kind", marks=once),
        pytest.param(own_layers, id="own_layers", marks=once),
    ],
)
def test_same_outputs(build):
    model = scramble(build())
    images, _ = color_images(4, seed=0)

    twin = to_tf_keras(model)

    assert type(twin).__module__.startswith("tf_keras.")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(twin.predict(images, verbose=0), expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@once
def test_shared_layer_stays_shared():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(inputs, layers.Add()([shared(inputs), shared(shared(inputs))]))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")

    twin = to_tf_keras(model)

    assert len(twin.trainable_variables) == 2
    np.testing.assert_allclose(twin.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)


@once
def test_unknown_layer_is_named():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layers.LSTM(2, name="memory")(inputs))

    with pytest.raises(InputError, match="memory of type LSTM"):
        to_tf_keras(model)


@once
def test_layer_of_a_known_name_but_of_another_make_is_refused():
    class Dense(layers.Dense):
        def call(self, inputs):
            return -super().call(inputs)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Dense(2, name="mine")(inputs))

    with pytest.raises(InputError, match="mine of type Dense"):
        to_tf_keras(model)


@once
def test_unknown_activation_and_raw_operation_are_named():
    inputs = keras.Input((4,))
    with pytest.raises(InputError, match=r"softplus.*strange"):
        to_tf_keras(keras.Model(inputs, layers.Dense(2, activation="softplus", name="strange")(inputs)))
    with pytest.raises(InputError, match="Expected every step of the model to be a layer"):
        to_tf_keras(keras.Model(inputs, keras.ops.abs(inputs)))


@once
def test_several_inputs_are_refused():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    with pytest.raises(InputError, match="received 2 inputs and 1 outputs"):
        to_tf_keras(keras.Model(inputs, layers.Add()(inputs)))


@once
def test_what_is_no_keras_model_is_refused():
    with pytest.raises(InputError, match="functional"):
        to_tf_keras("model")
