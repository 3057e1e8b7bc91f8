"""float16 and dynamic files: what their constants are, and how close they come."""

import keras
import numpy as np
import pytest
from run_graph import constant, normal, open_file, run, single

from keras_lite.export import conversion
from keras_lite.litert import (
    FloatGraph,
    Operator,
    Tensor,
    quantize_kernel,
    with_float16_weights,
    with_int8_weights,
    write,
)
from keras_lite.runtime.litert_worker import delegation

pytestmark = pytest.mark.tensorflow_only

ONE_PARTITION = {"partitions": 1, "not_delegated": []}
SAME = {"padding": "SAME", "stride_w": 1, "stride_h": 1}


def network():
    """Return a convolution, a depthwise one and a dense layer, of 1,024 weights and more each."""
    source = Tensor("x", (1, 6, 6, 48))
    first, second = Tensor("conv", (1, 6, 6, 64)), Tensor("depthwise", (1, 6, 6, 64))
    pooled, logits = Tensor("pool", (1, 64)), Tensor("head", (1, 20))
    operators = [
        Operator("CONV_2D", [source, constant(normal(64, 1, 1, 48)), constant(normal(64))], [first], SAME),
        Operator(
            "DEPTHWISE_CONV_2D",
            [first, constant(normal(1, 5, 5, 64)), constant(normal(64))],
            [second],
            {**SAME, "depth_multiplier": 1},
        ),
        Operator("MEAN", [second, constant([1, 2])], [pooled], {"keep_dims": False}),
        Operator("FULLY_CONNECTED", [pooled, constant(normal(20, 64)), constant(normal(20))], [logits]),
    ]
    return FloatGraph("network", [source], [logits], operators)


def types(graph):
    return sorted(f"{tensor.dtype}{list(tensor.shape)}" for tensor in graph.constants)


def test_float16():
    graph = network()
    assert types(with_float16_weights(graph)) == [
        "float16[1, 5, 5, 64]", "float16[20, 64]", "float16[64, 1, 1, 48]", "float16[64]", "float16[64]", "float32[20]",
        "int32[2]",
    ]  # fmt: skip

    content = write(graph, "float16")
    assert delegation(open_file(content)) == ONE_PARTITION
    assert len(content) < 0.6 * len(write(graph))
    # Processors that multiply in float16 may, as with TensorFlow's float16 files; no other file says so.
    assert b"fp16accfp32" in content
    assert b"fp16accfp32" not in write(graph)
    images = normal(1, 6, 6, 48, seed=7)
    # The same weights, rounded, in a float32 file.
    for tensor in graph.constants:
        if tensor.dtype == "float32" and tensor.size >= 64:
            tensor.data = tensor.data.astype("float16").astype("float32")
    np.testing.assert_allclose(run(content, images), run(write(graph), images), rtol=1e-5, atol=1e-5)


def test_what_float16_cannot_hold_stays_float32():
    kernel = constant(np.full((2, 64), 70000.0, "float32"))
    graph = single("FULLY_CONNECTED", [Tensor("x", (1, 64)), kernel], (1, 2))
    assert with_float16_weights(graph).constants == [kernel]
    np.testing.assert_allclose(run(write(graph, "float16"), np.ones((1, 64), "float32")), np.full((1, 2), 64 * 7e4))


def test_a_constant_of_several_operators_is_widened_once():
    kernel, first, second, third = constant(normal(8, 8)), *(Tensor(name, (1, 8)) for name in "abc")
    operators = [
        Operator("FULLY_CONNECTED", [first, kernel], [second]),
        Operator("FULLY_CONNECTED", [second, kernel], [third]),
    ]
    kinds = [each.kind for each in with_float16_weights(FloatGraph("twice", [first], [third], operators)).operators]
    assert kinds == ["DEQUANTIZE", "FULLY_CONNECTED", "FULLY_CONNECTED"]


def test_dynamic():
    graph = network()
    assert types(with_int8_weights(graph)) == [
        "float32[20]", "float32[64]", "float32[64]", "int32[2]", "int8[1, 5, 5, 64]", "int8[20, 64]",
        "int8[64, 1, 1, 48]",
    ]  # fmt: skip

    content = write(graph, "dynamic")
    # TensorFlow's converter writes depthwise convolutions that XNNPACK leaves out.
    assert delegation(open_file(content)) == ONE_PARTITION
    assert len(content) < 0.4 * len(write(graph))
    images = normal(1, 6, 6, 48, seed=7)
    expected = run(write(graph), images)
    assert np.abs(run(content, images) - expected).max() < 0.03 * np.abs(expected).max()


def test_depthwise_and_transposed_convolutions_round_no_input():
    for kind, shape, axis in (("DEPTHWISE_CONV_2D", (1, 5, 5, 64), 3), ("TRANSPOSE_CONV", (8, 3, 3, 64), 0)):
        kernel, source = constant(normal(*shape)), Tensor("x", (1, 4, 4, 64))
        options = {**SAME, "depth_multiplier": 1} if axis == 3 else SAME
        output = (1, 4, 4, shape[axis])
        inputs = [source, kernel, constant(normal(64))] if axis == 3 else [constant(list(output)), kernel, source]
        content = write(single(kind, inputs, output, options), "dynamic")

        narrow, parameters = quantize_kernel(kernel.data, axis, exact=True)
        kernel.data = narrow * parameters.scales.reshape([-1 if each == axis else 1 for each in range(4)])
        expected = run(write(single(kind, inputs, output, options)), normal(1, 4, 4, 64, seed=5))
        np.testing.assert_allclose(run(content, normal(1, 4, 4, 64, seed=5)), expected, rtol=1e-5, atol=1e-5)


def test_matrices_that_are_constants():
    matrix, source = normal(1, 32, 48), normal(1, 5, 32)
    content = write(single("BATCH_MATMUL", [Tensor("x", (1, 5, 32)), constant(matrix)], (1, 5, 48)), "dynamic")
    assert delegation(open_file(content)) == ONE_PARTITION
    largest = np.abs(matrix).max(1, keepdims=True)
    rounded = np.round(matrix / largest * 127) * largest / 127
    np.testing.assert_allclose(run(content, source), source @ rounded, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["dynamic", "int8"])
def test_kernels_are_those_of_tensorflows_converter(precision):
    model = keras.Sequential([keras.Input((7, 7, 40)), keras.layers.Conv2D(33, 3), keras.layers.Conv2D(40, 1)])
    rng = np.random.default_rng(0)
    kernels = []
    for layer in model.layers:
        # Weights next to halves of steps: both kinds of files round these, each in its own way.
        largest = rng.uniform(0.05, 0.2, (layer.filters, 1, 1, 1)).astype("float32")
        steps = rng.integers(-127, 127, (layer.filters, *layer.kernel.shape[:-1])) + 0.5
        values = (steps * largest / 127).astype("float32")
        values = np.nextafter(values, rng.choice([-1, 1], values.shape), dtype="float32")
        values[:, 0, 0, 0] = largest[:, 0, 0, 0]
        layer.kernel.assign(np.moveaxis(values, 0, -1))
        kernels.append(values)
    content = conversion.convert(model, precision, None if precision == "dynamic" else normal(2, 7, 7, 40))

    for values in kernels:
        integers, parameters = quantize_kernel(values, 0, exact=precision == "dynamic")
        assert integers.tobytes() in content
        assert parameters.scales.tobytes() in content
