"""Int8 graphs of one operator, computed in whole numbers and by LiteRT with XNNPACK."""

import numpy as np
from run_graph import open_file

from keras_lite.litert import IntegerModel, Operator, QuantizationParameters, QuantizedGraph, Tensor, write


def int8(name, shape, scale=0.05, zero=3, dtype="int8"):
    return Tensor(name, shape, dtype=dtype, quantization=QuantizationParameters(scale, zero))


def held(values, scale, zero=0, axis=0):
    """Return a constant of integers; several scales belong to indices of an axis."""
    values, scales = np.asarray(values), np.atleast_1d(np.asarray(scale, "float32"))
    return Tensor("held", values.shape, values, quantization=QuantizationParameters(scales, [zero] * len(scales), axis))


def integers(*shape, dtype="int8", seed=0):
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)


def every(dtype="int8"):
    """Return one image of all 256 integers of a type."""
    return np.arange(256, dtype="uint8").view(dtype)[None]


def kernel_and_bias(shape, axis, seed=0, source=0.5):
    """Return a kernel of which scales are powers of two for the most part, so that many sums lie at halves."""
    rng = np.random.default_rng(seed)
    scales = rng.choice(np.float32([2**-5, 2**-6, 0.009, 2**-4]), shape[axis])
    kernel = held(rng.integers(-127, 128, shape).astype("int8"), scales, axis=axis)
    return kernel, held(rng.integers(-3000, 3000, shape[axis]).astype("int32"), scales * np.float32(source))


def graph_of(kind, inputs, outputs, options=None):
    sources = [tensor for tensor in inputs if not tensor.is_constant]
    return QuantizedGraph("one", sources, outputs, [Operator(kind, inputs, outputs, options or {})])


def in_litert(graph, values):
    """Return what LiteRT makes of a graph's file, image by image, and whether XNNPACK computes all of it."""
    interpreter = open_file(write(graph))
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for images in zip(*values, strict=True):
        for details, image in zip(sources, images, strict=True):
            interpreter.set_tensor(details["index"], image.reshape(details["shape"]))
        interpreter.invoke()
        answers.append([interpreter.get_tensor(details["index"]) for details in targets])
    return [np.concatenate(each) for each in zip(*answers, strict=True)]


def check(kind, inputs, outputs, options=None, count=4, values=None):
    """Assert that an operator has LiteRT's integers for random ones, to the last; return them."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    graph = graph_of(kind, inputs, outputs, options)
    if values is None:
        values = [
            integers(count, *tensor.shape[1:], dtype=tensor.dtype, seed=seed)
            for seed, tensor in enumerate(graph.inputs)
        ]
    expected = in_litert(graph, values)
    for mine, theirs in zip(IntegerModel(graph).outputs_of(values, outputs), expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs, f"{kind}, {options}")
    return expected[0]
