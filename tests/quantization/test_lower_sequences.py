"""Layers along one axis in float and int8 files against Keras."""

import keras
import pytest

pytest.importorskip("ai_edge_litert.interpreter")
from both_files import check_float, check_int8
from test_lower import chain, scrambled

layers = keras.layers
SHAPE = (18, 4)


@pytest.mark.parametrize(
    ("steps", "inside"),
    {
        "convolution": ([layers.Conv1D(5, 3, padding="same", activation="relu")], ["CONV_2D"]),
        "strided": ([layers.Conv1D(5, 4, 3)], ["CONV_2D"]),
        "causal": ([layers.Conv1D(5, 3, padding="causal", dilation_rate=2)], ["PAD", "CONV_2D"]),
        "grouped": ([layers.Conv1D(6, 3, groups=2, padding="same")], ["CONV_2D"]),
        "depthwise": ([layers.DepthwiseConv1D(3, 2, "same", depth_multiplier=2)], ["DEPTHWISE_CONV_2D"]),
        "separable": ([layers.SeparableConv1D(6, 3, padding="same")], ["DEPTHWISE_CONV_2D", "CONV_2D"]),
        "transposed": ([layers.Conv1DTranspose(6, 3, 2, padding="same")], ["TRANSPOSE_CONV"]),
        "maximum": ([layers.MaxPooling1D(3, 2, "same")], ["MAX_POOL_2D"]),
        "padded": ([layers.ZeroPadding1D((2, 1)), layers.Conv1D(3, 5)], ["PAD", "CONV_2D"]),
        "cropped": ([layers.Cropping1D((1, 3))], ["SLICE"]),
        "norm and slope": (
            [layers.Conv1D(4, 3), layers.BatchNormalization(), layers.LeakyReLU(0.1), layers.Conv1D(3, 1)],
            ["CONV_2D", "LEAKY_RELU", "CONV_2D"],
        ),
        "dense between": (
            [layers.Conv1D(4, 3), layers.Dense(6, activation="relu"), layers.Conv1D(3, 1)],
            ["CONV_2D", "FULLY_CONNECTED", "CONV_2D"],
        ),
    }.values(),
)  # fmt: skip
def test_layer_types(steps, inside):
    model = chain(*[type(step).from_config(step.get_config()) for step in steps], shape=SHAPE)
    kinds = ["RESHAPE", *inside, "RESHAPE"]
    check_float(model, kinds)
    if keras.backend.backend() == "tensorflow":
        check_int8(model, kinds)


@pytest.mark.tensorflow_only
def test_a_heartbeat_classifier():
    model = chain(
        layers.Conv1D(8, 5, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(),
        layers.MaxPooling1D(2), layers.Conv1D(8, 3, padding="same"), layers.BatchNormalization(), layers.ReLU(),
        layers.AveragePooling1D(2), layers.GlobalAveragePooling1D(), layers.Dense(3), shape=(32, 2),
    )  # fmt: skip
    ends = ["RESHAPE", "CONV_2D", "MAX_POOL_2D", "CONV_2D"]
    check_float(model, [*ends, "AVERAGE_POOL_2D", "MEAN", "FULLY_CONNECTED"])
    check_int8(model, [*ends, "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"])


@pytest.mark.tensorflow_only
def test_sums_gates_and_concatenations_stay_on_rows():
    inputs = keras.Input(SHAPE)
    x = layers.Conv1D(6, 3, padding="same", activation="relu")(inputs)
    y = layers.Concatenate()([layers.Add()([x, layers.Conv1D(6, 3, padding="same")(x)]), x])
    gate = layers.Dense(12, activation="sigmoid")(layers.GlobalAveragePooling1D(keepdims=True)(y))
    y = layers.Concatenate(axis=1)([layers.Multiply()([y, gate]), y])
    model = scrambled(keras.Model(inputs, layers.Conv1D(4, 3, 2)(y)))
    graph = check_float(model)
    # One at each end, and those around the gate, which the mean leaves as a sequence.
    assert sum(operator.kind == "RESHAPE" for operator in graph.operators) <= 4
    check_int8(model, steps=8)


@pytest.mark.tensorflow_only
def test_repeated_vectors_and_steps():
    check_float(chain(layers.RepeatVector(6), layers.Conv1D(4, 3), layers.UpSampling1D(2), shape=(5,)))
    check_float(chain(layers.GlobalMaxPooling1D(keepdims=True), shape=SHAPE))


@pytest.mark.tensorflow_only
def test_an_output_with_the_shape_of_a_row():
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.ops.expand_dims(layers.AveragePooling1D(2)(inputs), axis=1))
    check_float(model)
    check_int8(model)
