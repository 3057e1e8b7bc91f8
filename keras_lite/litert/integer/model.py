"""An int8 graph computed in whole numbers, rounded wherever and however LiteRT rounds with XNNPACK."""

from collections.abc import Callable, Sequence

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.integer import convolution, elementwise, functions, movement, pooling, resizing
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
    "DEQUANTIZE": elementwise.dequantize,
    "ELU": functions.elu,
    "EXP": functions.exp,
    "FULLY_CONNECTED": convolution.fully_connected,
    "GELU": functions.gelu,
    "HARD_SWISH": functions.hard_swish,
    "LEAKY_RELU": functions.leaky_relu,
    "LOGISTIC": functions.logistic,
    "MAX_POOL_2D": pooling.max_pool_2d,
    "MAXIMUM": elementwise.maximum,
    "MEAN": pooling.mean,
    "MINIMUM": elementwise.minimum,
    "MUL": elementwise.mul,
    "PAD": movement.pad,
    "QUANTIZE": elementwise.quantize,
    "REDUCE_MAX": pooling.reduce_max,
    "RELU": functions.relu,
    "RELU6": functions.relu,
    "RELU_N1_TO_1": functions.relu,
    "RESHAPE": movement.reshape,
    "RESIZE_BILINEAR": resizing.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resizing.resize_nearest_neighbor,
    "SLICE": movement.slice_,
    "SOFTMAX": elementwise.softmax,
    "SPLIT": movement.split,
    "STRIDED_SLICE": movement.strided_slice,
    "SUB": elementwise.sub,
    "TANH": functions.tanh,
    "TRANSPOSE": movement.transpose,
}
# Those that take numbers of any type.
_ANY_TYPE = ("DEQUANTIZE", "QUANTIZE", "RESHAPE", "SLICE", "STRIDED_SLICE", "TRANSPOSE")
_TARGETS = ("x86",)
# What the largest tensor of the images that are computed together may have, in elements.
_TOGETHER = 1 << 22
_MOST = 32


class IntegerModel:
    """An int8 graph computed in whole numbers, to the bit as LiteRT computes its file with XNNPACK on x86 processors.

    Convolutions and dense layers sum exactly and are rounded once; sums, products, means and what comes to another
    scale have XNNPACK's own factors; softmax, GELU, average pooling and what else XNNPACK leaves out those of LiteRT's
    kernels. XNNPACK's kernels for other processors round a number here and there the other way.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018 (arXiv:1712.05877), section 2; the factors are those of XNNPACK's kernels for x86.

    Args:
        graph: The int8 graph. It is not changed.
        target: The processors whose rounding is computed: `"x86"`.

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
        if target not in _TARGETS:
            raise InputError(f"Expected one of the targets {', '.join(_TARGETS)}, received {target!r}.")
        for operator in graph.operators:
            if operator.kind not in KINDS:
                known = ", ".join(KINDS)
                raise InputError(f"Expected {operator.name} to be one of {known}, received {operator.kind}.")
            for tensor in [*operator.inputs, *operator.outputs]:
                if tensor.dtype == "uint8" and operator.kind not in _ANY_TYPE:
                    raise InputError(f"Expected int8 for {operator.kind}, received uint8 for {tensor.name}.")
        self.graph = graph
        self._computations = [KINDS[operator.kind](operator) for operator in graph.operators]
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
        outputs = [
            integers if tensor.quantization is None else tensor.quantization.dequantize(integers)
            for tensor, integers in zip(self.graph.outputs, self.outputs_of(images, self.graph.outputs), strict=True)
        ]
        return outputs[0] if len(outputs) == 1 else outputs

    def outputs_of(self, images: Given, tensors: Sequence[Tensor]) -> list[np.ndarray]:
        """Return what tensors of the graph hold, in their own integers, for each image.

        Args:
            images: As for `predict`.
            tensors: Tensors of the graph, none of them constant.

        Raises:
            InputError: If there are no images, their shape is not the graph's, or a tensor is none that it computes.
        """
        known = {id(tensor) for tensor in self.graph.inputs}
        known.update(id(tensor) for operator in self.graph.operators for tensor in operator.outputs)
        for tensor in tensors:
            if id(tensor) not in known:
                raise InputError(f"Expected tensors that {self.graph.name} computes, received {tensor}.")
        inputs = self._checked(images)
        batches = [[each[at : at + self._batch] for each in inputs] for at in range(0, len(inputs[0]), self._batch)]
        parts = side_by_side(lambda batch: self._part(batch, tensors), batches)
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def run_changed(self, images: Given, change: Callable[[Operator, np.ndarray], Operator]) -> None:
        """Compute all images operator by operator, each of which may be another than the graph's.

        All that is computed for later operators is held in memory, for all images.

        Args:
            images: As for `predict`.
            change: Returns the operator to compute in place of one of the graph; it is given that operator and what it
                takes first, of shape `(images, 1, ...)`.
        """
        inputs = self._checked(images)
        held = {
            id(source): source.quantization.quantize(values)[:, None]
            for source, values in zip(self.graph.inputs, inputs, strict=True)
        }
        slices = [slice(at, at + self._batch) for at in range(0, len(inputs[0]), self._batch)]
        last = {id(tensor): at for at, operator in enumerate(self.graph.operators) for tensor in operator.inputs}
        for at, operator in enumerate(self.graph.operators):
            changed = change(operator, held[id(operator.inputs[0])])
            compute = KINDS[changed.kind](changed)
            inputs = [
                (each.data[None], True) if each.is_constant else (held[id(each)], False) for each in changed.inputs
            ]

            def part(some: slice, compute: Compute = compute, inputs: list[tuple] = inputs) -> np.ndarray:
                return compute(*(each if is_constant else each[some] for each, is_constant in inputs))

            held[id(operator.output)] = np.concatenate(side_by_side(part, slices))
            for tensor in operator.inputs:
                if last[id(tensor)] <= at:
                    held.pop(id(tensor), None)

    def _checked(self, images: Given) -> list[np.ndarray]:
        inputs = arrays_of(images, [tensor.name for tensor in self.graph.inputs])
        for tensor, values in zip(self.graph.inputs, inputs, strict=True):
            if values.shape[1:] != tensor.shape[1:] or not len(values) or len(values) != len(inputs[0]):
                expected = f"(count, {', '.join(map(str, tensor.shape[1:]))})"
                raise InputError(f"Expected {tensor.name} of shape {expected}, received {values.shape}.")
        return inputs

    def _part(self, inputs: list[np.ndarray], tensors: Sequence[Tensor]) -> list[np.ndarray]:
        held: dict[int, np.ndarray] = {}
        for tensor, values in zip(self.graph.inputs, inputs, strict=True):
            if tensor.quantization is not None and values.dtype != tensor.dtype:
                values = tensor.quantization.quantize(values, tensor.dtype)
            # Each image has a graph's shape, batch of 1 included, behind an axis of images of their own.
            held[id(tensor)] = values.astype(tensor.dtype, copy=False)[:, None]
        kept = {id(tensor) for tensor in tensors}
        last = {id(tensor): at for at, operator in enumerate(self.graph.operators) for tensor in operator.inputs}
        for at, (operator, compute) in enumerate(zip(self.graph.operators, self._computations, strict=True)):
            taken = [each.data[None] if each.is_constant else held[id(each)] for each in operator.inputs]
            made = compute(*taken)
            del taken
            for tensor, values in zip(operator.outputs, made if isinstance(made, tuple) else (made,), strict=True):
                held[id(tensor)] = values
            for tensor in [*operator.inputs, *operator.outputs]:
                if last.get(id(tensor), -1) <= at and id(tensor) not in kept:
                    held.pop(id(tensor), None)
        return [held[id(tensor)].reshape(-1, *tensor.shape[1:]) for tensor in tensors]
