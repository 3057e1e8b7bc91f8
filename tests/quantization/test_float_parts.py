"""Int8 graphs that leave layers in floats, and numbers a channel wherever they stand: LiteRT against Keras."""

import json

import keras
import numpy as np
import pytest
from test_lower import images_of, scrambled

from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.export.verification import Thresholds, VerificationError
from keras_lite.litert import IntegerModel, write
from keras_lite.quantization import post_training
from keras_lite.quantization.aware.keras_native import trainable
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.quantized_graph import quantize
from keras_lite.quantization.ranges import whole_range
from keras_lite.runtime.litert_worker import delegation, predict

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
layers = keras.layers
SIZE = (7, 6, 8)


def model_of(build, shape=SIZE):
    inputs = keras.Input(shape)
    model = scrambled(keras.Model(inputs, build(inputs)))
    for variable in model.weights:
        if "kernel" in variable.path:
            variable.assign(variable * (2 / np.prod(variable.shape[:-1])) ** 0.5)
    return model


def int8_graph(model, images):
    form = for_int8(lower(model), allow_float=True)
    return quantize(form, ranges_from(form, observe(form, images), whole_range))


def check(build, floats=(), whole=None, shape=SIZE):
    """Compare LiteRT with Keras by correlation and steps, and with the model; and operators with the expected."""
    model = model_of(build, shape)
    images = np.concatenate([images_of(shape)] * 2)
    graph = int8_graph(model, images)
    opened = interpreter.Interpreter(model_content=write(graph))
    opened.allocate_tensors()
    expected, received = model.predict(images, verbose=0), predict(opened, images)
    step = graph.outputs[0].quantization.scale
    assert np.corrcoef(expected.ravel(), received.ravel())[0, 1] > 0.999
    assert np.abs(expected - received).max() <= 10 * step
    assert np.abs(IntegerModel(graph).predict(images) - received).max() <= 1.01 * step
    assert sorted(operator.kind for operator in graph.float_operators) == sorted(floats)
    int8 = [each.kind for each in graph.operators if not each.is_float]
    assert whole is None or int8 == whole
    assert set(delegation(opened)["not_delegated"]) <= {"CAST", "GREATER"}
    return graph


LAYER_NORM = ["MEAN", "SUB", "MUL", "MEAN", "ADD", "RSQRT", "MUL", "MUL", "ADD"]
CORE = ["BATCH_MATMUL", "SOFTMAX", "BATCH_MATMUL"]


@pytest.mark.parametrize(
    ("build", "floats", "whole"),
    {
        "between": (
            lambda x: layers.Dense(5)(layers.Flatten()(layers.LayerNormalization()(layers.Conv2D(8, 3)(x)))),
            LAYER_NORM,
            ["CONV_2D", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "FULLY_CONNECTED"],
        ),
        "with the activation behind it": (
            lambda x: layers.Conv2D(4, 3)(layers.ReLU()(layers.GroupNormalization(4)(layers.Conv2D(8, 3)(x)))),
            [*LAYER_NORM, "RESHAPE"],
            ["CONV_2D", "RESHAPE", "DEQUANTIZE", "QUANTIZE", "CONV_2D"],
        ),
        "first": (
            lambda x: layers.Conv2D(4, 3)(layers.GroupNormalization(-1)(x)),
            LAYER_NORM[:7],  # the rest is part of the convolution
            ["DEQUANTIZE", "QUANTIZE", "CONV_2D"],
        ),
        "last": (
            lambda x: layers.RMSNormalization()(layers.Conv2D(4, 3)(x)),
            ["MUL", "MEAN", "ADD", "RSQRT", "MUL", "MUL"],
            ["CONV_2D", "DEQUANTIZE", "QUANTIZE"],
        ),
        "attention": (
            lambda x: layers.MultiHeadAttention(2, 4)(x, x),
            CORE,
            [*["FULLY_CONNECTED"] * 3, *["RESHAPE", "TRANSPOSE"] * 3, "DEQUANTIZE", "DEQUANTIZE", "DEQUANTIZE",
             "QUANTIZE", "TRANSPOSE", "RESHAPE", "FULLY_CONNECTED"],
        ),
        "causal": (
            lambda x: layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
            [*CORE, "ADD"],
            None,
        ),
        "a jump": (
            lambda x: layers.Conv2D(4, 3)(layers.ReLU(threshold=0.3)(layers.Conv2D(8, 3)(x))),
            ["GREATER", "CAST", "MUL"],
            ["CONV_2D", "DEQUANTIZE", "QUANTIZE", "CONV_2D"],
        ),
    }.values(),
)  # fmt: skip
def test_layers_in_floats(build, floats, whole):
    check(build, floats, whole, (20, 8) if "BATCH_MATMUL" in floats else SIZE)


def test_what_leaves_floats_has_the_scale_of_what_it_is_concatenated_to():
    def build(x):
        parts = [layers.LayerNormalization()(x), layers.Conv2D(8, 1)(x), layers.RMSNormalization()(x)]
        return layers.Conv2D(4, 3)(layers.Concatenate()(parts))

    graph = check(build, [*LAYER_NORM, "MUL", "MEAN", "ADD", "RSQRT", "MUL", "MUL"])
    [joining] = [operator for operator in graph.operators if operator.kind == "CONCATENATION"]
    assert {tensor.quantization for tensor in joining.inputs} == {joining.output.quantization}
    kinds = [operator.kind for operator in graph.operators]
    assert (kinds.count("DEQUANTIZE"), kinds.count("QUANTIZE")) == (1, 2)


DENSE = ["MEAN", "FULLY_CONNECTED"]


@pytest.mark.parametrize(
    ("build", "whole"),
    {
        "behind a dense layer's ReLU": (
            lambda x: layers.Dense(3)(layers.BatchNormalization()(layers.Dense(6, activation="relu")(
                layers.GlobalAveragePooling2D()(x)))),
            [*DENSE, "FULLY_CONNECTED"],
        ),
        "of a vector that is used elsewhere": (
            lambda x: (lambda y: layers.Add()([y, layers.ReLU()(layers.BatchNormalization()(y))]))(
                layers.Dense(6, activation="relu")(layers.GlobalAveragePooling2D()(x))),
            [*DENSE, "RESHAPE", "DEPTHWISE_CONV_2D", "RESHAPE", "ADD"],
        ),
        "of a sequence": (
            lambda x: layers.BatchNormalization()(layers.Reshape((42, 8))(x)),
            ["RESHAPE", "DEPTHWISE_CONV_2D", "RESHAPE"],
        ),
        "behind a pooling": (
            lambda x: layers.Dense(3)(layers.BatchNormalization()(layers.GlobalAveragePooling2D()(
                layers.BatchNormalization()(layers.MaxPooling2D(2)(x))))),
            ["MAX_POOL_2D", "DEPTHWISE_CONV_2D", *DENSE],
        ),
        "at the input": (
            lambda x: layers.Conv2D(4, 3, padding="same")(layers.BatchNormalization()(x)),
            ["DEPTHWISE_CONV_2D", "CONV_2D"],
        ),
        "of rows": (
            lambda x: layers.Conv2D(4, 3)(layers.BatchNormalization(axis=1)(x)),
            ["TRANSPOSE", "RESHAPE", "DEPTHWISE_CONV_2D", "RESHAPE", "TRANSPOSE", "CONV_2D"],
        ),
    }.values(),
)  # fmt: skip
def test_batch_normalization_is_int8_wherever_it_stands(build, whole):
    check(build, (), whole)


def classifier():
    def build(x):
        x = layers.ReLU()(layers.LayerNormalization(name="norm")(layers.Conv2D(12, 3, 2, name="stem")(x)))
        x = layers.Reshape((9, 12))(x)
        x = layers.Add()([x, layers.MultiHeadAttention(2, 6, name="look")(x, x)])
        return layers.Dense(4)(layers.Flatten()(x))

    return model_of(build, (8, 8, 3))


@pytest.mark.tensorflow_only
def test_a_mixed_file_is_compared_part_by_part_and_says_so(tmp_path):
    model, path = classifier(), tmp_path / "mixed.tflite"
    images = np.random.default_rng(3).normal(size=(48, 8, 8, 3)).astype("float32")
    found = to_tflite(model, path, "int8", calibration=images, allow_float=True)

    parts = found.exactness.parts
    assert (parts.images, parts.int8_equal, parts.int8_steps) == (48, 1.0, 0)
    assert parts.float_steps <= 1 and parts.float_equal > 0.99
    assert found.float_closeness.agreement > 0.9
    assert found.correlation > 0.999
    # 9 queries, 9 keys and 2 heads of 6: twice 9 * 9 * 12. The rest by hand: stem, projections, the last layer.
    inside = 2 * 9 * 9 * 12
    assert found.float_parts.share == pytest.approx(inside / (inside + 9 * 27 * 12 + 4 * 9 * 12 * 12 + 108 * 4))
    assert found.float_parts.operators["BATCH_MATMUL"] == 2
    assert found.float_parts.layers == ["norm (LayerNormalization)", "look (MultiHeadAttention)"]
    card = path.with_suffix(".md").read_text()
    assert "| In floats | " in card and "one step is allowed" in card
    assert json.loads(path.with_suffix(".json").read_text())["verification"]["exactness"]["parts"]["int8_steps"] == 0
    assert "int8 parts equal" in str(found) and "of the multiply-accumulates" in str(found)


@pytest.mark.tensorflow_only
def test_a_part_that_departs_is_named(tmp_path, monkeypatch):
    """Planted: the model of the parts in floats has another root than the file's."""
    from keras_lite.litert.integer import floats

    model = classifier()
    images = np.random.default_rng(3).normal(size=(16, 8, 8, 3)).astype("float32")
    calibrated, _ = post_training(model, images, allow_float=True)
    monkeypatch.setitem(floats.KINDS, "RSQRT", lambda operator: lambda x: np.float32(0.9) / np.sqrt(x))
    with pytest.raises(VerificationError, match="steps from float32 in a part in floats > 1, farthest at "):
        to_tflite(calibrated, tmp_path / "mixed.tflite", "int8", samples=images, thresholds=Thresholds())
    assert not list(tmp_path.iterdir())


@pytest.mark.tensorflow_only
def test_every_step_of_the_search_takes_floats():
    model = classifier()
    images = np.random.default_rng(3).normal(size=(64, 8, 8, 3)).astype("float32")
    calibrated, report = post_training(model, images, allow_float=True)
    assert {(each.bias_correction, each.by_effect, each.equalization) for each in report.tried} >= {
        (True, False, False), (False, False, False),
    }  # fmt: skip
    received, expected = IntegerModel(calibrated.graph).predict(images), model.predict(images, verbose=0)
    assert np.corrcoef(received.ravel(), expected.ravel())[0, 1] > 0.999
    with pytest.raises(InputError, match=r"received norm, look in floats; take what"):
        trainable(calibrated)


@pytest.mark.tensorflow_only
def test_without_permission_the_layer_is_named(tmp_path):
    images = np.zeros((4, 8, 8, 3), "float32")
    expected = "layer norm of type LayerNormalization: its mean .*; write BatchNormalization, or give allow_float=True"
    with pytest.raises(InputError, match=expected):
        to_tflite(classifier(), tmp_path / "m.tflite", "int8", calibration=images)
    with pytest.raises(InputError, match="allow_float=True with an int8 file, not stock, received float32"):
        to_tflite(classifier(), tmp_path / "m.tflite", samples=images, allow_float=True)


@pytest.mark.tensorflow_only
def test_a_mixed_file_of_several_outputs(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.LayerNormalization(name="norm")(layers.Conv2D(6, 3, 2)(inputs))
    outputs = {"kind": layers.Dense(4)(layers.Flatten()(x)), "size": layers.RMSNormalization()(layers.Flatten()(x))}
    model = scrambled(keras.Model(inputs, outputs))
    images = np.random.default_rng(3).normal(size=(16, 8, 8, 3)).astype("float32")
    kinds = {"kind": "logits", "size": "regression"}
    found = to_tflite(model, tmp_path / "m.tflite", "int8", calibration=images, output=kinds, allow_float=True)
    assert found.exactness.parts.int8_equal == 1.0
    assert found.exactness.parts.float_steps <= 1
    assert list(found.heads) == list(kinds)
    assert min(each.float_closeness.agreement for each in found.heads.values()) > 0.9
    assert found.float_parts.operators["RSQRT"] == 2
