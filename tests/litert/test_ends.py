"""Int8 graphs behind ends of another type answer as they do without."""

import numpy as np
import pytest
from run_graph import constant, normal, open_file, run, run_compiled

from keras_lite.errors import InputError
from keras_lite.litert import (
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    quantize_bias,
    quantize_kernel,
    with_ends,
    write,
)
from keras_lite.runtime.litert_worker import delegation

pytestmark = pytest.mark.tensorflow_only

SOURCE, TARGET = QuantizationParameters(0.04, 11), QuantizationParameters(0.1, -20)
PHOTO = np.random.default_rng(0).integers(-128, 128, (1, 8, 6, 4), "int8")


def int8(name, shape, quantization):
    return Tensor(name, shape, dtype="int8", quantization=quantization)


def network():
    """Return a convolution and a mean; both are answers."""
    kernel, steps = quantize_kernel(normal(5, 3, 3, 4), 0)
    bias, bias_steps = quantize_bias(normal(5, seed=1), SOURCE, steps)
    photos, features = int8("photos", (1, 8, 6, 4), SOURCE), int8("features", (1, 8, 6, 5), TARGET)
    pooled = int8("pooled", (1, 5), TARGET)
    weights = [Tensor("kernel", kernel.shape, kernel, quantization=steps)]
    weights.append(Tensor("bias", bias.shape, bias, quantization=bias_steps))
    options = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "RELU"}
    operators = [
        Operator("CONV_2D", [photos, *weights], [features], options),
        Operator("MEAN", [features, constant([1, 2])], [pooled], {"keep_dims": False}),
    ]
    return QuantizedGraph("net", [photos], [features, pooled], operators)


def test_uint8_ends_are_the_int8_numbers_plus_128():
    graph = network()
    content = write(with_ends(graph, "uint8"))
    pixels = (PHOTO.astype("int16") + 128).astype("uint8")
    for received, expected in zip(run(content, pixels), run(write(graph), PHOTO), strict=True):
        assert received.dtype == "uint8"
        np.testing.assert_array_equal(received.astype(int) - 128, expected)

    interpreter = open_file(content)
    assert interpreter.get_input_details()[0]["quantization"] == (pytest.approx(0.04), 139)
    # What is between the ends stays one part.
    assert delegation(interpreter) == {"partitions": 1, "not_delegated": ["QUANTIZE"] * 3}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("ends", ["int8", "uint8", "float32"])
def test_compiled_models_answer_as_interpreters(ends, batch):
    content = write(network() if ends == "int8" else with_ends(network(), ends))
    images = np.random.default_rng(1).integers(0, 128, (batch, 8, 6, 4)).astype(ends)
    for received, expected in zip(run_compiled(content, images), run(content, images, batch=batch), strict=True):
        assert received.dtype == ends
        np.testing.assert_array_equal(received, expected)


def test_float32_ends_are_what_the_int8_numbers_stand_for():
    graph = network()
    content = write(with_ends(graph, "float32"))
    values = (PHOTO.astype("float32") - SOURCE.zero_point) * SOURCE.scale
    # Between two numbers, too, the nearest is taken.
    for images in (values, values + 0.4 * SOURCE.scale, values - 0.4 * SOURCE.scale):
        for received, expected in zip(run(content, images), run(write(graph), PHOTO), strict=True):
            np.testing.assert_array_equal(received, (expected.astype("float32") - TARGET.zero_point) * TARGET.scale)
    assert delegation(open_file(content)) == {"partitions": 1, "not_delegated": []}


@pytest.mark.parametrize("ends", ["int8", "uint8", "float32"])
def test_ends_keep_their_names(ends):
    graph = with_ends(network(), ends)
    assert [tensor.dtype for tensor in [*graph.inputs, *graph.outputs]] == [ends] * 3
    signature = open_file(write(graph)).get_signature_list()["serving_default"]
    assert signature == {"inputs": ["photos"], "outputs": ["features", "pooled"]}
    inner = {tensor.name for operator in graph.operators for tensor in operator.outputs}
    assert ends == "int8" or {"photos_int8", "features_int8", "pooled_int8"} < inner


def test_the_graph_itself_stays_as_it_was():
    graph = network()
    before = write(graph)
    with_ends(graph, "uint8")
    assert write(graph) == before
    assert with_ends(graph, "int8") is graph


def test_a_batch():
    content = write(with_ends(network(), "float32"), batch=None)
    images = np.concatenate([normal(1, 8, 6, 4, seed=seed) for seed in range(3)])
    alone = [run(content, image[None])[1] for image in images]
    np.testing.assert_array_equal(run(content, images, batch=3)[1], np.concatenate(alone))


def test_an_output_of_other_integers_stays():
    scores, best = int8("scores", (1, 5), TARGET), Tensor("best", (1,), dtype="int32")
    find = Operator("ARG_MAX", [scores, constant(np.int32(1))], [best], {"output_type": "INT32"})
    graph = with_ends(QuantizedGraph("best", [scores], [best], [find]), "uint8")
    assert run(write(graph), np.array([[3, 7, 200, 199, 0]], "uint8")).tolist() == [2]


def test_what_is_no_end():
    with pytest.raises(InputError, match="int8, uint8, float32, received 'int16'"):
        with_ends(network(), "int16")
    with pytest.raises(InputError, match="int8 ends, received uint8 for photos"):
        with_ends(with_ends(network(), "uint8"), "float32")
