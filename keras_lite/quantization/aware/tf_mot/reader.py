"""Reading a quantized model of TF-MOT as the int8 operators that it stands for."""

from typing import Any

from keras_lite.errors import InputError
from keras_lite.graph.view import WEIGHTED, is_relu
from keras_lite.litert import (
    Operator,
    QuantizationParameters,
    QuantizedGraph,
    Tensor,
    quantize_values,
    quantize_weights,
)
from keras_lite.quantization.aware.tf_mot import wrappers
from keras_lite.quantization.aware.tf_mot.wrapping import is_wrapped
from keras_lite.quantization.lower.builder import integers

_MERGING = {"Add": "ADD", "Multiply": "MUL", "Subtract": "SUB"}
_ACTIVATIONS = {
    "sigmoid": ("LOGISTIC", {}),
    "tanh": ("TANH", {}),
    "gelu": ("GELU", {"approximate": False}),
}


def read_quantized(quantized: Any) -> QuantizedGraph:
    """Return the int8 operators of a quantized model, which compute what an int8 file of it computes.

    What is one operator: a convolution or dense layer with the batch normalization and ReLU behind it; a sum, product
    or other operator with its ReLU. Ranges are the model's, and the kernels are rounded as it rounds them.

    Args:
        quantized: What `keras_lite.quantization.quantize_aware` or `post_training` returned, with ranges. It is not
            changed.

    Raises:
        InputError: If the model is not quantized, or a layer has no int8 operator or no range; the message names it.

    Example:

    ```python
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images)
    content = keras_lite.litert.write(read_quantized(quantized))
    ```
    """
    if not is_wrapped(quantized):
        raise InputError(f"Expected what quantize_aware returned, received {type(quantized).__name__}.")
    return _Reader(quantized).graph()


class _Reader:
    """The operators of a model so far, and the tensors that its layers make."""

    def __init__(self, quantized: Any):
        self.quantized = quantized
        self.operators: list[Operator] = []
        self.tensors: dict[str, Tensor] = {}
        self.inputs: list[Tensor] = []

    def graph(self) -> QuantizedGraph:
        """Return the operators of all layers."""
        inside: set[str] = set()  # layers that the operator of one before them computes
        for wrapper in self.quantized.layers:
            if type(wrapper).__name__ == "InputLayer" or wrapper.name in inside:
                continue
            chain = wrappers.chain_of(wrapper)
            inside.update(each.name for each in chain)
            self.tensors[chain[-1].name] = self._read(chain)
        [output] = self.quantized.outputs
        result = self.tensors[wrappers.maker_of(output).name]
        return QuantizedGraph(self.quantized.name, self.inputs, [result], self.operators)

    def _read(self, chain: list[Any]) -> Tensor:
        """Add the operator of some layers, and return what it makes."""
        wrapper = chain[0]
        kind, layer = wrappers.kind_of(wrapper), getattr(wrapper, "layer", wrapper)
        if kind == "QuantizeLayer":
            source = wrapper.input
            name, shape = wrappers.maker_of(source).name, (1, *source.shape[1:])
            self.inputs.append(Tensor(name, shape, dtype="int8", quantization=wrappers.range_of(wrapper)))
            return self.inputs[0]
        inputs = [self.tensors[wrappers.maker_of(each).name] for each in _listed(wrapper.input)]
        if kind in wrappers.HANDING_ON and wrappers.range_of(chain[-1]) is None:
            return self._handing_on(wrapper, self._rescaled(inputs[0], wrappers.concatenated_range(wrapper)))
        target = wrappers.target_of(chain)
        fused = {"fused_activation_function": wrappers.fused_activation(chain)}
        if kind in WEIGHTED:
            return self._weighted(chain, inputs[0], target, fused)
        if kind in _MERGING:
            return self._add(_MERGING[kind], inputs, chain, target, fused)
        if kind in ("AddConstant", "MultiplyConstant") or (kind == "Rescaling" and layer.offset == 0.0):
            return self._with_constant(chain, inputs[0], target, fused)
        if kind == "PlainConcatenate":
            inputs = [self._rescaled(each, target) for each in inputs]
            return self._add("CONCATENATION", inputs, chain, target, {"axis": layer.axis, **fused})
        if kind == "UpSampling2D":
            return self._up_sampling(wrapper, inputs[0], target)
        operator, constants, options = _operator(layer)
        return self._add(operator, [*inputs, *constants], chain, target, options)

    def _handing_on(self, wrapper: Any, source: Tensor) -> Tensor:
        """Add an operator whose output has the numbers of its input."""
        layer, name, kind = wrapper.layer, wrapper.layer.name, wrappers.kind_of(wrapper)
        shape = (1, *wrapper.output.shape[1:])
        if kind in ("Flatten", "Reshape"):
            operator, constants, options = "RESHAPE", [integers(f"{name}/shape", shape)], {}
        elif kind == "Permute":
            operator, constants, options = "TRANSPOSE", [integers(f"{name}/axes", (0, *layer.dims))], {}
        elif kind == "ZeroPadding2D":
            operator, options = "PAD", {}
            constants = [integers(f"{name}/widths", [(0, 0), *layer.padding, (0, 0)])]
        elif kind == "GlobalMaxPooling2D":
            operator, options = "REDUCE_MAX", {"keep_dims": bool(layer.keepdims)}
            constants = [integers(f"{name}/axes", (1, 2))]
        elif kind == "MaxPooling2D":
            operator, constants = "MAX_POOL_2D", []
            (height, width), strides = layer.pool_size, _strides(layer)
            options = {"padding": layer.padding.upper(), **strides, "filter_height": height, "filter_width": width}
            options["fused_activation_function"] = "NONE"
        else:
            begin = (0, 0, 0, layer.start) if kind == "ChannelRange" else (0, *(ends[0] for ends in layer.cropping), 0)
            operator, options = "SLICE", {}
            constants = [integers(f"{name}/begin", begin), integers(f"{name}/size", shape)]
        return self._add(operator, [source, *constants], [wrapper], source.quantization, options)

    def _weighted(
        self, chain: list[Any], source: Tensor, target: QuantizationParameters, options: dict[str, Any]
    ) -> Tensor:
        """Add a convolution or dense layer."""
        layer, kind = chain[0].layer, wrappers.kind_of(chain[0])
        kernel, bias, scales = wrappers.kernel_and_bias(chain)
        axis, role = 0, "kernel"
        if kind == "Dense":
            operator, kernel = "FULLY_CONNECTED", kernel.T
            options = {**options, "keep_num_dims": len(source.shape) > 2}
        else:
            height, width = layer.dilation_rate
            dilation = {"dilation_h_factor": height, "dilation_w_factor": width}
            options = {"padding": layer.padding.upper(), **_strides(layer), **dilation, **options}
            operator, kernel = "CONV_2D", kernel.transpose(-1, *range(kernel.ndim - 1))
        if kind == "DepthwiseConv2D":
            operator, kernel = "DEPTHWISE_CONV_2D", kernel.transpose(1, 2, 0)[None]
            axis, role = 3, "depthwise_kernel"
            options["depth_multiplier"] = layer.depth_multiplier
        (values, of_kernel), (biases, of_bias) = quantize_weights(kernel, bias, axis, source.quantization, scales)
        constants = [
            Tensor(f"{layer.name}/{role}", values.shape, values, quantization=of_kernel),
            Tensor(f"{layer.name}/bias", biases.shape, biases, quantization=of_bias),
        ]
        return self._add(operator, [source, *constants], chain, target, options)

    def _with_constant(
        self, chain: list[Any], source: Tensor, target: QuantizationParameters, options: dict[str, Any]
    ) -> Tensor:
        """Add a sum with numbers that stay, or a product."""
        wrapper, layer, kind = chain[0], chain[0].layer, wrappers.kind_of(chain[0])
        if kind == "AddConstant":
            operator, (values, rounding) = "ADD", wrappers.added_constant(layer, wrapper)
        elif kind == "MultiplyConstant":
            operator, (values, rounding) = "MUL", wrappers.window_parts(layer)
        else:
            operator, (values, rounding) = "MUL", wrappers.number(float(layer.scale))
        whole = quantize_values(values, rounding)
        constant = Tensor(f"{layer.name}/constant", whole.shape, whole, quantization=rounding)
        return self._add(operator, [source, constant], chain, target, options)

    def _up_sampling(self, wrapper: Any, source: Tensor, target: QuantizationParameters) -> Tensor:
        layer = wrapper.layer
        kinds = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "bilinear": "RESIZE_BILINEAR"}
        if layer.interpolation not in kinds:
            raise InputError(f"Expected UpSampling2D by {' or '.join(kinds)}, received {layer.interpolation!r}.")
        size = integers(f"{layer.name}/size", wrapper.output.shape[1:3])
        options = {"align_corners": False, "half_pixel_centers": True}
        return self._add(kinds[layer.interpolation], [self._rescaled(source, target), size], [wrapper], target, options)

    def _rescaled(self, tensor: Tensor, target: QuantizationParameters | None) -> Tensor:
        """Return a tensor with other quantization parameters; itself if it has them."""
        if target is None or tensor.quantization == target:
            return tensor
        output = Tensor(f"{tensor.name}/rescaled", tensor.shape, dtype="int8", quantization=target)
        self.operators.append(Operator("QUANTIZE", [tensor], [output]))
        return output

    def _add(
        self,
        operator: str,
        inputs: list[Tensor],
        chain: list[Any],
        target: QuantizationParameters,
        options: dict[str, Any],
    ) -> Tensor:
        shape = (1, *chain[-1].output.shape[1:])
        output = Tensor(wrappers.name_of(chain[-1]), shape, dtype="int8", quantization=target)
        self.operators.append(Operator(operator, inputs, [output], options))
        return output


def _operator(layer: Any) -> tuple[str, list[Tensor], dict[str, Any]]:
    """Return the kind, constants and options of the operator of a layer without weights.

    Raises:
        InputError: If there is none for the layer.
    """
    kind, name = type(layer).__name__, layer.name
    if kind == "GlobalAveragePooling2D":
        return "MEAN", [integers(f"{name}/axes", (1, 2))], {"keep_dims": bool(layer.keepdims)}
    if kind == "LeakyReLU":
        return "LEAKY_RELU", [], {"alpha": float(layer.alpha)}
    if kind == "MatMul":
        return "BATCH_MATMUL", [], {"adj_x": False, "adj_y": layer.transposed}
    if kind == "Softmax" and layer.axis in (-1, len(layer.output.shape) - 1):
        return "SOFTMAX", [], {"beta": 1.0}
    if is_relu(layer):
        return "RELU6" if getattr(layer, "max_value", None) == 6.0 else "RELU", [], {}
    activation = layer.get_config().get("activation") if kind == "Activation" else None
    if activation not in _ACTIVATIONS:
        raise InputError(f"Expected layers with an int8 operator, received {name} ({kind}).")
    operator, options = _ACTIVATIONS[activation]
    return operator, [], options


def _listed(tensors: Any) -> list[Any]:
    return tensors if isinstance(tensors, list) else [tensors]


def _strides(layer: Any) -> dict[str, int]:
    height, width = layer.strides
    return {"stride_h": int(height), "stride_w": int(width)}
