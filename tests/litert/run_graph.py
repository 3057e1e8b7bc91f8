"""Graphs of one operator, and what LiteRT makes of a file."""

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.interpreter import Interpreter

from keras_lite.litert import FloatGraph, Operator, Tensor


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def constant(values, name="constant", dtype=None):
    values = np.asarray(values, dtype)
    return Tensor(name, values.shape, values.astype("int32") if values.dtype == np.int64 else values)


def single(kind, inputs, shape, options=None, dtype="float32", name="small"):
    """Return a graph of one operator; its inputs are the tensors that are no constants."""
    output = Tensor("output", shape, dtype=dtype)
    sources = [tensor for tensor in inputs if not tensor.is_constant]
    return FloatGraph(name, sources, [output], [Operator(kind, inputs, [output], options or {})])


def open_file(content, batch=None):
    interpreter = Interpreter(model_content=content)
    if batch:
        for details in interpreter.get_input_details():
            interpreter.resize_tensor_input(details["index"], [batch, *details["shape"][1:]])
    interpreter.allocate_tensors()
    return interpreter


def run(content, *values, batch=None):
    """Return the outputs of a file for one value an input; that output itself if it has one."""
    interpreter = open_file(content, batch)
    for details, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(details["index"], value)
    interpreter.invoke()
    outputs = [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]
    return outputs[0] if len(outputs) == 1 else outputs


def run_compiled(content, value):
    """Return the outputs that LiteRT's newer interface gives for one value, of whatever batch."""
    compiled = CompiledModel.from_buffer(content)
    compiled.resize_input_tensor(0, value.shape, strict=False)
    [source], buffers = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    source.write(value)
    compiled.run_by_index(0, [source], buffers)
    outputs = []
    for buffer in buffers:
        shape, dtype = (buffer.get_tensor_details()[key] for key in ("shape", "dtype"))
        outputs.append(buffer.read(np.prod(shape), dtype).reshape(shape))
    return outputs
