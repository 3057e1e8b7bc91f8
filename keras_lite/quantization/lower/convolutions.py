"""Convolutions and dense layers as operators."""

import keras
import numpy as np

from keras_lite.litert import Tensor
from keras_lite.quantization.lower.activations import activate, before_activation
from keras_lite.quantization.lower.builder import Builder, constant, integers, values_of


def conv2d(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Conv2D`, grouped too: TFLite knows groups by the number of the kernel's channels."""
    kernel = constant(f"{build.name}/kernel", _outputs_first(_of_image(values_of(layer.kernel))))
    y = _convolve(build, layer, inputs[0], kernel, shape, before_activation(build, layer))
    return activate(build, layer, y, build.name)


def depthwise_conv2d(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `DepthwiseConv2D`."""
    y = _convolve(build, layer, inputs[0], _depthwise_kernel(build, layer), shape, before_activation(build, layer))
    return activate(build, layer, y, build.name)


def separable_conv2d(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `SeparableConv2D` to a depthwise and a 1x1 convolution."""
    name, depthwise = build.name, _depthwise_kernel(build, layer)
    between = (*shape[:3], depthwise.shape[3])
    bias = np.zeros(depthwise.shape[3], "float32")
    y = _convolve(build, layer, inputs[0], depthwise, between, f"{name}/depthwise", bias)
    kernel = _of_image(values_of(layer.pointwise_kernel))
    pointwise = constant(f"{name}/pointwise_kernel", _outputs_first(kernel))
    options = {"padding": "VALID", **_geometry((1, 1), (1, 1)), "fused_activation_function": "NONE"}
    y = build.add(
        "CONV_2D", [y, pointwise, _bias(build, layer, shape[3])], shape, before_activation(build, layer), **options
    )
    return activate(build, layer, y, name)


def conv2d_transpose(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Conv2DTranspose`."""
    y = transposed_convolution(build, layer, inputs[0], _of_image(values_of(layer.kernel)), shape)
    return activate(build, layer, y, build.name)


def transposed_convolution(
    build: Builder, layer: keras.layers.Layer, x: Tensor, kernel: np.ndarray, shape: tuple[int, ...]
) -> Tensor:
    """Add a TRANSPOSE_CONV.

    Args:
        build: Takes the operator.
        layer: A transposed convolution over two axes, or over one, which is the second here.
        x: An image.
        kernel: Height, width, output channels, input channels.
        shape: Of the output.
    """
    strides, dilation = ((1, *each)[-2:] for each in (layer.strides, layer.dilation_rate))
    size = [(count - 1) * step + 1 for count, step in zip(kernel.shape[:2], dilation, strict=True)]
    # What lies between the pixels of a dilated kernel is zero, and so is what lies up to the stride: XNNPACK takes no
    # smaller kernel.
    room = [max(each, step) for each, step in zip(size, strides, strict=True)]
    wide = np.zeros((*room, *kernel.shape[2:]), "float32")
    wide[: size[0] : dilation[0], : size[1] : dilation[1]] = kernel
    spans = [(count - 1) * step for count, step in zip(x.shape[1:3], strides, strict=True)]

    def halves(sides: list[int]) -> list[int]:
        """Return half of what windows of some size reach beyond the output."""
        reach = zip(spans, sides, shape[1:3], strict=True)
        return [max(span + each - wanted, 0) // 2 for span, each, wanted in reach]

    def fits(taken: list[int]) -> bool:
        """Return whether so many pixels of the output, by the stride, are those of the input."""
        return [-(-each // step) for each, step in zip(taken, strides, strict=True)] == list(x.shape[1:3])

    cut, found = halves(size) if layer.padding == "same" else [0, 0], None
    if fits(shape[1:3]) and halves(room) == cut:
        found = "SAME"
    elif fits([wanted - each + 1 for wanted, each in zip(shape[1:3], room, strict=True)]) and not any(cut):
        found = "VALID"
    whole = [
        max(span + each, start + wanted) for span, each, start, wanted in zip(spans, room, cut, shape[1:3], strict=True)
    ]
    target = (1, *(shape[1:3] if found else whole), shape[3])
    name = before_activation(build, layer)
    options = {"padding": found or "VALID", "stride_h": int(strides[0]), "stride_w": int(strides[1])}
    y = build.add(
        "TRANSPOSE_CONV",
        [
            integers(f"{name}/shape", target),
            constant(f"{build.name}/kernel", wide.transpose(2, 0, 1, 3)),
            x,
            _bias(build, layer, shape[3]),
        ],
        target,
        name if found else f"{name}/whole",
        fused_activation_function="NONE",
        **options,
    )
    if found:
        return y
    return build.slice(y, (0, *cut, 0), shape, name)


def dense(build: Builder, layer: keras.layers.Layer, inputs: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """Lower `Dense`."""
    kernel = constant(f"{build.name}/kernel", np.transpose(values_of(layer.kernel)))
    y = build.add(
        "FULLY_CONNECTED",
        [inputs[0], kernel, _bias(build, layer, shape[-1])],
        shape,
        before_activation(build, layer),
        fused_activation_function="NONE",
        keep_num_dims=len(shape) > 2,
    )
    return activate(build, layer, y, build.name)


def _convolve(
    build: Builder,
    layer: keras.layers.Layer,
    x: Tensor,
    kernel: Tensor,
    shape: tuple[int, ...],
    name: str,
    bias: np.ndarray | None = None,
) -> Tensor:
    depthwise = kernel.name.endswith("/depthwise_kernel")
    padding = "VALID" if layer.padding == "causal" else layer.padding.upper()  # a causal one is padded before
    options = {"padding": padding, **_geometry(layer.strides, layer.dilation_rate)}
    options["fused_activation_function"] = "NONE"
    if depthwise:
        options["depth_multiplier"] = int(layer.depth_multiplier)
    biases = _bias(build, layer, shape[3]) if bias is None else constant(f"{name}/bias", bias)
    return build.add("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, kernel, biases], shape, name, **options)


def _outputs_first(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel with its output channels before the other axes: turned as a matrix, which is faster."""
    *others, outputs = kernel.shape
    return np.ascontiguousarray(kernel.reshape(-1, outputs).T).reshape(outputs, *others)


def _of_image(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel for images; one along one axis is that of a row."""
    return kernel if kernel.ndim == 4 else kernel[None]


def _geometry(strides: tuple[int, ...], dilation: tuple[int, ...]) -> dict[str, int]:
    strides, dilation = ((1, *each)[-2:] for each in (strides, dilation))
    return {
        "stride_h": int(strides[0]),
        "stride_w": int(strides[1]),
        "dilation_h_factor": int(dilation[0]),
        "dilation_w_factor": int(dilation[1]),
    }


def _depthwise_kernel(build: Builder, layer: keras.layers.Layer) -> Tensor:
    # A separable convolution's stands under its own name, a depthwise one's as the layer's kernel.
    variable = getattr(layer, "depthwise_kernel", None)
    values = _of_image(values_of(layer.kernel if variable is None else variable))
    return constant(f"{build.name}/depthwise_kernel", values.reshape(1, *values.shape[:2], -1))


def _bias(build: Builder, layer: keras.layers.Layer, channels: int) -> Tensor:
    values = values_of(layer.bias) if layer.use_bias else np.zeros(channels)
    return constant(f"{build.name}/bias", values)
