"""A model's float file and int8 file in LiteRT, beside the model and the int8 graph computed in whole numbers."""

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_lite.litert import IntegerModel, write
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import float_graph, opened
from keras_lite.quantization.quantized_graph import needs_range, quantize
from keras_lite.runtime.litert_worker import delegation, predict


def images_of(model, count=6):
    shape = model.inputs[0].shape[1:]
    return np.random.default_rng(0).normal(0.0, 2.0, (count, *shape)).astype("float32")


def in_litert(graph, images):
    """Return what a file of floats answers: a list if it has several outputs."""
    model = Interpreter(model_content=write(graph))
    model.allocate_tensors()
    [source] = model.get_input_details()
    places = [each["index"] for each in model.get_output_details()]
    rows = []
    for image in images:
        model.set_tensor(source["index"], image[None])
        model.invoke()
        rows.append([model.get_tensor(place)[0] for place in places])
    return [np.stack(each) for each in zip(*rows, strict=True)]


def int8_form_and_ranges(model, images):
    """Return the form of a model in int8 and the ranges that some images give."""
    form = for_int8(lower(model))
    tensors = needs_range(form)
    seen = in_litert(float_graph(form, tensors), images) if tensors else []
    ranges = {
        tensor: opened(min(float(each.min()), 0.0), max(float(each.max()), 0.0))
        for tensor, each in zip(tensors, seen, strict=True)
    }
    [image] = form.graph.inputs
    ranges[image] = (min(float(images.min()), 0.0), max(float(images.max()), 0.0))
    return form, {**ranges, **form.fixed}


def check_float(model, kinds=None, tolerance=1e-5):
    """Compare the float file with the model; return its graph."""
    images = images_of(model)
    graph = lower(model)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    [found] = in_litert(graph, images)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))
    if kinds is not None:
        assert [operator.kind for operator in graph.operators] == kinds
    return graph


def check_int8(model, kinds=None, outside=(), steps=6):
    """Compare the int8 file with the model within some steps, and with whole numbers to the bit; return its graph."""
    images = images_of(model)
    graph = quantize(*int8_form_and_ranges(model, images))
    opened_file = Interpreter(model_content=write(graph))
    opened_file.allocate_tensors()
    found = predict(opened_file, images)
    np.testing.assert_array_equal(IntegerModel(graph).predict(images), found)
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    assert np.abs(found - expected).max() <= steps * graph.outputs[0].quantization.scale
    if kinds is not None:
        assert [operator.kind for operator in graph.operators] == kinds
    assert delegation(opened_file)["not_delegated"] == list(outside)
    return graph
