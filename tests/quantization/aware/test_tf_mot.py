"""Int8 files that are written without TensorFlow's converter: equal to the converter's, to the bit."""

import keras
import numpy as np
import pytest
from small_classifier import scramble

from keras_lite.errors import InputError
from keras_lite.export.conversion import convert
from keras_lite.layers import AttentionDownsampling, ChannelAttention, ChannelShuffle, PositionEmbedding
from keras_lite.litert import QuantizedGraph, write
from keras_lite.quantization import calibrate, quantize_aware, to_tf_keras
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime.litert_worker import kernels, open_interpreter, predict

pytestmark = pytest.mark.tensorflow_only
layers = keras.layers
SIZE = 16


def conv(x, filters=8, **arguments):
    return layers.Conv2D(filters, **{"kernel_size": 3, "padding": "same", **arguments})(x)


def normalized(x, filters=8):
    return layers.BatchNormalization()(conv(x, filters, use_bias=False))


def convolutions(x):
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, 2, padding="same")(x)))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(x)
    x = layers.ReLU(2.0)(conv(conv(x, groups=4), dilation_rate=2))
    return layers.BatchNormalization()(layers.ReLU()(layers.MaxPooling2D(2)(x)))


def dense(x):
    x = layers.Dense(7, activation="relu")(layers.Dense(4)(x))
    x = layers.ReLU()(layers.Rescaling(-0.4, 0.3)(layers.GlobalAveragePooling2D()(x)))
    return layers.Dense(5)(layers.Dense(8, activation="hard_sigmoid", use_bias=False)(x))


def gates(x):
    x = layers.Activation("hard_silu")(x)
    x = ChannelAttention(2, gate="hard_sigmoid")(layers.ReLU()(conv(x)))
    return ChannelAttention(2, gate="sigmoid")(layers.Activation("silu")(x))


def activations(x):
    x = layers.Activation("gelu")(layers.LeakyReLU(0.2)(x))
    return layers.Activation("hard_sigmoid")(layers.Activation("tanh")(conv(x)))


def merged(x):
    y = layers.ReLU()(layers.Add()([x, conv(x), conv(x)]))
    y = layers.Subtract()([y, layers.AveragePooling2D(3, 1, padding="same")(x)])
    return layers.ReLU()(layers.Multiply()([y, conv(x)]))


def moved(x):
    x = layers.Cropping2D(((1, 0), (0, 2)))(layers.ZeroPadding2D(((0, 1), (2, 0)))(x))
    x = layers.MaxPooling2D(3, 2, padding="same")(ChannelShuffle(2)(x))
    x = layers.Permute((3, 1, 2))(x)
    return layers.Dense(5)(layers.Flatten()(x))


def concatenated(x):
    """What goes into a concatenation with a range of its own, with that of the concatenation, and by way of a pool."""
    pool = layers.MaxPooling2D(3, 1, padding="same")
    parts = [layers.Activation("sigmoid")(x), pool(normalized(x)), layers.ReLU(1.5)(x), conv(x, activation="relu"), x]
    return layers.Concatenate()([*parts, layers.Concatenate()([conv(x, 2), layers.LeakyReLU(0.1)(x)])])


def resized(x):
    x = layers.Add()([layers.UpSampling2D()(conv(x)), layers.UpSampling2D()(layers.Activation("sigmoid")(x))])
    x = layers.UpSampling2D(interpolation="bilinear")(layers.ReLU(1.5)(conv(x, strides=4)))
    return layers.Concatenate()([layers.UpSampling2D()(normalized(x, 3)), layers.UpSampling2D()(x)])


def attention(x):
    return AttentionDownsampling(12, attention=True)(PositionEmbedding("width")(x))


def largest(x):
    return layers.Dense(4)(layers.GlobalMaxPooling2D()(x))


BODIES = [convolutions, dense, gates, activations, merged, moved, concatenated, resized, attention, largest]
SLOW = (dense, activations, merged, resized, attention)


def images(count, seed):
    return np.random.default_rng(seed).normal(scale=1.5, size=(count, SIZE, SIZE, 3)).astype("float32")


def quantized_model(body):
    inputs = keras.Input((SIZE, SIZE, 3), name="photo")
    model = scramble(keras.Model(inputs, body(normalized(inputs))))
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images(8, seed=1))
    return quantized


def train_a_little(quantized):
    """Move weights away from their ranges, and ranges from each other, as fine-tuning does."""
    rng = np.random.default_rng(2)
    for variable in quantized.trainable_variables:
        variable.assign(variable.numpy() * rng.normal(1.0, 0.05, variable.shape))
    for layer in quantized.layers:
        ends = getattr(layer, "_output_quantizer_vars", None)
        if ends:
            ends["max_var"].assign(ends["max_var"].numpy() * np.float32(rng.uniform(0.8, 1.0)))


def opened(folder, content):
    path = folder / "model.tflite"
    path.write_bytes(content)
    plain = open_interpreter(str(path), delegates=False)
    return predict(open_interpreter(str(path)), images(4, seed=3)), kernels(plain)


def sorted_kernels(found):
    """Return kernels, their scales and biases, whatever the order of the operators; a bias of zeros may be left out."""
    count = len(found) // 3
    triples = [[found[f"{part}{at}"] for part in ("values", "steps", "bias")] for at in range(count)]
    return sorted(
        (kernel.shape, kernel.tobytes(), steps.tobytes(), bias.tobytes() if bias.any() else b"")
        for kernel, steps, bias in triples
    )


@pytest.mark.parametrize(
    "body", [pytest.param(body, marks=pytest.mark.slow if body in SLOW else ()) for body in BODIES]
)
def test_a_file_is_the_converters_to_the_bit(body, tmp_path):
    quantized = quantized_model(body)
    train_a_little(quantized)

    received, received_kernels = opened(tmp_path, write(read_quantized(quantized)))
    expected, expected_kernels = opened(tmp_path, convert(quantized, "int8"))

    assert len(np.unique(expected)) > 8  # else it says little
    np.testing.assert_array_equal(received, expected)
    assert sorted_kernels(received_kernels) == sorted_kernels(expected_kernels)


def test_the_graph_of_a_model():
    inputs = keras.Input((SIZE, SIZE, 3), name="photo")
    x = layers.Conv2D(6, 3, name="stem", use_bias=False)(inputs)
    x = layers.ReLU(6.0, name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = scramble(keras.Model(inputs, layers.Dense(4, name="head")(x), name="small"))
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images(8, seed=1))

    graph = read_quantized(quantized)

    assert isinstance(graph, QuantizedGraph)
    assert (graph.name, graph.inputs[0].name, graph.outputs[0].name) == ("small", "photo", "head")
    assert [(each.kind, each.name) for each in graph.operators] == [
        ("CONV_2D", "stem_relu"), ("MEAN", "pool"), ("FULLY_CONNECTED", "head"),
    ]  # fmt: skip
    stem = graph.operators[0]
    assert stem.options["fused_activation_function"] == "RELU6"
    _, kernel, bias = stem.inputs
    assert (kernel.name, kernel.dtype, kernel.shape) == ("stem/kernel", "int8", (6, 3, 3, 3))
    assert (bias.name, bias.dtype, bias.shape) == ("stem/bias", "int32", (6,))
    assert len(kernel.quantization.scales) == 6
    # Batch norm is in the kernel: of TF-MOT's, each channel is multiplied by one number.
    norm = model.get_layer("stem_norm")
    gamma, _, _, variance = norm.get_weights()
    folded = model.get_layer("stem").get_weights()[0] * gamma / np.sqrt(variance + norm.epsilon)
    received = kernel.data.transpose(1, 2, 3, 0) * kernel.quantization.scales
    assert np.abs(received - folded).max() <= 0.51 * kernel.quantization.scales.max()


def test_batch_norm_of_a_dense_layer_stays_int8(tmp_path):
    """TensorFlow's converter leaves such a layer in float."""
    quantized = quantized_model(lambda x: layers.BatchNormalization()(layers.Dense(6)(layers.Flatten()(x))))
    received, _ = opened(tmp_path, write(read_quantized(quantized)))
    expected = quantized.predict(images(4, seed=3), verbose=0)
    assert np.abs(received - expected).max() <= 0.03 * np.ptp(expected)


def test_what_is_not_quantized_is_refused():
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(3, 3)])
    with pytest.raises(InputError, match="quantize_aware returned"):
        read_quantized(to_tf_keras(model))
