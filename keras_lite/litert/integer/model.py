"""An int8 graph computed in whole numbers, rounded wherever and however LiteRT rounds with XNNPACK."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer import (
    convolution,
    elementwise,
    floats,
    functions,
    movement,
    pooling,
    resizing,
    transposed,
)
from keras_lite.litert.integer.rounding import Compute
from keras_lite.litert.integer.threads import side_by_side
from keras_lite.litert.operators import Operator, QuantizedGraph, Tensor
from keras_lite.litert.samples import Given, arrays_of

KINDS: dict[str, Callable[[Operator], Compute]] = {
    "ADD": elementwise.add,
    "AVERAGE_POOL_2D": pooling.average_pool_2d,
    "BATCH_MATMUL": pooling.batch_matmul,
    "CONCATENATION": movement.concatenation,
    "CONV_2D": convolution.conv_2d,
    "DEPTHWISE_CONV_2D": convolution.depthwise_conv_2d,
    "DEPTH_TO_SPACE": movement.depth_to_space,
    "DEQUANTIZE": elementwise.dequantize,
    "ELU": functions.elu,
    "EXP": functions.exp,
    "FULLY_CONNECTED": convolution.fully_connected,
    "GATHER": movement.gather,
    "GELU": functions.gelu,
    "HARD_SWISH": functions.hard_swish,
    "LEAKY_RELU": functions.leaky_relu,
    "LOG": functions.log,
    "LOGISTIC": functions.logistic,
    "MAX_POOL_2D": pooling.max_pool_2d,
    "MAXIMUM": elementwise.maximum,
    "MEAN": pooling.mean,
    "MINIMUM": elementwise.minimum,
    "MIRROR_PAD": movement.mirror_pad,
    "MUL": elementwise.mul,
    "PAD": movement.pad,
    "QUANTIZE": elementwise.quantize,
    "REDUCE_MAX": pooling.reduce_max,
    "REDUCE_MIN": pooling.reduce_min,
    "RELU": functions.relu,
    "RELU6": functions.relu,
    "RELU_N1_TO_1": functions.relu,
    "RESHAPE": movement.reshape,
    "RESIZE_BILINEAR": resizing.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resizing.resize_nearest_neighbor,
    "REVERSE_V2": movement.reverse_v2,
    "SLICE": movement.slice_,
    "SOFTMAX": elementwise.softmax,
    "SPACE_TO_DEPTH": movement.space_to_depth,
    "SPLIT": movement.split,
    "STRIDED_SLICE": movement.strided_slice,
    "SUB": elementwise.sub,
    "SUM": pooling.sum_,
    "TANH": functions.tanh,
    "TRANSPOSE": movement.transpose,
    "TRANSPOSE_CONV": transposed.transpose_conv,
}
# What other processors than x86 compute in another way.
_OTHERWISE: dict[str, dict[str, Callable[[Operator], Compute]]] = {
    "arm64": {
        "ELU": functools.partial(functions.elu, fused=True),
        "HARD_SWISH": functools.partial(functions.hard_swish, neon=True),
        "LOGISTIC": functools.partial(functions.logistic, fused=True),
        "MEAN": functools.partial(pooling.mean, fused=True),
        "MUL": functools.partial(elementwise.mul, doubled=True),
        "SOFTMAX": elementwise.softmax_arm64,
        "SUM": functools.partial(pooling.sum_, fused=True),
        "TANH": functools.partial(functions.tanh, fused=True),
    },
    "x86": {},
}
_VARYING = {kind for kinds in _OTHERWISE.values() for kind in kinds}
# How `platform.machine()` names the processors of a target, in small letters.
_MACHINES = {"arm64": ("aarch64", "arm64"), "x86": ("amd64", "i386", "i686", "x86", "x86_64")}
# Those that take numbers of any type.
_ANY_TYPE = ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "SLICE", "STRIDED_SLICE", "TRANSPOSE")
# What the largest tensor of the images that are computed together may have, in elements.
_TOGETHER = 1 << 22
_MOST = 32


def kinds_for(operator: Operator, target: str = "x86") -> Mapping[str, Callable[[Operator], Compute]]:
    """Return the kinds of operators that are computed: in whole numbers, or in floats as an operator is."""
    return floats.KINDS if operator.is_float else collections.ChainMap(_OTHERWISE[target], KINDS)


def target_of(machine: str) -> str | None:
    """Return the target of a kind of processor, as `platform.machine()` names it; None if its rounding is not known.

    Example:

    >>> target_of("aarch64"), target_of("AMD64"), target_of("riscv64")
    ('arm64', 'x86', None)
    """
    return next((target for target, machines in _MACHINES.items() if machine.lower() in machines), None)


class IntegerModel:
    """An int8 graph computed in whole numbers, to the bit as LiteRT computes its file with XNNPACK.

    Convolutions and dense layers sum exactly and are rounded once; sums, products, means and what comes to another
    scale have XNNPACK's own factors; softmax, GELU, average pooling and what else XNNPACK leaves out those of LiteRT's
    kernels. Products, means, softmax and some functions are rounded otherwise on ARM64; browsers (WebAssembly) compute
    as x86 does. Operators that are in floats are computed in float32, within rounding: what they hand on in int8 may be
    a step from LiteRT's.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018 (arXiv:1712.05877), section 2; the factors are those of XNNPACK's kernels.

    Args:
        graph: The int8 graph. It is not changed.
        target: The processors whose rounding is computed: `"x86"` or `"arm64"`.

    Raises:
        InputError: If there is no such target, or no rule for a kind of operator, or LiteRT would refuse an operator.

    Example:

    >>> from keras_lite.litert import Operator, QuantizationParameters, QuantizedGraph, Tensor
    >>> scheme = QuantizationParameters(0.5, 0)
    >>> x = Tensor("x", (1, 4), dtype="int8", quantization=scheme)
    >>> y = Tensor("y", (1, 4), dtype="int8", quantization=scheme)
    >>> graph = QuantizedGraph("small", [x], [y], [Operator("LEAKY_RELU", [x], [y], {"alpha": 0.25})])
    >>> IntegerModel(graph).predict(np.array([[-2.0, -1.0, 0.2, 3.0]])).tolist()
    [[-0.5, 0.0, 0.0, 3.0]]
    """

    def __init__(self, graph: QuantizedGraph, target: str = "x86"):
        _checked_target(target)
        for operator in graph.operators:
            if operator.kind not in kinds_for(operator):
                known = ", ".join(kinds_for(operator))
                raise InputError(f"Expected {operator.name} to be one of {known}, received {operator.kind}.")
            for tensor in [*operator.inputs, *operator.outputs]:
                if tensor.dtype == "uint8" and operator.kind not in _ANY_TYPE:
                    raise InputError(f"Expected int8 for {operator.kind}, received uint8 for {tensor.name}.")
        self.graph = graph
        self._computations = _computations(graph, target)
        sizes = [tensor.size for tensor in graph.inputs]
        sizes += [tensor.size for operator in graph.operators for tensor in operator.outputs]
        self._batch = int(np.clip(_TOGETHER // max(sizes), 1, _MOST))

    def predict(self, images: Given) -> np.ndarray | list[np.ndarray]:
        """Return the outputs as float32; a list if the graph has several.

        Args:
            images: Preprocessed float images of shape `(count, height, width, 3)`, or of what the graph takes; a list
                of arrays, or a dictionary by the inputs' names, if it has several inputs. Integers of an input's own
                type are taken as they are.

        Raises:
            InputError: If there are no images or their shape is not the graph's.
        """
        return self._floats(self.outputs_of(images, self.graph.outputs))

    def predict_beside(self, images: Given, target: str) -> tuple[Any, Any]:
        """Return what `predict` returns, and the same for another target.

        What comes out the same for both is computed once.

        Args:
            images: As for `predict`.
            target: The other target, as for `IntegerModel`.

        Raises:
            InputError: As for `predict`.
        """
        other = _computations(self.graph, _checked_target(target))
        inputs = self._checked(images)
        batches = [[each[some] for each in inputs] for some in self._slices(inputs)]
        parts = side_by_side(lambda batch: self._part(batch, {}, self.graph.outputs, other), batches)
        here, there = ([np.concatenate(each) for each in zip(*side, strict=True)] for side in zip(*parts, strict=True))
        return self._floats(here), self._floats(there)

    def _floats(self, outputs: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        floats = [
            integers if tensor.quantization is None else tensor.quantization.dequantize(integers)
            for tensor, integers in zip(self.graph.outputs, outputs, strict=True)
        ]
        return floats[0] if len(floats) == 1 else floats

    def _slices(self, inputs: list[np.ndarray]) -> list[slice]:
        return [slice(at, at + self._batch) for at in range(0, len(inputs[0]), self._batch)]

    def outputs_of(
        self,
        images: Given,
        tensors: Sequence[Tensor],
        known: Mapping[Tensor, np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Return what tensors of the graph hold, in their own integers, for each image.

        Args:
            images: As for `predict`.
            tensors: Tensors of the graph, none of them constant.
            known: What some tensors hold for operators that take them, whatever those that make them give.

        Raises:
            InputError: If there are no images, their shape is not the graph's, or a tensor is none that it computes.
        """
        computed = {id(tensor) for tensor in self.graph.inputs}
        computed.update(id(tensor) for operator in self.graph.operators for tensor in operator.outputs)
        known = known or {}
        for tensor in (*tensors, *known):
            if id(tensor) not in computed:
                raise InputError(f"Expected tensors that {self.graph.name} computes, received {tensor}.")
        inputs = self._checked(images)
        batches = [
            ([each[some] for each in inputs], {tensor: values[some] for tensor, values in known.items()})
            for some in self._slices(inputs)
        ]
        parts = side_by_side(lambda batch: self._part(*batch, tensors)[0], batches)
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def _checked(self, images: Given) -> list[np.ndarray]:
        inputs = arrays_of(images, [tensor.name for tensor in self.graph.inputs])
        for tensor, values in zip(self.graph.inputs, inputs, strict=True):
            if values.shape[1:] != tensor.shape[1:] or not len(values) or len(values) != len(inputs[0]):
                expected = f"(count, {', '.join(map(str, tensor.shape[1:]))})"
                raise InputError(f"Expected {tensor.name} of shape {expected}, received {values.shape}.")
        return inputs

    def _part(
        self,
        inputs: list[np.ndarray],
        known: Mapping[Tensor, np.ndarray],
        tensors: Sequence[Tensor],
        other: list[Compute] | None = None,
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return what tensors hold; and what they hold by the computations of another target, where they are given."""
        held: dict[int, np.ndarray] = {}
        made_anew: dict[int, np.ndarray] = {}
        differing: dict[int, np.ndarray] = {}  # what the other target has otherwise
        for tensor, values in zip(self.graph.inputs, inputs, strict=True):
            if tensor.quantization is not None and values.dtype != tensor.dtype:
                values = tensor.quantization.quantize(values, tensor.dtype)
            # Each image has a graph's shape, batch of 1 included, behind an axis of images of their own.
            held[id(tensor)] = values.astype(tensor.dtype, copy=False)[:, None]
        kept = {id(tensor) for tensor in tensors}
        last = {id(tensor): at for at, operator in enumerate(self.graph.operators) for tensor in operator.inputs}
        for at, (operator, compute) in enumerate(zip(self.graph.operators, self._computations, strict=True)):
            made = _outputs(operator, compute, held)
            if other is not None and (
                operator.kind in _VARYING or any(id(tensor) in differing for tensor in operator.inputs)
            ):
                there = _outputs(operator, other[at], held | differing)
                differing |= {each: there[each] for each in made if not np.array_equal(made[each], there[each])}
            for tensor in operator.outputs:
                if tensor in known:
                    made_anew[id(tensor)] = made[id(tensor)]
                    made[id(tensor)] = known[tensor].reshape(made[id(tensor)].shape)
            held |= made
            for tensor in [*operator.inputs, *operator.outputs]:
                if last.get(id(tensor), -1) <= at and id(tensor) not in kept:
                    held.pop(id(tensor), None)
                    differing.pop(id(tensor), None)
        held |= made_anew
        there = held | differing
        return tuple([each[id(tensor)].reshape(-1, *tensor.shape[1:]) for tensor in tensors] for each in (held, there))


def _checked_target(target: str) -> str:
    if target not in _OTHERWISE:
        raise InputError(f"Expected one of the targets {', '.join(_OTHERWISE)}, received {target!r}.")
    return target


def _computations(graph: QuantizedGraph, target: str) -> list[Compute]:
    return [kinds_for(operator, target)[operator.kind](operator) for operator in graph.operators]


def _outputs(operator: Operator, compute: Compute, held: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    made = compute(*(each.data[None] if each.is_constant else held[id(each)] for each in operator.inputs))
    made = made if isinstance(made, tuple) else (made,)
    return {id(tensor): values for tensor, values in zip(operator.outputs, made, strict=True)}
