"""Equalization: giving the channels of a tensor, which share one range, extremes that are closer to each other."""

import numpy as np

from keras_lite.litert import Operator, Tensor
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.observe import Observation

# Operators that hand each channel on by itself, and scaled input as scaled output.
_HOMOGENEOUS = (
    "AVERAGE_POOL_2D", "LEAKY_RELU", "MAX_POOL_2D", "PAD", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
)  # fmt: skip
# A channel's factor lies within this of the mean one.
_LARGEST_FACTOR = 32.0
# Channels of less than this share of the largest extreme are next to nothing.
_LEAST_SHARE = 1e-4


def equalize(form: Int8Form, observed: Observation) -> Int8Form | None:
    """Return a graph with scaled channels, so that those of small values use more of the steps of their tensor's range.

    A channel of extreme `a`, which the layers behind multiply by weights of extreme `w`, is scaled by sqrt(w / a), and
    these weights by sqrt(a / w): without rounding the outputs are the same. That holds where every operator that makes
    a tensor is a convolution or a dense layer, and so is every one that takes it, with ReLU, pooling, sums and channel
    attention between them.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019
    (arXiv:1906.04721); extremes of activations in place of those of the weights before them, as in Xiao et al.,
    "SmoothQuant", ICML 2023 (arXiv:2211.10438).

    Args:
        form: What `for_int8` returned.
        observed: What `observe` returned for it.

    Returns:
        The graph, whose tensors are to be observed anew; None if there is nothing to scale.
    """
    groups = _Groups(form)
    kernels: dict[Tensor, np.ndarray] = {}
    biases: dict[Tensor, np.ndarray] = {}
    for members, writers, readers in groups.scalable():
        extremes = [_extremes_of(observed, tensor) for tensor in members if tensor in observed.tensors]
        if not extremes:
            continue
        factors = channel_factors(extremes, [_extremes_of_inputs(reader) for reader in readers])
        if factors is None:
            continue
        for writer in writers:
            kernel, bias = writer.kernel, writer.bias
            along = [-1 if axis == CHANNEL_AXES[writer.kind] else 1 for axis in range(len(kernel.shape))]
            kernels[kernel] = kernels.get(kernel, kernel.data) / factors.reshape(along)
            biases[bias] = bias.data / factors
        for reader in readers:
            kernel = reader.kernel
            kernels[kernel] = kernels.get(kernel, kernel.data) * _factors_of_kernel(reader, factors)
    if not kernels:
        return None
    changed = {**kernels, **biases}
    return form.with_constants(
        {each: Tensor(each.name, each.shape, data.astype("float32")) for each, data in changed.items()}
    )


def channel_factors(extremes: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray | None:
    """Return what the channels of tensors are divided by, and weights behind them multiplied by; None for dead ones.

    Args:
        extremes: Of each tensor the largest value of each channel.
        weights: Of each layer that takes one the largest weight that each channel is multiplied by.
    """
    values, others = (np.max([_relative(each) for each in found], axis=0) for found in (extremes, weights))
    alive = (values > _LEAST_SHARE) & (others > _LEAST_SHARE)
    if not alive.any():
        return None
    factors = np.ones(len(values))
    factors[alive] = np.sqrt(values[alive] / others[alive])
    factors[alive] /= np.exp(np.log(factors[alive]).mean())
    return np.clip(factors, 1.0 / _LARGEST_FACTOR, _LARGEST_FACTOR)


class _Groups:
    """Groups of tensors that can only be scaled together."""

    def __init__(self, form: Int8Form):
        self.parents: dict[Tensor, Tensor] = {}
        self.fixed: set[Tensor] = {*form.fixed, *form.graph.inputs, *form.graph.outputs}
        self.members: list[Tensor] = []
        self.writers: list[Operator] = []
        self.readers: list[Operator] = []
        seen: set[Tensor] = set()
        for operator in form.graph.operators:
            if operator.output in form.floats:
                self.fixed.update([operator.output, *operator.inputs])
                continue
            self._enter(operator)
            # Weights that two operators have can't be scaled for one.
            for tensor in operator.inputs[1:]:
                if tensor.is_constant and tensor in seen and operator.kind in CHANNEL_AXES:
                    self.fixed.update([operator.source, operator.output])
                seen.add(tensor)

    def root(self, tensor: Tensor) -> Tensor:
        while tensor in self.parents:
            tensor = self.parents[tensor]
        return tensor

    def scalable(self) -> list[tuple[list[Tensor], list[Operator], list[Operator]]]:
        """Return the tensors of each group, what writes to them, and what reads them."""
        fixed = {self.root(tensor) for tensor in self.fixed}
        groups: dict[Tensor, tuple[list, list, list]] = {}
        for place, tensor, item in (
            *((0, tensor, tensor) for tensor in self.members),
            *((1, operator.output, operator) for operator in self.writers),
            *((2, operator.source, operator) for operator in self.readers),
        ):
            if self.root(tensor) not in fixed:
                groups.setdefault(self.root(tensor), ([], [], []))[place].append(item)
        return [group for group in groups.values() if group[1] and group[2]]

    def _enter(self, operator: Operator) -> None:
        kind, output = operator.kind, operator.output
        sources = [tensor for tensor in operator.inputs if not tensor.is_constant]
        self.members.append(output)
        fused = operator.options.get("fused_activation_function", "NONE")
        if kind in CHANNEL_AXES and operator.options.get("depth_multiplier", 1) == 1:
            self.readers.append(operator)
            self.writers.append(operator)
            if fused not in ("NONE", "RELU"):
                self.fixed.add(output)
        elif fused not in ("NONE", "RELU"):
            self.fixed.update([output, *sources])
        elif self._keeps_channels(operator):
            self._join(output, sources[0])
        elif kind == "ADD" and len(sources) == 2 and sources[0].shape == sources[1].shape:
            for source in sources:
                self._join(output, source)
        elif kind == "MUL" and len(sources) == 2 and sources[0].shape != sources[1].shape:
            # The gate is the one of one pixel, or of as many channels and no more.
            for source in sources:
                if source.shape == output.shape:
                    self._join(output, source)
                else:
                    self.fixed.add(source)
        else:
            self.fixed.update([output, *sources])

    @staticmethod
    def _keeps_channels(operator: Operator) -> bool:
        source, output = operator.inputs[0], operator.output
        if operator.kind == "MEAN":
            return 3 not in operator.inputs[1].data and len(source.shape) == 4
        if operator.kind in ("RESHAPE", "SLICE"):
            return source.shape[-1] == output.shape[-1]
        return operator.kind in _HOMOGENEOUS and source.shape[-1] == output.shape[-1]

    def _join(self, first: Tensor, second: Tensor) -> None:
        if self.root(first) is not self.root(second):
            self.parents[self.root(first)] = self.root(second)


def _relative(values: np.ndarray) -> np.ndarray:
    return values / max(float(values.max()), 1e-30)


def _extremes_of(observed: Observation, tensor: Tensor) -> np.ndarray:
    seen = observed.tensors[tensor]
    return np.maximum(-seen.lowest, seen.highest).astype("float64")


def _extremes_of_inputs(operator: Operator) -> np.ndarray:
    """Return the largest weight that each input channel is multiplied by."""
    kernel = np.abs(operator.kernel.data)
    if operator.kind == "DEPTHWISE_CONV_2D":
        return kernel.max(axis=(0, 1, 2))
    largest = kernel.reshape(len(kernel), -1, kernel.shape[-1]).max(1)  # outputs, inputs of a group
    groups = operator.source.shape[-1] // kernel.shape[-1]
    return largest.reshape(groups, -1, kernel.shape[-1]).max(1).reshape(-1)


def _factors_of_kernel(operator: Operator, factors: np.ndarray) -> np.ndarray:
    """Return factors of input channels in a shape to multiply the kernel by."""
    kernel = operator.kernel
    if operator.kind == "DEPTHWISE_CONV_2D":
        return factors
    # In a grouped convolution each output reads the inputs of its group.
    groups = factors.reshape(-1, kernel.shape[-1])
    each = np.repeat(groups, len(kernel.data) // len(groups), axis=0)
    return each.reshape(len(kernel.data), *[1] * (len(kernel.shape) - 2), kernel.shape[-1])
