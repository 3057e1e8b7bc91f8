"""Fine-tuning block by block without labels, and what rounding of weights or activations alone costs.

Source: Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", ICLR 2021
(arXiv:2102.05426). Here the error of a block's output is not weighted by its gradient, and rounding moves by the
straight-through gradient of kernels.
"""

from collections.abc import Callable

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import ops

from keras_lite.graph import walk
from keras_lite.litert import FloatGraph, Tensor, write
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization import CalibratedGraph
from keras_lite.quantization.aware.keras_native import trainable
from keras_lite.quantization.aware.keras_native.layers import DequantizeOutput, QuantizeInput
from keras_lite.quantization.lower import Int8Form, for_int8, lower
from keras_lite.quantization.observe import float_graph

# A block has so many layers with weights at least, and ends where one tensor alone goes on.
_LEAST_LAYERS = 3
_BATCH = 32


def block_ends(graph: FloatGraph) -> list[Tensor]:
    """Return the tensors at which blocks end, in order; the last one is the output."""
    last_use = {tensor: place for place, each in enumerate(graph.operators) for tensor in each.inputs}
    ends, layers = [], 0
    for place, operator in enumerate(graph.operators):
        layers += operator.kind in CHANNEL_AXES
        made = [*graph.inputs, *(each.output for each in graph.operators[: place + 1])]
        going_on = [tensor for tensor in made if last_use.get(tensor, -1) > place]
        if going_on == [operator.output] and layers >= _LEAST_LAYERS:
            ends.append(operator.output)
            layers = 0
    return [*ends, graph.outputs[0]]


def run_floats(form: Int8Form, tensors: list[Tensor], images: np.ndarray) -> list[np.ndarray]:
    """Return what a graph of floats gives at some tensors to preprocessed images."""
    interpreter = Interpreter(model_content=write(float_graph(form, tensors), batch=_BATCH), num_threads=2)
    interpreter.allocate_tensors()
    [source] = interpreter.get_input_details()
    found: list[list[np.ndarray]] = [[] for _ in tensors]
    for at in range(0, len(images), _BATCH):
        part = images[at : at + _BATCH]
        padded = np.concatenate([part, np.zeros((_BATCH - len(part), *part.shape[1:]), "float32")])
        interpreter.set_tensor(source["index"], padded)
        interpreter.invoke()
        for into, target in zip(found, interpreter.get_output_details(), strict=True):
            into.append(interpreter.get_tensor(target["index"])[: len(part)])
    return [np.concatenate(each) for each in found]


def train_blocks(
    aware: keras.Model,
    model: keras.Model,
    images: np.ndarray,
    fit: Callable[[keras.Model, np.ndarray, np.ndarray], None],
) -> None:
    """Train each block of a quantized model in turn to give what the float model gives there.

    A block takes what the blocks before it give, which are trained already.

    Args:
        aware: What `trainable` returned, of a graph whose channels are not equalized.
        model: The float model.
        images: Preprocessed images.
        fit: Trains a block: takes it, what goes in, and what shall come out.
    """
    form = for_int8(lower(model))
    ends = block_ends(form.graph)
    wanted = dict(zip((each.name for each in ends), run_floats(form, ends, images), strict=True))
    known, values = keras.Input(aware.inputs[0].shape[1:]), images
    made = {id(aware.inputs[0]): known}
    for layer, taken, given in walk(aware):
        if isinstance(layer, DequantizeOutput):
            continue
        arguments = [made[id(each)] for each in taken]
        if isinstance(layer, QuantizeInput):
            [arguments] = arguments
        else:  # steps, scale and zero point of each
            arguments = [arguments[at : at + 3] for at in range(0, len(arguments), 3)]
        outputs = layer(arguments)
        made |= {id(each): output for each, output in zip(given, outputs, strict=True)}
        if layer.tensor in wanted:
            block = keras.Model(known, outputs[0] * outputs[1])
            fit(block, values, wanted[layer.tensor])
            scheme = keras.Model(known, outputs[1:])(values[:1])
            values = keras.Model(known, outputs[0]).predict(values, batch_size=_BATCH, verbose=0)
            known = keras.Input(values.shape[1:])
            made |= {id(each): new for each, new in zip(given, (known, *scheme), strict=True)}


def weights_alone(calibrated: CalibratedGraph, images: np.ndarray) -> np.ndarray:
    """Return the answers with the kernels of an int8 graph and activations that are not rounded."""
    whole = {operator.name: operator for operator in calibrated.graph.operators}
    rounded = {}
    for operator in calibrated.form.graph.operators:
        if operator.kind in CHANNEL_AXES:
            kernel = whole[operator.name].kernel
            sizes = [1] * kernel.data.ndim
            sizes[CHANNEL_AXES[operator.kind]] = -1
            values = kernel.data.astype("float32") * np.reshape(kernel.quantization.scales, sizes)
            rounded[operator.kernel] = Tensor(operator.kernel.name, values.shape, values)
    form = calibrated.form.with_constants(rounded)
    return run_floats(form, form.graph.outputs, images)[0]


def activations_alone(calibrated: CalibratedGraph, model: keras.Model) -> keras.Model:
    """Return a model with an int8 graph's activations, and the float model's kernels and biases."""
    aware = trainable(calibrated)
    exact = {operator.name: operator for operator in for_int8(lower(model)).graph.operators}
    for layer in aware.layers:
        if hasattr(layer, "kernel_shape"):
            operator = exact[layer.tensor]
            layer.take(operator.kernel.data, operator.bias.data, ops.convert_to_numpy(layer.kernel_scale))
            layer.whole_weights = _unrounded(layer)
    return aware


def _unrounded(layer: keras.layers.Layer) -> Callable:
    def weights(source_scale):
        scales = ops.convert_to_tensor(layer.kernel_scale)
        of_kernel = ops.reshape(scales, (-1, layer.kernel_shape[3]) if "DEPTHWISE" in layer.kind else (-1,))
        return layer.kernel / of_kernel, layer.bias / (source_scale * scales), scales

    return weights
