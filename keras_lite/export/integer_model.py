"""A quantized model computed in whole numbers, rounded wherever and however XNNPACK rounds its int8 file.

TF-MOT's model computes in floats, and where a sum lies next to halfway between two steps the last bit of a float
decides. Biases and what goes into a concatenation it does not round at all. A deep network makes much of that; here
an operator has the file's answer to the bit.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_lite.export import integer_arithmetic as arithmetic
from keras_lite.export.integer_arithmetic import HIGHEST, UNROUNDED, Int8Range, Int8Tensor
from keras_lite.graph.view import WEIGHTED, is_relu
from keras_lite.quantization.calibration import check_images
from keras_lite.runtime.inspection import FileKernel, examine

_BATCH = 8  # large images fill the memory quickly
# How many steps a bias of the file may lie from the model's: a half, and what float32 loses on the way.
_NEAR = 0.6
# How many a kernel's number: it is rounded already, and another way where it lay halfway between two steps.
_ROUNDED = 1.01
# Layers that hand on numbers of their input as they are.
_HANDING_ON = ("ChannelRange", "Cropping2D", "Flatten", "MaxPooling2D", "Permute", "Reshape", "ZeroPadding2D")


class IntegerModel:
    """A quantized model that computes in whole numbers, as LiteRT does with XNNPACK.

    Convolutions and dense layers sum exactly and are rounded once; sums, products, means, sigmoids and what comes to
    another scale before a concatenation have XNNPACK's own factors, softmax and products of two matrices those of
    LiteRT's kernels. Structure and ranges are the model's. Kernels and biases are the model's too, but in the whole
    numbers that the file has for them, which may differ from the model's by a step of rounding, not by more: so what is
    proven is the file's arithmetic, not the last step of its kernels. Other functions (GELU, tanh) are computed in
    floats and rounded where the model rounds them; `inexact` names them.

    On x86 processors every published network then answers as its file does, to the bit; XNNPACK's kernels for others
    round a number here and there the other way.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018 (arXiv:1712.05877), section 2; the factors are those of XNNPACK's kernels for x86.

    Args:
        quantized: What `keras_lite.quantization.quantize_aware` returned, with ranges. It is not changed.
        path: The int8 `.tflite` file converted from it.
        kernels: The file's kernels, where `keras_lite.runtime.examine` has read them; None reads them, in a process.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If LiteRT refuses the file.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    logits = IntegerModel(quantized, "model.tflite").predict(images)
    ```
    """

    def __init__(self, quantized: Any, path: str | os.PathLike, kernels: Sequence[FileKernel] | None = None):
        self.quantized = quantized
        self._kernels = examine(path, delegates=False, with_kernels=True).kernels if kernels is None else kernels
        self._inexact: set[str] = set()
        # With the layers whose answers each takes, and the layer whose answers it gives.
        self._operators: list[tuple[list[str], str, Callable]] = []
        inside: set[str] = set()  # layers that the operator of one before them computes
        for wrapper in quantized.layers:
            if type(wrapper).__name__ == "InputLayer" or wrapper.name in inside:
                continue
            chain = _chain(wrapper)
            inside.update(each.name for each in chain[1:])
            inputs = wrapper.input if isinstance(wrapper.input, list) else [wrapper.input]
            self._operators.append(([_maker(each) for each in inputs], chain[-1].name, self._operator(chain)))
        self._last_use = {each: at for at, (inputs, _, _) in enumerate(self._operators) for each in inputs}

    @property
    def inexact(self) -> list[str]:
        """The layers that are computed in floats and rounded, for want of a rule that is exact to the bit."""
        return sorted(self._inexact)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the answers, as float32.

        Args:
            images: Preprocessed float images of shape `(count, height, width, 3)`.

        Raises:
            InputError: If there are no images or their shape is not the model's.
        """
        images = check_images(self.quantized, images)
        return np.concatenate([self._answer(images[at : at + _BATCH]) for at in range(0, len(images), _BATCH)])

    def _answer(self, images: np.ndarray) -> np.ndarray:
        tensors: dict[str, Any] = {_maker(self.quantized.inputs[0]): images}
        for at, (inputs, output, operator) in enumerate(self._operators):
            tensors[output] = operator([tensors[each] for each in inputs])
            for each in set(inputs):
                if self._last_use[each] == at:
                    del tensors[each]
        return tensors[_maker(self.quantized.outputs[0])].values

    def _operator(self, chain: list[Any]) -> Callable[[list[Any]], Any]:
        """Return the function of one operator of the file, for layers of which the last one rounds."""
        first, last = chain[0], chain[-1]
        layer = getattr(first, "layer", first)
        kind, target = type(layer).__name__, _range_of(last)
        if kind == "QuantizeLayer":
            return lambda inputs: arithmetic.quantize(inputs[0], target)
        if kind in _HANDING_ON and target is None:
            shared = _concatenated_range(first)

            def hand_on(inputs: list[Int8Tensor]) -> Int8Tensor:
                source = inputs[0] if shared is None else arithmetic.requantized(inputs[0], shared)
                return Int8Tensor(np.asarray(layer(source.whole)), source.range)

            return hand_on
        if target is None:
            target = _range_ahead(last)
        if target is None:
            self._inexact.add(_name_of(layer))
            return lambda inputs: Int8Tensor(_in_floats(chain, inputs), UNROUNDED)
        lowest, highest = _limits(chain)
        if kind in WEIGHTED:
            if getattr(last, "_quantize_activations", []):
                target = _range_ahead(last) or target  # TF-MOT rounds it twice, the file once
            return self._weighted(chain, target, lowest, highest)
        functions = {
            "Add": lambda inputs: arithmetic.add(inputs, target, lowest, highest),
            "AddConstant": lambda inputs: arithmetic.add([*inputs, _constant(first)], target, lowest, highest),
            "GlobalAveragePooling2D": lambda inputs: arithmetic.mean(inputs[0], target, layer.keepdims),
            "LeakyReLU": lambda inputs: arithmetic.leaky_relu(inputs[0], target, float(layer.alpha)),
            "PlainConcatenate": lambda inputs: arithmetic.concatenate(inputs, target, layer.axis),
            "MatMul": lambda inputs: arithmetic.matrix_product(inputs, target, layer.transposed),
            "Multiply": lambda inputs: arithmetic.multiply(inputs, target, lowest, highest),
            "MultiplyConstant": lambda inputs: arithmetic.multiply(
                [*inputs, _window_parts(layer)], target, lowest, highest
            ),
            "Softmax": lambda inputs: arithmetic.softmax(inputs[0], target),
            "Subtract": lambda inputs: arithmetic.add(inputs, target, lowest, highest, signs=(1, -1)),
        }
        if kind == "Rescaling" and layer.offset == 0.0:
            return lambda inputs: arithmetic.multiply(
                [*inputs, arithmetic.number(layer.scale)], target, lowest, highest
            )
        if kind == "Activation" and layer.get_config()["activation"] == "sigmoid":
            return lambda inputs: arithmetic.sigmoid(inputs[0], target)
        if kind in functions:
            return functions[kind]
        self._inexact.add(_name_of(layer))
        return lambda inputs: target.cut_off(np.rint(_in_floats(chain, inputs) / target.step))

    def _weighted(
        self, chain: list[Any], target: Int8Range, lowest: float | None, highest: float | None
    ) -> Callable[[list[Int8Tensor]], Int8Tensor]:
        kernel, bias = _kernel_and_bias(chain)
        layer = chain[0].layer
        made: dict[Int8Range, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

        def convolve(inputs: list[Int8Tensor]) -> Int8Tensor:
            [source] = inputs
            if source.range not in made:
                made[source.range] = self._rounded(type(layer).__name__, kernel, bias, source.range.step)
            whole, steps, offsets = made[source.range]
            sums = arithmetic.convolution(layer, source.whole, whole) + offsets
            factors = source.range.step * steps / target.step
            return target.cut_off(np.rint(sums.astype("float32") * factors), lowest, highest)

        return convolve

    def _rounded(
        self, kind: str, kernel: np.ndarray, bias: np.ndarray, input_step: np.float32
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a kernel in whole numbers, the steps of its channels, and the bias in whole numbers.

        They are the file's, which has them to the last bit; where it has none that are near, rounded here.
        """
        axis = arithmetic.channel_axis(kind, kernel)
        for whole, steps, offsets in self._kernels:
            whole = _as_in_keras(whole, kind)
            if whole.shape != kernel.shape or len(steps) not in (1, len(bias)):
                continue
            steps = np.broadcast_to(steps, bias.shape)
            wide = _along(steps, axis, kernel.ndim)
            offsets = np.zeros(bias.shape) if not len(offsets) else offsets.astype("float64")
            unit = steps.astype("float64") * float(input_step)
            near = np.abs(whole * wide - kernel) <= _ROUNDED * wide
            if near.all() and (np.abs(offsets * unit - bias) <= _NEAR * unit + 1e-6 * np.abs(bias)).all():
                return whole, steps, offsets
        others = tuple(each for each in range(kernel.ndim) if each != axis)
        steps = (np.maximum(np.abs(kernel).max(others), 1e-12) / HIGHEST).astype("float32")
        unit = steps.astype("float64") * float(input_step)
        return np.rint(kernel / _along(steps, axis, kernel.ndim)).astype("float32"), steps, np.rint(bias / unit)


def _along(values: np.ndarray, axis: int, dimensions: int) -> np.ndarray:
    return values.reshape([-1 if each == axis else 1 for each in range(dimensions)])


def _as_in_keras(kernel: np.ndarray, kind: str) -> np.ndarray:
    """Return a file's kernel with the axes of a layer's."""
    kernel = kernel.astype("float32")
    if kind == "Dense":
        return kernel.T
    return kernel.transpose(1, 2, 3, 0) if kernel.ndim == 4 else kernel


def _name_of(layer: Any) -> str:
    kind = type(layer).__name__
    return f"{kind}({layer.get_config()['activation']})" if kind == "Activation" else kind


def _maker(tensor: Any) -> str:
    return tensor._keras_history.layer.name


def _only_user(wrapper: Any) -> Any:
    users = [node.layer for node in wrapper._outbound_nodes]
    return users[0] if len(users) == 1 else None


def _chain(wrapper: Any) -> list[Any]:
    """Return a layer and those behind it that the file computes in the same operator, the last of which rounds."""
    chain = [wrapper]
    while _range_of(chain[-1]) is None and type(getattr(wrapper, "layer", None)).__name__ not in _HANDING_ON:
        user = _only_user(chain[-1])
        layer = getattr(user, "layer", None)
        if not is_relu(layer) and type(layer).__name__ != "BatchNormalization":
            break
        chain.append(user)
    return chain


def _range_of(wrapper: Any) -> Int8Range | None:
    """Return the range that a layer's answers are rounded in, or None."""
    if type(wrapper).__name__ == "QuantizeLayer":
        return _between(wrapper.quantizer_vars)
    if getattr(wrapper, "_output_quantizers", []):
        [quantizer] = wrapper._output_quantizers
        if type(quantizer).__name__ == "FixedRange":
            return Int8Range.between(quantizer.lowest, quantizer.highest)
        return _between(wrapper._output_quantizer_vars)
    for activation in getattr(wrapper, "_quantize_activations", []):
        if hasattr(activation, "_post_activation_vars"):
            return _between(activation._post_activation_vars)
    return None


def _range_ahead(wrapper: Any) -> Int8Range | None:
    """Return the range of the concatenation that a layer's answers go into, perhaps by way of others, or None."""
    user = _only_user(wrapper)
    if type(getattr(user, "layer", None)).__name__ != "PlainConcatenate":
        return None
    return _range_of(user) or _range_ahead(user)


def _concatenated_range(wrapper: Any) -> Int8Range | None:
    """Return the range of the first concatenation among the users of a layer, or None."""
    users = [node.layer for node in wrapper._outbound_nodes]
    concatenations = [user for user in users if type(getattr(user, "layer", None)).__name__ == "PlainConcatenate"]
    return (_range_of(concatenations[0]) or _range_ahead(concatenations[0])) if concatenations else None


def _between(variables: dict[str, Any]) -> Int8Range:
    return Int8Range.between(variables["min_var"].numpy(), variables["max_var"].numpy())


def _limits(chain: list[Any]) -> tuple[float | None, float | None]:
    """Return between what values ReLUs in a chain of layers cut its answers off."""
    lowest = highest = None
    for wrapper in chain:
        layer = wrapper.layer if hasattr(wrapper, "layer") else wrapper
        activations = [activation.activation for activation in getattr(wrapper, "_quantize_activations", [])]
        if any(getattr(activation, "__name__", "") == "relu" for activation in activations):
            lowest = 0.0
        if is_relu(layer):
            lowest = 0.0
            limit = getattr(layer, "max_value", None)
            highest = highest if limit is None else float(limit)
    return lowest, highest


def _kernel_and_bias(chain: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel of a layer as the model rounds it, and the bias, batch normalization behind it folded in."""
    wrapper, layer = chain[0], chain[0].layer
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    [kernel] = [
        np.asarray(quantizer(weight, False, weights=variables)) for weight, quantizer, variables in wrapper._weight_vars
    ] or [np.asarray(layer.depthwise_kernel if depthwise else layer.kernel)]
    kernel = kernel.astype("float64")
    if depthwise:
        kernel = kernel.reshape(*kernel.shape[:2], -1, 1)  # as in a file: each answer's kernel at a place of its own
    axis = arithmetic.channel_axis(type(layer).__name__, kernel)
    bias = layer.bias.numpy().astype("float64") if layer.use_bias else np.zeros(kernel.shape[axis])
    for norm in (each.layer for each in chain[1:] if type(each.layer).__name__ == "BatchNormalization"):
        mean, variance = (values.numpy().astype("float64") for values in (norm.moving_mean, norm.moving_variance))
        scale = 1.0 / np.sqrt(variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma.numpy()
        bias = (bias - mean) * scale + (norm.beta.numpy() if norm.center else 0.0)
        kernel = kernel * _along(scale, axis, kernel.ndim)
    return kernel, bias


def _constant(wrapper: Any) -> Int8Tensor:
    """Return what `AddConstant` adds, as the file has it."""
    if not wrapper.layer.trained:
        return arithmetic.number(wrapper.layer.value)
    [(weight, _, variables)] = wrapper._weight_vars
    step = np.float32(float(variables["max_var"].numpy()) / HIGHEST)
    return Int8Tensor(np.rint(weight.numpy() / step), Int8Range(step, 0))


def _window_parts(layer: Any) -> Int8Tensor:
    step = np.float32(layer.limit / HIGHEST)
    return Int8Tensor(np.rint(layer.values / step), Int8Range(step, 0))


def _in_floats(chain: list[Any], inputs: list[Int8Tensor]) -> np.ndarray:
    """Return what layers compute in floats."""
    values: Any = [tensor.values for tensor in inputs]
    values = values[0] if len(values) == 1 else values
    for wrapper in chain:
        values = wrapper(values, training=False)
    return np.asarray(values)
