"""Kernels as TF-MOT fake-quantizes them become the integers that TensorFlow's converter makes of them."""

import numpy as np
import pytest

from keras_lite.litert import QuantizationParameters, quantize_weights
from keras_lite.runtime import litert_worker

pytestmark = pytest.mark.tensorflow_only
tensorflow = pytest.importorskip("tensorflow")

INPUT, OUTPUT = (-1.0, 2.0), (-60.0, 60.0)


def converted(kernel, bias, convolve, channels, folder):
    """Return kernel, scales and bias of the int8 file of one convolution, from TensorFlow's converter."""
    fake = tensorflow.quantization.fake_quant_with_min_max_vars

    @tensorflow.function(autograph=False)
    def answer(images):
        return fake(convolve(fake(images, *INPUT), kernel()) + bias, *OUTPUT)

    concrete = answer.get_concrete_function(tensorflow.TensorSpec((1, 4, 4, channels)))
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([concrete], tensorflow.Module())
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    path = folder / "converted.tflite"
    path.write_bytes(converter.convert())
    found = litert_worker.kernels(litert_worker.open_interpreter(str(path), delegates=False))
    return found["values0"], found["steps0"], found["bias0"]


def check(kernel, integers, bias, axis, scales, expected):
    source = QuantizationParameters.between(*INPUT)
    (values, of_kernel), (biases, _) = quantize_weights(kernel, bias, axis, source, scales)
    # What TensorFlow's operator rounded to, and what its converter reads out of that.
    np.testing.assert_array_equal(values, integers)
    for mine, theirs in zip((values, of_kernel.scales, biases), expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_a_range_for_each_channel(tmp_path):
    rng, channels, outputs = np.random.default_rng(0), 192, 192
    # Channels differ a thousandfold; ranges are narrower and wider than the largest weight, as training leaves them.
    weights = rng.normal(size=(3, 3, channels, outputs)).astype("float32")
    weights *= np.exp(rng.uniform(-3.5, 3.5, outputs)).astype("float32")
    ends = (np.abs(weights).max((0, 1, 2)) * rng.uniform(0.4, 1.3, outputs)).astype("float32")
    bias = rng.normal(size=outputs).astype("float32")

    def kernel():
        fake = tensorflow.quantization.fake_quant_with_min_max_vars_per_channel
        return fake(weights, -ends, ends, narrow_range=True)

    def convolve(images, values):
        return tensorflow.nn.conv2d(images, values, 1, "SAME")

    expected = converted(kernel, bias, convolve, channels, tmp_path)
    values = kernel().numpy().transpose(3, 0, 1, 2)
    scales = ends.astype("float64") / 127
    integers = np.rint(values / scales.reshape(-1, 1, 1, 1))
    assert values.size > 300_000 and (integers.min(), integers.max()) == (-127, 127)
    check(values, integers, bias, 0, scales, expected)


def test_one_range_for_a_depthwise_kernel(tmp_path):
    rng, channels = np.random.default_rng(1), 4096
    weights = (rng.normal(size=(5, 5, channels, 1)) * np.exp(rng.uniform(-2, 2, (channels, 1)))).astype("float32")
    lowest, highest = np.float32(-0.6) * np.abs(weights).max(), np.float32(0.6) * np.abs(weights).max()
    bias = rng.normal(size=channels).astype("float32")

    def kernel():
        return tensorflow.quantization.fake_quant_with_min_max_vars(weights, lowest, highest, narrow_range=True)

    def convolve(images, values):
        return tensorflow.nn.depthwise_conv2d(images, values, (1, 1, 1, 1), "SAME")

    expected = converted(kernel, bias, convolve, channels, tmp_path)
    values = kernel().numpy().reshape(1, 5, 5, channels)
    scale = (np.float64(highest) - np.float64(lowest)) / 254
    assert values.size > 100_000
    check(values, np.rint(values / scale), bias, 3, scale, expected)
