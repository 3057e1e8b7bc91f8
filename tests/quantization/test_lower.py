"""Lowered models in LiteRT against Keras, layer type by layer type, on each backend."""

import keras
import numpy as np
import pytest

import keras_lite
from keras_lite.errors import InputError
from keras_lite.litert import write
from keras_lite.quantization.lower import lower

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers
SIZE = (7, 6, 4)


def litert(graph, images):
    model = interpreter.Interpreter(model_content=write(graph))
    model.allocate_tensors()
    [source], [target] = model.get_input_details(), model.get_output_details()
    outputs = []
    for image in images:
        model.set_tensor(source["index"], image[None])
        model.invoke()
        outputs.append(model.get_tensor(target["index"])[0])
    return np.stack(outputs)


def images_of(shape):
    return np.random.default_rng(0).normal(0.0, 2.0, (3, *shape)).astype("float32")


def scrambled(model):
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "seed" not in variable.path:
            low, high = (0.5, 2.0) if variable.path.endswith(("variance", "gamma")) else (-1.0, 1.0)
            variable.assign(rng.uniform(low, high, variable.shape))
    return model


def check(model, *kinds):
    """Compare the file's outputs with the model's, and its operators with those that are expected."""
    graph = lower(model)
    images = images_of(model.inputs[0].shape[1:])
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(litert(graph, images), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert sorted(operator.kind for operator in graph.operators) == sorted(kinds)
    assert (graph.inputs[0].shape, graph.outputs[0].shape) == ((1, *images.shape[1:]), (1, *expected.shape[1:]))
    return graph


def chain(*steps, shape=SIZE):
    inputs = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    return scrambled(keras.Model(inputs, x))


@pytest.mark.parametrize(
    ("steps", "kinds"),
    {
        "convolution": ([layers.Conv2D(5, 3, 2, "same", activation="relu6")], ["CONV_2D"]),
        "rectangular kernel": ([layers.Conv2D(5, (2, 3), (1, 2), dilation_rate=1, use_bias=False)], ["CONV_2D"]),
        "dilated": ([layers.Conv2D(5, 3, padding="same", dilation_rate=2)], ["CONV_2D"]),
        "grouped": ([layers.Conv2D(6, 3, groups=2, activation="tanh")], ["CONV_2D", "TANH"]),
        "depthwise": ([layers.DepthwiseConv2D(3, 2, depth_multiplier=2, activation="relu")], ["DEPTHWISE_CONV_2D"]),
        "separable": ([layers.SeparableConv2D(6, 3, padding="same")], ["DEPTHWISE_CONV_2D", "CONV_2D"]),
        "dense of a map": ([layers.Dense(3, activation="sigmoid")], ["FULLY_CONNECTED", "LOGISTIC"]),
        "flatten": ([layers.Flatten(), layers.Dense(3)], ["RESHAPE", "FULLY_CONNECTED"]),
        "silu": ([layers.Activation("silu")], ["LOGISTIC", "MUL"]),
        "hard_silu": ([layers.Activation("hard_silu")], ["HARD_SWISH"]),
        "hard_sigmoid": ([layers.Activation("hard_sigmoid")], ["ADD", "MUL"]),
        "gelu": ([layers.Activation("gelu")], ["GELU"]),
        "leaky_relu": ([layers.Activation("leaky_relu")], ["LEAKY_RELU"]),
        "ReLU to 1": ([layers.ReLU(1.0)], ["RELU_0_TO_1"]),
        "ReLU to 4": ([layers.ReLU(4.0)], ["RELU", "MINIMUM"]),
        "leaky ReLU to 2": ([layers.ReLU(2.0, 0.1)], ["LEAKY_RELU", "MINIMUM"]),
        "ReLU with threshold": ([layers.ReLU(None, 0.0, 0.7)], ["GREATER", "CAST", "MUL"]),
        "PReLU": ([layers.PReLU(shared_axes=(1, 2))], ["PRELU"]),
        "ELU": ([layers.ELU()], ["ELU"]),
        "ELU of alpha 0.3": ([layers.ELU(0.3)], ["RELU", "MINIMUM", "ELU", "MUL", "ADD"]),
        "softmax": ([layers.Softmax()], ["SOFTMAX"]),
        "softmax of rows": ([layers.Softmax(axis=1)], ["TRANSPOSE", "SOFTMAX", "TRANSPOSE"]),
        "unit length": ([layers.Flatten(), layers.UnitNormalization()], ["RESHAPE", "L2_NORMALIZATION"]),
        "max pooling": ([layers.MaxPooling2D(3, 2, "same")], ["MAX_POOL_2D"]),
        "average pooling": ([layers.AveragePooling2D(3, 1, "same")], ["AVERAGE_POOL_2D"]),
        "global average": ([layers.GlobalAveragePooling2D()], ["MEAN"]),
        "global maximum": ([layers.GlobalMaxPooling2D(keepdims=True)], ["REDUCE_MAX"]),
        "nearest": ([layers.UpSampling2D(2)], ["RESIZE_NEAREST_NEIGHBOR"]),
        "bilinear": ([layers.UpSampling2D((2, 3), interpolation="bilinear")], ["RESIZE_BILINEAR"]),
        "padding": ([layers.ZeroPadding2D(((1, 0), (2, 3)))], ["PAD"]),
        "cropping": ([layers.Cropping2D(((1, 2), (0, 3)))], ["SLICE"]),
        "permuted": ([layers.Permute((3, 1, 2)), layers.Reshape((4, 42))], ["TRANSPOSE", "RESHAPE"]),
        "batch norm": ([layers.BatchNormalization()], ["MUL", "ADD"]),
        "idle": ([layers.Dropout(0.5), layers.GaussianNoise(0.1), layers.ReLU()], ["RELU"]),
    }.values(),
)  # fmt: skip
def test_layer_types(steps, kinds):
    check(chain(*[type(step).from_config(step.get_config()) for step in steps]), *kinds)


@pytest.mark.parametrize(
    ("layer_class", "kinds"),
    [
        (layers.Add, ["ADD", "ADD"]),
        (layers.Multiply, ["MUL", "MUL"]),
        (layers.Average, ["ADD", "ADD", "MUL"]),
        (layers.Maximum, ["MAXIMUM", "MAXIMUM"]),
        (layers.Minimum, ["MINIMUM", "MINIMUM"]),
    ],
)
def test_merging(layer_class, kinds):
    inputs = keras.Input(SIZE)
    pooled = layers.GlobalMaxPooling2D(keepdims=True)(inputs)
    check(keras.Model(inputs, layer_class()([inputs, layers.ReLU()(inputs), pooled])), "RELU", "REDUCE_MAX", *kinds)


def test_difference_and_concatenations_of_four_at_most():
    inputs = keras.Input(SIZE)
    parts = [layers.ReLU(float(cap))(inputs) for cap in (1, 6)]
    parts += [layers.Subtract()([inputs, parts[0]]), parts[1], parts[0], inputs]
    model = keras.Model(inputs, layers.Concatenate(axis=2)(parts))
    check(model, "RELU_0_TO_1", "RELU6", "SUB", *3 * ["CONCATENATION"])


def test_numbers_are_folded_into_the_convolutions_around_them():
    scale = layers.Rescaling(1.0 / 127.5, -1.0)
    graph = check(
        chain(
            scale,
            layers.Conv2D(6, 3, use_bias=False, padding="valid"),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.BatchNormalization(),
            layers.Rescaling(0.5, 0.25),
            layers.GlobalAveragePooling2D(),
            layers.BatchNormalization(),
            layers.Dense(3),
        ),
        "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED",
    )  # fmt: skip
    assert [each.options["fused_activation_function"] for each in graph.operators[:2]] == ["RELU6", "NONE"]
    # Zeros that are put around the image are zeros behind the scaling, not before.
    check(chain(layers.Rescaling(0.1, -1.0), layers.Conv2D(3, 3, padding="same")), "MUL", "ADD", "CONV_2D")
    check(chain(layers.Rescaling(0.1), layers.Conv2D(4, 3, groups=2, padding="same")), "CONV_2D")
    check(chain(layers.BatchNormalization(), layers.Conv2D(4, 1, groups=2, padding="same")), "CONV_2D")
    check(chain(layers.BatchNormalization(), layers.DepthwiseConv2D(2, depth_multiplier=2)), "DEPTHWISE_CONV_2D")


def test_what_others_take_too_is_not_folded_away():
    inputs = keras.Input(SIZE)
    x = layers.Conv2D(4, 1)(inputs)
    model = scrambled(keras.Model(inputs, layers.Add()([x, layers.ReLU()(layers.BatchNormalization()(x))])))
    check(model, "CONV_2D", "MUL", "ADD", "ADD")


def test_zeros_that_same_puts_there_are_left_to_it():
    check(chain(layers.ZeroPadding2D(1), layers.Conv2D(3, 3)), "CONV_2D")
    # Of an even number of columns SAME pads one behind, none before.
    check(chain(layers.ZeroPadding2D(((1, 1), (0, 1))), layers.DepthwiseConv2D(3, 2)), "DEPTHWISE_CONV_2D")
    check(chain(layers.ZeroPadding2D(1), layers.Conv2D(3, 3, 2)), "PAD", "CONV_2D")
    check(chain(layers.Rescaling(0.1), layers.ZeroPadding2D(1), layers.Conv2D(3, 3)), "CONV_2D")


def test_hard_swish_written_out():
    inputs = keras.Input(SIZE)
    gate = layers.ReLU(6.0)(layers.Rescaling(1.0, 3.0)(inputs))
    check(keras.Model(inputs, layers.Rescaling(1 / 6)(layers.Multiply()([inputs, gate]))), "HARD_SWISH")
    gate = layers.Activation("hard_sigmoid")(inputs)
    check(keras.Model(inputs, layers.Multiply()([gate, inputs])), "HARD_SWISH")
    # Half of it is no hard-swish, and neither is the gate of another tensor.
    check(keras.Model(inputs, layers.Multiply()([layers.ReLU()(inputs), gate])), "RELU", "ADD", "MUL", "MUL")


def test_equal_steps_are_computed_once():
    inputs = keras.Input(SIZE)
    first, second = (layers.Activation("tanh")(inputs) for _ in range(2))
    check(keras.Model(inputs, layers.Add()([first, second])), "TANH", "ADD")


def test_a_layer_that_is_used_twice_is_in_the_file_once():
    inputs = keras.Input(SIZE)
    shared = layers.Conv2D(4, 3, padding="same")
    model = scrambled(keras.Model(inputs, shared(layers.ReLU()(shared(inputs)))))
    graph = check(model, "CONV_2D", "CONV_2D")
    assert len(write(graph)) < 2 * 4 * shared.count_params() + 2000


@pytest.mark.parametrize(
    ("layer", "counts"),
    [
        (lambda: keras_lite.layers.ChannelShuffle(2), {"RESHAPE": 2, "TRANSPOSE": 1}),
        (lambda: keras_lite.layers.ChannelSlice(1, 2), {"SLICE": 1}),
        (lambda: keras_lite.layers.PositionAwareCircularConv("height"), None),
        (lambda: keras_lite.layers.AttentionDownsampling(5, attention=True), None),
        (lambda: keras_lite.layers.GhostModule(8), None),
    ],
)
def test_own_layers(layer, counts):
    model = chain(layer(), shape=(8, 6, 8))
    graph = lower(model)
    found = [operator.kind for operator in graph.operators]
    check(model, *found)
    assert counts is None or {kind: found.count(kind) for kind in found} == counts


def test_tensors_have_the_names_of_layers():
    inputs = keras.Input(SIZE, name="photo")
    x = layers.Conv2D(4, 3, name="stem")(inputs)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    graph = lower(scrambled(keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten()(x)))))
    [stem, _, head] = graph.operators
    assert [graph.inputs[0].name, stem.name, head.name] == ["photo", "stem_relu", "head"]
    assert [tensor.name for tensor in stem.inputs[1:]] == ["stem/kernel", "stem/bias"]


def test_a_transposition_that_moves_nothing_is_none():
    # Groups of one channel each are in their places already.
    check(chain(keras_lite.layers.ChannelShuffle(4), layers.ReLU()), "RELU")
    check(chain(layers.Permute((3, 1, 2)), layers.ReLU(), shape=(7, 6, 1)), "RESHAPE", "RELU")


@pytest.mark.tensorflow_only
def test_what_has_no_operators_is_named():
    for layer, expected in {
        layers.SpectralNormalization(layers.Conv2D(3, 1), name="norm"): "layer norm of type SpectralNormalization: ",
        layers.Activation(lambda x: x, name="own"): "layer own of type Activation: its activation .* write one of",
        layers.UpSampling2D(2, interpolation="bicubic"): "'bicubic' has no operator; write 'nearest' or 'bilinear'",
    }.items():
        with pytest.raises(InputError, match=expected):
            lower(chain(layer))
    rounded = chain(layers.Dense(3, name="head"))
    rounded.layers[-1].quantize("int8")
    with pytest.raises(InputError, match=r"layer head .*: it was made by Keras' own quantize\('int8'\); give"):
        lower(rounded)
    inputs = keras.Input((None, None, 3))
    with pytest.raises(InputError, match="input of fixed size"):
        lower(keras.Model(inputs, layers.ReLU()(inputs)))
    inputs = keras.Input(SIZE)
    with pytest.raises(InputError, match="returns its input"):
        lower(keras.Model(inputs, layers.Dropout(0.1)(inputs)))


@pytest.mark.parametrize(("size", "uneven"), [(7, False), (8, True)])
def test_average_pooling_where_keras_repeats_edges(size, uneven):
    """Windows of 3 by steps of 2 reach beyond an image of 8 pixels on one side alone."""
    inputs = keras.Input((size, size, 2))
    model = keras.Model(inputs, layers.AveragePooling2D(3, 2, padding="same", name="mean")(inputs))
    if uneven and keras.backend.backend() == "torch":
        with pytest.raises(InputError, match="layer mean of type AveragePooling2D: Keras on PyTorch repeats the edges"):
            lower(model)
        return
    images = images_of((size, size, 2))
    np.testing.assert_allclose(litert(lower(model), images), model.predict(images, verbose=0), atol=1e-5)


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (lambda x: keras.ops.maximum(x, 0.15 * x), 0.15),
        (lambda x: keras.ops.maximum(x * 0.3, x), 0.3),
        (lambda x: layers.Maximum()([x, layers.Rescaling(0.02)(x)]), 0.02),
        (lambda x: keras.ops.maximum(x, 1.5 * x), None),
        (lambda x: keras.ops.maximum(x, -0.5 * x), None),
        (lambda x: keras.ops.maximum(x, 0.15 * x + 1.0), None),
    ],
)
def test_leaky_relu_written_out(function, slope):
    inputs = keras.Input(SIZE)
    model = keras.Model(inputs, function(inputs))
    graph = lower(model)
    found = [(operator.kind, operator.options.get("alpha")) for operator in graph.operators]
    assert ("MAXIMUM" in dict(found)) == (slope is None)
    assert slope is None or found == [("LEAKY_RELU", pytest.approx(slope))]
    images = images_of(SIZE)
    # Not by predict: with oneDNN TensorFlow makes a leaky ReLU of the larger of x and 1.5 x, too, which is the smaller.
    expected = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(litert(graph, images), expected, atol=1e-5)
