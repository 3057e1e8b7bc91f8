"""Transposed convolutions in float and int8 files against Keras, on each backend."""

import keras
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert.interpreter")
from both_files import check_float, check_int8, images_of
from test_lower import chain, scrambled

from keras_lite.export import to_tflite
from keras_lite.quantization import post_training

layers = keras.layers
SHAPE = (5, 6, 3)


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ({"kernel_size": 3, "strides": 2, "padding": "same"}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": 3, "strides": 2, "padding": "valid", "activation": "relu6"}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": 4, "strides": 2, "padding": "same", "use_bias": False}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": (2, 5), "strides": (3, 1), "padding": "same"}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": 1, "strides": 2, "padding": "same"}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 0}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": 5, "strides": 2, "padding": "valid", "output_padding": 1}, ["TRANSPOSE_CONV"]),
        ({"kernel_size": 3, "strides": 1, "padding": "same", "dilation_rate": 2}, ["TRANSPOSE_CONV"]),
    ],
)
def test_geometry(arguments, kinds):
    model = chain(layers.Conv2DTranspose(4, **arguments), shape=SHAPE)
    check_float(model, kinds)
    if keras.backend.backend() == "tensorflow":
        check_int8(model, kinds)


def test_batch_norm_and_activation_go_in():
    model = chain(
        layers.Rescaling(0.5), layers.Conv2DTranspose(4, 4, 2, "same", use_bias=False), layers.BatchNormalization(),
        layers.ReLU(), layers.Conv2D(2, 3), shape=SHAPE,
    )  # fmt: skip
    for graph in (check_float(model, ["TRANSPOSE_CONV", "CONV_2D"]), check_int8(model, ["TRANSPOSE_CONV", "CONV_2D"])):
        assert graph.operators[0].options["fused_activation_function"] == "RELU"


@pytest.mark.tensorflow_only
def test_what_is_added_before_stays_there():
    # Pixels at the edge add up fewer products, so that it is no bias.
    check_float(
        chain(layers.Rescaling(1.0, 0.5), layers.Conv2DTranspose(4, 3, 2), shape=SHAPE), ["ADD", "TRANSPOSE_CONV"]
    )


@pytest.mark.tensorflow_only
def test_the_search_takes_them(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, 2, "same", activation="relu")(inputs)
    x = layers.Conv2DTranspose(6, 3, 2, "same", activation="relu")(x)
    x = layers.Concatenate()([x, inputs])
    model = scrambled(keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))
    images = images_of(model, 8)
    calibrated, _ = post_training(model, images)
    found = to_tflite(calibrated, tmp_path / "up.tflite", "int8", samples=images, reference=model)
    assert found.exactness.equal == 1.0
    assert calibrated.graph.macs > 0 and np.isfinite(calibrated.graph.macs)
