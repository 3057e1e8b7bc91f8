"""int8 graphs made without TensorFlow: their files in LiteRT against Keras, and what XNNPACK takes of them."""

import warnings

import keras
import numpy as np
import pytest
from test_lower import chain, images_of, scrambled

import keras_lite
from keras_lite.data import ModelInfo, Preprocessing
from keras_lite.errors import InputError, InputWarning
from keras_lite.export import to_tflite
from keras_lite.litert import write
from keras_lite.quantization import post_training
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.quantized_graph import quantize
from keras_lite.quantization.ranges import whole_range
from keras_lite.runtime.litert_worker import delegation, predict

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers


def int8_file(model, images):
    form = for_int8(lower(model))
    graph = quantize(form, ranges_from(form, observe(form, images), whole_range))
    opened = interpreter.Interpreter(model_content=write(graph))
    opened.allocate_tensors()
    return graph, opened


def check(model, *kinds, outside=(), steps=6):
    """Compare with Keras, within some steps of the output, and the operators with those that are expected."""
    images = np.concatenate([images_of(model.inputs[0].shape[1:])] * 2)
    graph, opened = int8_file(model, images)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    assert np.abs(predict(opened, images) - expected).max() <= steps * graph.outputs[0].quantization.scale
    found = [operator.kind for operator in graph.operators]
    assert not kinds or sorted(found) == sorted(kinds)
    assert {tensor.dtype for each in graph.operators for tensor in each.outputs} == {"int8"}
    assert delegation(opened)["not_delegated"] == list(outside)
    return graph


@pytest.mark.parametrize(
    ("steps", "kinds"),
    {
        "convolution": ([layers.Conv2D(5, 3, 2, "same", activation="relu6")], ["CONV_2D"]),
        "grouped": ([layers.Conv2D(6, 3, groups=2, activation="relu")], ["CONV_2D"]),
        "separable": ([layers.SeparableConv2D(6, 3, padding="same")], ["DEPTHWISE_CONV_2D", "CONV_2D"]),
        "dense": ([layers.Flatten(), layers.Dense(3, activation="tanh")], ["RESHAPE", "FULLY_CONNECTED", "TANH"]),
        "silu": ([layers.Activation("silu")], ["LOGISTIC", "MUL"]),
        "hard-swish": ([layers.Activation("hard_silu")], ["MUL", "ADD", "MUL"]),
        "behind a convolution": ([layers.Conv2D(5, 1), layers.Activation("hard_silu")], ["CONV_2D", "ADD", "MUL"]),
        "gate": ([layers.Conv2D(5, 1), layers.Activation("hard_sigmoid")], ["CONV_2D"]),
        "gate alone": ([layers.Activation("hard_sigmoid")], ["ADD", "MUL"]),
        "leaky ReLU": ([layers.LeakyReLU(0.1)], ["LEAKY_RELU"]),
        "ReLU alone": ([layers.ReLU()], ["DEPTHWISE_CONV_2D"]),
        "ReLU to 4": ([layers.Conv2D(5, 3), layers.ReLU(4.0)], ["CONV_2D"]),
        "ReLU to 1": ([layers.BatchNormalization(), layers.ReLU(1.0)], ["DEPTHWISE_CONV_2D"]),
        "batch norm": ([layers.BatchNormalization()], ["DEPTHWISE_CONV_2D"]),
        "average pooling": ([layers.AveragePooling2D(2)], ["DEPTHWISE_CONV_2D"]),
        "at the edges": ([layers.AveragePooling2D(3, 1, "same")], ["DEPTHWISE_CONV_2D", "MUL"]),
        "whole image": ([layers.AveragePooling2D((7, 6))], ["MEAN"]),
        "every second pixel": ([layers.MaxPooling2D(1, 2)], ["DEPTHWISE_CONV_2D"]),
        "maximum": ([layers.MaxPooling2D(3, 2, "same")], ["MAX_POOL_2D"]),
        "largest": ([layers.GlobalMaxPooling2D(), layers.Dense(4)], ["MAX_POOL_2D", "FULLY_CONNECTED"]),
        "mean": ([layers.GlobalAveragePooling2D(), layers.Dense(4)], ["MEAN", "FULLY_CONNECTED"]),
        "padding": ([layers.ZeroPadding2D(2), layers.Conv2D(3, 3)], ["PAD", "CONV_2D"]),
        "softmax at the end": ([layers.Flatten(), layers.Dense(3)], ["RESHAPE", "FULLY_CONNECTED"]),
    }.values(),
)  # fmt: skip
def test_layer_types(steps, kinds):
    # Where values are cut off, the steps of what is behind are much smaller than those before.
    cut_off = type(steps[-1]).__name__ == "ReLU" and steps[-1].max_value
    model = chain(*[type(step).from_config(step.get_config()) for step in steps])
    check(model, *kinds, steps=40 if cut_off else 6)


def test_a_leaky_relu_with_a_highest_value():
    check(chain(layers.ReLU(2.0, 0.1)), "LEAKY_RELU", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", steps=6)


def test_concatenations_share_a_scale():
    inputs = keras.Input((7, 6, 4))
    wide = layers.Conv2D(4, 3, padding="same")(inputs)
    used_twice = layers.Conv2D(4, 1)(inputs)
    joined = layers.Concatenate()([wide, used_twice, layers.MaxPooling2D(3, 1, "same")(inputs)])
    model = scrambled(keras.Model(inputs, layers.Add()([layers.Conv2D(4, 1)(joined), used_twice])))
    graph = check(
        model, "CONV_2D", "CONV_2D", "CONV_2D", "MAX_POOL_2D", "QUANTIZE", "QUANTIZE", "CONCATENATION", "ADD", steps=8
    )
    [joining] = [operator for operator in graph.operators if operator.kind == "CONCATENATION"]
    assert {tensor.quantization for tensor in joining.inputs} == {joining.output.quantization}


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras_lite.layers.ChannelShuffle(2),
        lambda: keras_lite.layers.ChannelSlice(1, 2),
        lambda: keras_lite.layers.PositionAwareCircularConv("height"),
        lambda: keras_lite.layers.ChannelAttention(8),
        lambda: keras_lite.layers.GhostModule(8),
    ],
)
def test_own_layers(layer):
    check(chain(layer(), shape=(8, 6, 8)), steps=10)


def test_attention_runs_beside_xnnpack():
    model = chain(keras_lite.layers.AttentionDownsampling(5, attention=True), shape=(8, 6, 8))
    check(model, outside=["BATCH_MATMUL", "SOFTMAX", "BATCH_MATMUL", "GELU"], steps=40)


@pytest.mark.parametrize("ends", ["int8", "uint8", "float32"])
def test_a_graph_becomes_a_file_that_is_equal_to_the_bit(ends, tmp_path):
    model = chain(layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(3))
    images = images_of((7, 6, 4))
    path = tmp_path / "model.tflite"
    found = to_tflite(post_training(model, images)[0].graph, path, "int8", samples=images, reference=model, ends=ends)
    assert (found.exactness.equal, found.images) == (1.0, 3)
    opened = interpreter.Interpreter(str(path))
    details = [*opened.get_input_details(), *opened.get_output_details()]
    assert {np.dtype(each["dtype"]).name for each in details} == {ends}


def test_channels_next_to_nothing_keep_their_bias():
    model = chain(layers.Conv2D(6, 3), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(4, 1))
    kernel, bias = model.layers[1].get_weights()
    kernel[..., :2], kernel[..., 2] = 0.0, 1e-20
    model.layers[1].set_weights([kernel, bias])
    check(model, "CONV_2D", "CONV_2D")


def test_black_images_set_no_empty_range(tmp_path):
    model = chain(layers.Conv2D(3, 3), layers.GlobalAveragePooling2D())
    images = np.zeros((2, 7, 6, 4), "float32")
    graph = post_training(model, images)[0].graph
    assert graph.inputs[0].quantization.scale > 1e-3
    assert to_tflite(graph, tmp_path / "model.tflite", "int8", samples=images).exactness.equal == 1.0


@pytest.mark.tensorflow_only
def test_uint8_ends_that_take_no_pixels_are_told(tmp_path):
    model = chain(layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(2), shape=(8, 8, 3))
    plain = Preprocessing((8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    shifted = Preprocessing((8, 8), mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2))
    for preprocessing, warned in ((plain, []), (shifted, ["does not take pixels as they are"])):
        info = ModelInfo("small", ["a", "b"], preprocessing, "logits")
        images = preprocessing(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), "uint8"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", InputWarning)
            graph = post_training(model, images, preprocessing)[0].graph
            to_tflite(graph, tmp_path / "model.tflite", "int8", samples=images, info=info, ends="uint8")
        texts = [str(each.message) for each in caught if each.category is InputWarning]
        assert len(texts) == len(warned) and all(text in found for text, found in zip(warned, texts, strict=True))


@pytest.mark.tensorflow_only
def test_a_softmax_at_the_end_is_left_out():
    model = chain(layers.Flatten(), layers.Dense(3), layers.Softmax())
    graph, _ = int8_file(model, images_of((7, 6, 4)))
    assert [operator.kind for operator in graph.operators] == ["RESHAPE", "FULLY_CONNECTED"]


@pytest.mark.tensorflow_only
def test_what_has_no_int8_operator_is_named():
    for step, expected in {
        layers.ReLU(threshold=0.5, name="jump"): "layer jump of type ReLU: it jumps at its threshold.*; write ReLU",
        layers.Activation("squareplus", name="root"): "layer root of type Activation: int8 has no operator .*; write",
        layers.LayerNormalization(name="norm"): "norm of type LayerNormalization: its mean .*; write BatchNorm",
    }.items():
        with pytest.raises(InputError, match=f"{expected}.*, or give allow_float=True"):
            for_int8(lower(chain(step)))
