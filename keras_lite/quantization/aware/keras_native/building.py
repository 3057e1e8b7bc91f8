"""From a float graph and its ranges to a trainable model, and from that to the int8 graph."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_lite.errors import InputError, some
from keras_lite.graph import walk
from keras_lite.litert import Operator, QuantizationParameters, QuantizedGraph, Tensor
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.aware.keras_native.computations import COMPUTATIONS
from keras_lite.quantization.aware.keras_native.layers import (
    SCALES,
    DequantizeOutput,
    Int8Convolution,
    Int8Operator,
    QuantizeInput,
    kernel_shape,
)
from keras_lite.quantization.aware.keras_native.rounding import CUTS
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.quantized_graph import HANDING_ON, OWN_PARAMETERS

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def trainable(calibrated: CalibratedGraph, scales: str = "kept") -> keras.Model:
    """Return a Keras model that computes what the int8 file computes, and is trained like any other.

    One layer stands for each operator. Kernels and biases are float weights, rounded in each forward pass as in the
    file; gradients go straight through, and are zero where a number was cut off. Batch normalization is part of the
    kernels and biases already, with its statistics frozen. All is computed on whole numbers (steps from zero), whose
    sums float32 holds exactly, so that convolutions, dense layers, sums, products and means equal the file's to the
    bit; softmax, matrix products, bilinear resizing, sigmoid, tanh and GELU are within a step of it.

    Args:
        calibrated: What `keras_lite.quantization.post_training` returned; until it is trained, the model computes the
            same.
        scales: `"kept"`: those of kernels and of what operators make stay as they are. `"estimated"`: those of kernels
            follow their largest numbers at each step; then kernels that were rounded by their effect are rounded anew.
            `"learned"`: both are trained, with the gradients of Esser et al., "Learned Step Size Quantization",
            ICLR 2020 (arXiv:1902.08153). Zero points stay, and so does what has one scale for a reason: the input,
            what is concatenated, sigmoids, ends that cut off.

    Raises:
        InputError: If an operator can't be trained, or has no range, or a layer stays in floats; the message names it.

    Example:

    ```python
    calibrated, _ = post_training(model, images)
    aware = trainable(calibrated)
    aware.compile(keras.optimizers.Adam(5e-6), keras.losses.MeanSquaredError())
    aware.fit(images, model.predict(images))
    to_tflite(read_trained(aware), "model.tflite", "int8", samples=images, reference=model)
    ```
    """
    if scales not in SCALES:
        raise InputError(f"Expected scales to be one of {SCALES}, received {scales!r}.")
    form = calibrated.form
    if form.floats:
        layers = [(each.layer or [each.name])[0] for each in form.graph.operators if each.output in form.floats]
        raise InputError(
            f"Expected int8 operators alone to train, received {some(list(dict.fromkeys(layers)))} in floats; take "
            "what post_training gives as it is, or write layers that have int8 operators."
        )
    graph = calibrated.graph
    staying = _staying(graph) | {tensor.name for tensor in form.fixed}
    names = _Names()
    made: dict[Tensor, Any] = {}
    inputs = []
    for tensor in graph.inputs:
        inputs.append(keras.Input(tensor.shape[1:], name=names.legal(tensor.name)))
        layer = QuantizeInput(tensor.name, tensor.shape[1:], name=names.legal(f"{tensor.name}_int8"))
        made[tensor] = layer(inputs[-1])
        _set_scheme(layer, tensor.quantization)
    floats = iter(form.graph.operators)
    for operator in graph.operators:
        _check(operator)
        origin = operator if operator.kind == "QUANTIZE" else next(floats)
        training = {"scales": scales, "stays": operator.output.name in staying}
        layer = _layer(operator, name=names.legal(operator.name), **training)
        made[operator.output] = layer([made[each] for each in operator.inputs if not each.is_constant])
        _set_weights(layer, operator, origin)
    outputs = [
        DequantizeOutput(name=names.legal(f"{each.name}_float"), dtype="float32")(made[each]) for each in graph.outputs
    ]
    inputs, outputs = (each if len(each) > 1 else each[0] for each in (inputs, outputs))
    return keras.Model(inputs, outputs, name=names.legal(graph.name or "model"))


def _staying(graph: QuantizedGraph) -> set[str]:
    """Return the names of what must have the scale of something else."""
    staying: set[Tensor] = set()
    for operator in reversed(graph.operators):
        if operator.kind in ("CONCATENATION", "QUANTIZE", *OWN_PARAMETERS):
            staying.add(operator.output)
        if operator.kind == "CONCATENATION" or (operator.kind in HANDING_ON and operator.output in staying):
            staying.update(operator.inputs)
    return {tensor.name for tensor in staying}


class _Names:
    """Names that Keras takes, each once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def legal(self, name: str) -> str:
        plain = candidate = name.replace("/", "_")
        number = 0
        while candidate in self._used:
            number += 1
            candidate = f"{plain}_{number}"
        self._used.add(candidate)
        return candidate


def _check(operator: Operator) -> None:
    name, kind = operator.name, operator.kind
    if kind not in (*COMPUTATIONS, *_WEIGHTED):
        layer, its = operator.layer or (name, kind)
        raise InputError(
            f"Expected layers that can be trained in int8, received layer {layer} of type {its}: its operator {kind} "
            "has no trainable form; quantize it by post_training alone, or write another layer."
        )
    activation = operator.options.get("fused_activation_function", "NONE")
    if activation not in CUTS:
        raise InputError(f"Expected {name} with one of the activations {', '.join(CUTS)}, received {activation}.")
    for tensor in (*operator.outputs, *(each for each in operator.inputs if not each.is_constant)):
        if tensor.shape[:1] != (1,):
            raise InputError(f"Expected the batch as first axis of {tensor.name} in {name}, received {tensor.shape}.")
    numbers = [each for each in operator.inputs if each.is_constant and each.dtype != "int32"]
    if kind not in _WEIGHTED and len(numbers) > (kind in ("ADD", "BATCH_MATMUL", "MUL", "SUB")):
        raise InputError(f"Expected {name} ({kind}) of what the model computes, received the constant {numbers[0]}.")
    if kind == "CONCATENATION" and operator.options["axis"] % len(operator.output.shape) == 0:
        raise InputError(f"Expected {name} along another axis than that of the batch, received axis 0.")


def _layer(operator: Operator, **common: Any) -> Int8Convolution | Int8Operator:
    kind, output = operator.kind, operator.output
    options = {key: value.item() if isinstance(value, np.generic) else value for key, value in operator.options.items()}
    if kind in _WEIGHTED:
        source, kernel, bias = operator.source, operator.kernel, operator.bias
        shape = kernel_shape(kind, kernel.shape, source.shape[-1])
        return Int8Convolution(kind, output.name, output.shape[1:], options, shape, (kernel.name, bias.name), **common)
    arguments = [_argument(each) for each in operator.inputs]
    return Int8Operator(kind, output.name, output.shape[1:], options, arguments, **common)


def _argument(tensor: Tensor) -> dict[str, Any] | None:
    if not tensor.is_constant:
        return None
    if tensor.dtype == "int32":
        return {"name": tensor.name, "values": tensor.data.tolist()}
    return {"name": tensor.name, "shape": list(tensor.shape)}


def _set_scheme(layer: QuantizeInput | Int8Convolution | Int8Operator, quantization: QuantizationParameters) -> None:
    layer.scale.assign(quantization.scale)
    layer.zero_point.assign(float(quantization.zero_point))


def _set_weights(layer: Int8Convolution | Int8Operator, operator: Operator, origin: Operator) -> None:
    if operator.kind not in HANDING_ON:
        _set_scheme(layer, operator.output.quantization)
    if operator.kind in _WEIGHTED:
        _take_weights(layer, operator, origin)
    elif layer.number_place is not None:
        number = operator.inputs[layer.number_place]
        layer.number.assign(number.data.astype("float32") - number.quantization.zero_point)
        layer.number_scale.assign(number.quantization.scale)
        layer.number_zero_point.assign(float(number.quantization.zero_point))


def _take_weights(layer: Int8Convolution, operator: Operator, origin: Operator) -> None:
    source, kernel, bias = operator.source, operator.kernel, operator.bias
    layer.take(origin.kernel.data, origin.bias.data, kernel.quantization.scales)
    if layer.kernel_scale is not None:
        # Next to halves the file's bias, divided in double precision, may be another: then from that.
        found = layer.in_file(source.quantization.scale)[1]
        exact = (bias.data * bias.quantization.exact_scales).astype("float32")
        layer.bias.assign(np.where(found == bias.data, origin.bias.data, exact))


def is_trainable(model: Any) -> bool:
    """Whether `model` is one that `trainable` made."""
    return isinstance(model, keras.Model) and any(
        isinstance(layer, QuantizeInput) for layer in getattr(model, "layers", [])
    )


def read_trained(model: keras.Model) -> QuantizedGraph:
    """Return the int8 graph that a model from `trainable` computes now.

    Args:
        model: The model, trained or not, or loaded from its file.

    Raises:
        InputError: If it has other layers than those that `trainable` makes.

    Example:

    ```python
    content = keras_lite.litert.write(read_trained(aware))
    ```
    """
    made: dict[int, Tensor] = {}
    inputs: dict[int, Tensor] = {}
    operators: list[Operator] = []
    outputs: dict[int, Tensor] = {}
    for layer, taken, given in walk(model):
        sources = [made[id(each)] for each in taken if id(each) in made]
        if isinstance(layer, QuantizeInput):
            inputs[id(taken[0])] = made[id(given[0])] = _int8(layer, _scheme(layer))
        elif isinstance(layer, DequantizeOutput):
            outputs[id(given[0])] = sources[0]
        elif isinstance(layer, Int8Convolution | Int8Operator):
            operators.append(_read_operator(layer, sources))
            made[id(given[0])] = operators[-1].output
        else:
            received = f"received {layer.name} ({type(layer).__name__})"
            raise InputError(f"Expected layers that `trainable` made, {received}; give the model that it returned.")
    return QuantizedGraph(
        model.name,
        [inputs[id(each)] for each in model.inputs],
        [outputs[id(each)] for each in model.outputs],
        operators,
    )


def _read_operator(layer: Int8Convolution | Int8Operator, sources: list[Tensor]) -> Operator:
    quantization = sources[0].quantization if layer.kind in HANDING_ON else _scheme(layer)
    output = _int8(layer, quantization)
    if isinstance(layer, Int8Convolution):
        shape = np.array([1, *layer.shape], "int32")
        # Where the kind takes the output's shape, that comes first.
        made = Operator(
            layer.kind, [Tensor(f"{layer.tensor}/shape", shape.shape, shape)], [output], dict(layer.options)
        )
        made.inputs = made.weighted_inputs(*sources, *_read_weights(layer, *sources))
        return made
    sources = iter(sources)
    inputs = [next(sources) if each is None else _read_constant(layer, each) for each in layer.arguments]
    return Operator(layer.kind, inputs, [output], dict(layer.options))


def _read_weights(layer: Int8Convolution, source: Tensor) -> list[Tensor]:
    kernel, bias, scales = layer.in_file(source.quantization.scale)
    zeros = np.zeros(len(scales))
    of_kernel = QuantizationParameters(scales, zeros, CHANNEL_AXES[layer.kind])
    of_bias = QuantizationParameters(source.quantization.exact_scales * of_kernel.exact_scales, zeros)
    name, bias_name = layer.names
    return [
        Tensor(name, kernel.shape, kernel, quantization=of_kernel),
        Tensor(bias_name, bias.shape, bias, quantization=of_bias),
    ]


def _read_constant(layer: Int8Operator, argument: dict[str, Any]) -> Tensor:
    if "values" in argument:
        values = np.asarray(argument["values"], "int32")
        return Tensor(argument["name"], values.shape, values)
    scale, zero_point = _number(layer.number_scale), int(_number(layer.number_zero_point))
    integers = (ops.convert_to_numpy(layer.number) + zero_point).astype("int8")
    return Tensor(argument["name"], integers.shape, integers, quantization=QuantizationParameters(scale, zero_point))


def _int8(layer: Any, quantization: QuantizationParameters) -> Tensor:
    return Tensor(layer.tensor, (1, *layer.shape), dtype="int8", quantization=quantization)


def _scheme(layer: Any) -> QuantizationParameters:
    scale, zero_point = (ops.convert_to_numpy(each) for each in layer.scheme())
    return QuantizationParameters(np.float32(scale), int(zero_point))


def _number(variable: Any) -> np.float32:
    return np.float32(ops.convert_to_numpy(variable))
