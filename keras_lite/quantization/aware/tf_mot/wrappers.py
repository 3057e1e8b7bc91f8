"""What the layers of a quantized model say of int8: which of them are one operator, its range, kernel and bias."""

from typing import Any

import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.graph.view import is_relu
from keras_lite.litert import QuantizationParameters
from keras_lite.litert.scheme import HIGHEST

# Layers that hand on numbers of their input as they are.
HANDING_ON = (
    "ChannelRange",
    "Cropping2D",
    "Flatten",
    "GlobalMaxPooling2D",
    "MaxPooling2D",
    "Permute",
    "Reshape",
    "ZeroPadding2D",
)


def name_of(wrapper: Any) -> str:
    """Return a layer's name, without what TF-MOT puts before it."""
    return getattr(wrapper, "layer", wrapper).name


def kind_of(wrapper: Any) -> str:
    """Return the type of the layer that a wrapper wraps, by name."""
    return type(getattr(wrapper, "layer", wrapper)).__name__


def maker_of(tensor: Any) -> Any:
    """Return the layer that makes a tensor."""
    return tensor._keras_history.layer


def chain_of(wrapper: Any) -> list[Any]:
    """Return a layer and those behind it that an int8 file computes in the same operator; the last of them rounds."""
    chain = [wrapper]
    while range_of(chain[-1]) is None and kind_of(wrapper) not in HANDING_ON:
        user = _only_user(chain[-1])
        layer = getattr(user, "layer", None)
        if not is_relu(layer) and type(layer).__name__ != "BatchNormalization":
            break
        chain.append(user)
    return chain


def target_of(chain: list[Any]) -> QuantizationParameters:
    """Return what the output of an operator is rounded to.

    Raises:
        InputError: If its layers have no range.
    """
    last = chain[-1]
    own = range_of(last)
    if own is not None and _is_fixed(chain):
        return own
    target = _range_ahead(last) or own  # TF-MOT may round twice, the file rounds once
    if target is None:
        raise InputError(f"Expected a range for the output of each operator, received none of {name_of(last)}.")
    return target


def _is_fixed(chain: list[Any]) -> bool:
    """Whether the range of an operator is given: it knows no other, or cuts off by it."""
    last = chain[-1]
    if not any(type(quantizer).__name__ == "FixedRange" for quantizer in getattr(last, "_output_quantizers", [])):
        return False
    user = _only_user(last)
    # What is resized is cut off no later.
    return kind_of(chain[0]) in ("Activation", "Softmax") or user is None or kind_of(user) != "UpSampling2D"


def range_of(wrapper: Any) -> QuantizationParameters | None:
    """Return what a layer itself rounds its output to; None if it does not."""
    if type(wrapper).__name__ == "QuantizeLayer":
        return _between(wrapper.quantizer_vars)
    if getattr(wrapper, "_output_quantizers", []):
        [quantizer] = wrapper._output_quantizers
        if type(quantizer).__name__ == "FixedRange":
            return QuantizationParameters.between(quantizer.lowest, quantizer.highest)
        return _between(wrapper._output_quantizer_vars)
    for activation in getattr(wrapper, "_quantize_activations", []):
        if hasattr(activation, "_post_activation_vars"):
            return _between(activation._post_activation_vars)
    return None


def concatenated_range(wrapper: Any) -> QuantizationParameters | None:
    """Return the range of the first concatenation among the users of a layer; None if there is no such user."""
    users = [node.layer for node in wrapper._outbound_nodes]
    concatenations = [user for user in users if kind_of(user) == "PlainConcatenate"]
    return range_of(concatenations[0]) if concatenations else None


def fused_activation(chain: list[Any]) -> str:
    """Return the activation that an operator computes along, as TFLite names it."""
    lowest = highest = None
    for wrapper in chain:
        layer = getattr(wrapper, "layer", wrapper)
        activations = [activation.activation for activation in getattr(wrapper, "_quantize_activations", [])]
        if is_relu(layer) or any(getattr(activation, "__name__", "") == "relu" for activation in activations):
            lowest = 0.0
        if is_relu(layer) and getattr(layer, "max_value", None) is not None:
            highest = float(layer.max_value)
    if highest not in (None, 6.0):
        raise InputError(f"Expected ReLU and ReLU6 in operators, received {name_of(chain[-1])} up to {highest:g}.")
    return {None: "NONE" if lowest is None else "RELU", 6.0: "RELU6"}[highest]


def kernel_and_bias(chain: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return what a convolution or dense layer multiplies by and adds, with batch normalization behind it folded in.

    All of it to the last bit as TensorFlow's converter computes it: in float32, in this order.

    Returns:
        The kernel, with the axes that Keras gives it (of a depthwise convolution with channels and multiplier as one);
        the bias; the scales that the kernel is rounded to, one for each channel of the output or one for all, float64.
        None for scales that follow from the kernel.
    """
    tensorflow = import_extra("tensorflow", "quantization")
    wrapper, layer = chain[0], chain[0].layer
    scales = None
    if not wrapper._weight_vars:
        kernel = np.asarray(layer.depthwise_kernel if hasattr(layer, "depthwise_kernel") else layer.kernel)
    for weight, quantizer, variables in wrapper._weight_vars:
        kernel = np.asarray(quantizer(weight, False, weights=variables))
        if variables:
            ends = [np.asarray(variables[end], "float64") for end in ("min_var", "max_var")]
            scales = (ends[1] - ends[0]) / (2 * HIGHEST)
    if kind_of(wrapper) == "DepthwiseConv2D":
        kernel = kernel.reshape(*kernel.shape[:2], -1)
    bias = np.asarray(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1], "float32")
    for norm in (each.layer for each in chain[1:] if kind_of(each) == "BatchNormalization"):
        factor = np.asarray(tensorflow.math.rsqrt(norm.moving_variance + np.float32(norm.epsilon)))
        factor = norm.gamma.numpy() * factor if norm.scale else factor
        shift = (norm.beta.numpy() if norm.center else np.float32(0.0)) - norm.moving_mean.numpy() * factor
        kernel, bias = kernel * factor, bias * factor + shift
        scales = None if scales is None else scales * np.abs(factor)
    return kernel, bias, scales


def added_constant(layer: Any, wrapper: Any) -> tuple[np.ndarray, QuantizationParameters]:
    """Return what an `AddConstant` adds: the values, and what they are rounded to."""
    if not layer.trained:
        return number(layer.value)
    [(weight, _, variables)] = wrapper._weight_vars
    return weight.numpy(), _symmetric(float(variables["max_var"].numpy()))


def window_parts(layer: Any) -> tuple[np.ndarray, QuantizationParameters]:
    """Return what a `MultiplyConstant` multiplies by: the values, and what they are rounded to."""
    return layer.values, _symmetric(layer.limit)


def number(value: float) -> tuple[np.ndarray, QuantizationParameters]:
    """Return one number, and the range from zero to it."""
    return np.asarray(value, "float32"), QuantizationParameters.between(min(value, 0.0), max(value, 0.0))


def _symmetric(highest: float) -> QuantizationParameters:
    return QuantizationParameters(highest / HIGHEST, 0)


def _only_user(wrapper: Any) -> Any:
    users = [node.layer for node in wrapper._outbound_nodes]
    return users[0] if len(users) == 1 else None


def _range_ahead(wrapper: Any) -> QuantizationParameters | None:
    """Return the range of the operator that a layer's output goes into, if that takes inputs of its own range alone."""
    user = _only_user(wrapper)
    if user is None or kind_of(user) not in ("PlainConcatenate", "UpSampling2D"):
        return None
    return range_of(user)


def _between(variables: dict[str, Any]) -> QuantizationParameters:
    return QuantizationParameters.between(variables["min_var"].numpy(), variables["max_var"].numpy())
