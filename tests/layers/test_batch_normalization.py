import keras
import numpy as np
import pytest
from layer_case import check_training

from keras_lite.layers import BatchNormalization


@pytest.mark.parametrize("channels", [6, 8])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_trains_like_the_stock_layer(dtype, channels):
    images = np.random.default_rng(0).normal(3, 2, size=(8, 5, 5, channels)).astype("float32")
    targets = np.random.default_rng(1).normal(size=images.shape).astype("float32")
    outcomes = []
    for layer_class in (keras.layers.BatchNormalization, BatchNormalization):
        inputs = keras.Input(images.shape[1:])
        model = keras.Model(inputs, layer_class(epsilon=1e-5, momentum=0.9, dtype=dtype)(inputs))
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.fit(images, targets, epochs=5, verbose=0, batch_size=4, shuffle=False)
        outcomes.append(model.get_weights())
    for stock, ours in zip(*outcomes, strict=True):
        np.testing.assert_allclose(ours, stock, rtol=1e-4 if dtype == "float32" else 0.03, atol=1e-5)


@pytest.mark.parametrize("channels", [6, 8, 12])
def test_gradient_of_its_inputs(channels):
    check_training(BatchNormalization(name="batch_norm"), (4, 3, 3, channels))


@pytest.mark.parametrize("channels", [6, 8, 12])
def test_gradient_behind_a_relu(channels):
    layers = [BatchNormalization(name="batch_norm"), keras.layers.ReLU(name="relu")]
    check_training(lambda x: layers[1](layers[0](x)), (4, 3, 3, channels))


def test_frozen_or_without_scale_it_is_the_stock_layer():
    images = np.random.default_rng(0).normal(3, 2, size=(8, 5, 5, 6)).astype("float32")
    frozen = BatchNormalization()
    frozen.trainable = False
    np.testing.assert_allclose(frozen(images, training=True), images / np.sqrt(1 + 1e-3), rtol=1e-5)
    bare = BatchNormalization(scale=False, center=False, epsilon=0)
    expected = (images - images.mean((0, 1, 2))) / images.std((0, 1, 2))
    np.testing.assert_allclose(bare(images, training=True), expected, atol=1e-4)
