"""Equalization: giving the channels of a tensor, which share one range, extremes that are closer to each other."""

from typing import Any

import numpy as np

from keras_lite.graph.view import WEIGHTED, is_plain_relu
from keras_lite.quantization.aware.tf_mot.calibration import MeasuredTensor
from keras_lite.quantization.equalization import channel_factors

# Layers that hand each channel on by itself, and scaled input as scaled output.
_HOMOGENEOUS = (
    "AveragePooling2D",
    "Cropping2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "LeakyReLU",
    "MaxPooling2D",
    "UpSampling2D",
    "ZeroPadding2D",
)


def equalize(quantized: Any, measured: list[MeasuredTensor]) -> list[str]:
    """Scale channels in place, so that those of small values use more of the steps of their tensor's range.

    A channel of extreme `a`, which the layers behind multiply by weights of extreme `w`, is scaled by sqrt(w / a), and
    these weights by sqrt(a / w): without rounding the model answers the same. That holds where every layer that writes
    to a tensor is a convolution, a dense layer or a batch normalization, and every layer that reads it is one of the
    first two, with ReLU, pooling, additions and channel attention between them.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019
    (arXiv:1906.04721); extremes of activations in place of those of the weights before them, as in Xiao et al.,
    "SmoothQuant", ICML 2023 (arXiv:2211.10438).

    Args:
        quantized: A quantized model. Its ranges are wrong afterwards: they are to be measured anew.
        measured: What `measure` returned for it.

    Returns:
        Names of the layers whose outputs were scaled.
    """
    groups = _Groups(quantized)
    scaled = []
    for root, (writers, readers) in groups.scalable().items():
        extremes = [
            np.maximum(-tensor.lowest, tensor.highest) for tensor in measured if groups.root(tensor.wrapper) == root
        ]
        if not extremes:
            continue
        factors = channel_factors(extremes, [_extremes_of_inputs(reader) for reader in readers])
        if factors is None:
            continue
        for writer in writers:
            _divide_outputs(writer, factors)
            scaled.append(writer.name)
        for reader in readers:
            _multiply_inputs(reader, factors)
    return scaled


class _Groups:
    """Groups of tensors that can only be scaled together; a tensor is known by the layer that makes it."""

    def __init__(self, quantized: Any):
        self.parents: dict[str, str] = {}
        self.fixed: set[str] = set()
        self.writers: list[Any] = []
        self.readers: list[tuple[str, Any]] = []
        for wrapper in quantized.layers:
            self._enter(wrapper)
        self.fixed.update(tensor._keras_history.layer.name for tensor in quantized.outputs)

    def root(self, name: str) -> str:
        while self.parents.get(name, name) != name:
            name = self.parents[name]
        return name

    def scalable(self) -> dict[str, tuple[list[Any], list[Any]]]:
        """Return the layers that write to, and that read, the tensors of each group, by the group's root."""
        fixed = {self.root(name) for name in self.fixed}
        groups: dict[str, tuple[list[Any], list[Any]]] = {}
        for place, layers in ((0, [(w.name, w) for w in self.writers]), (1, self.readers)):
            for name, wrapper in layers:
                if self.root(name) not in fixed:
                    groups.setdefault(self.root(name), ([], []))[place].append(wrapper)
        return {root: group for root, group in groups.items() if group[0] and group[1]}

    def _enter(self, wrapper: Any) -> None:
        layer = getattr(wrapper, "layer", wrapper)
        kind = type(layer).__name__
        tensors = [] if kind == "InputLayer" else wrapper.input
        tensors = tensors if isinstance(tensors, list) else [tensors]
        sources = [tensor._keras_history.layer.name for tensor in tensors]
        quantizers = getattr(wrapper, "_output_quantizers", [])
        if quantizers and type(quantizers[0]).__name__ != "MovingAverageQuantizer":
            self.fixed.update([wrapper.name, *sources])  # cut off where it is
        elif kind in WEIGHTED and getattr(layer, "depth_multiplier", 1) == 1:
            self.readers.append((sources[0], wrapper))
            self._write(wrapper, _activation_name(layer) in ("linear", "relu", "NoOpActivation"))
        elif kind == "BatchNormalization":
            self.fixed.update(sources)
            self._write(wrapper, layer.center and layer.scale)
        elif kind in _HOMOGENEOUS or is_plain_relu(layer) or (kind == "Reshape" and _keeps_channels(wrapper)):
            self._join(wrapper.name, sources[0])
        elif kind == "Add" and len({tuple(tensor.shape) for tensor in tensors}) == 1:
            for source in sources:
                self._join(wrapper.name, source)
        elif kind == "Multiply" and len(tensors) == 2 and len({tuple(tensor.shape) for tensor in tensors}) == 2:
            # The gate is the one of one pixel, or of as many channels and no more.
            for source, tensor in zip(sources, tensors, strict=True):
                if tuple(tensor.shape) == tuple(wrapper.output.shape):
                    self._join(wrapper.name, source)
                else:
                    self.fixed.add(source)
        else:
            self.fixed.update([wrapper.name, *sources])

    def _write(self, wrapper: Any, linear: bool) -> None:
        self.writers.append(wrapper)
        if not linear:
            self.fixed.add(wrapper.name)

    def _join(self, first: str, second: str) -> None:
        self.parents[self.root(first)] = self.root(second)


def _activation_name(layer: Any) -> str:
    # TF-MOT's stand-in holds the activation itself.
    activation = getattr(layer.activation, "activation", layer.activation)
    return getattr(activation, "__name__", type(activation).__name__)


def _keeps_channels(wrapper: Any) -> bool:
    return wrapper.input.shape[-1] == wrapper.output.shape[-1]


def _kernel(wrapper: Any) -> Any:
    """Return the variable: the layer's own attribute may be the rounded tensor."""
    if wrapper._weight_vars:
        return wrapper._weight_vars[0][0]
    layer = wrapper.layer
    return layer.depthwise_kernel if type(layer).__name__ == "DepthwiseConv2D" else layer.kernel


def _factors_of_kernel(wrapper: Any, factors: np.ndarray) -> np.ndarray:
    """Return factors of input channels in a shape to multiply the kernel by."""
    layer, kernel = wrapper.layer, _kernel(wrapper)
    if type(layer).__name__ == "Dense":
        return factors[:, None]
    if type(layer).__name__ == "DepthwiseConv2D":
        return factors[:, None]
    # In a grouped convolution each output reads the inputs of its group.
    groups = factors.reshape(layer.groups, -1)
    return np.repeat(groups, kernel.shape[-1] // layer.groups, axis=0).T


def _extremes_of_inputs(wrapper: Any) -> np.ndarray:
    """Return the largest weight that each input channel is multiplied by."""
    layer, kernel = wrapper.layer, np.abs(_kernel(wrapper).numpy())
    if type(layer).__name__ == "Dense":
        return kernel.max(axis=1)
    if type(layer).__name__ == "DepthwiseConv2D":
        return kernel.max(axis=(0, 1, 3))
    by_output = kernel.max(axis=(0, 1))
    return by_output.reshape(len(by_output), layer.groups, -1).max(axis=2).T.reshape(-1)


def _multiply_inputs(wrapper: Any, factors: np.ndarray) -> None:
    kernel = _kernel(wrapper)
    kernel.assign(kernel.numpy() * _factors_of_kernel(wrapper, factors))


def _divide_outputs(wrapper: Any, factors: np.ndarray) -> None:
    layer = wrapper.layer
    if type(layer).__name__ == "BatchNormalization":
        layer.gamma.assign(layer.gamma.numpy() / factors)
        layer.beta.assign(layer.beta.numpy() / factors)
        return
    kernel = _kernel(wrapper)
    depthwise = type(layer).__name__ == "DepthwiseConv2D"
    kernel.assign(kernel.numpy() / (factors[:, None] if depthwise else factors))
    if layer.use_bias:
        layer.bias.assign(layer.bias.numpy() / factors)
