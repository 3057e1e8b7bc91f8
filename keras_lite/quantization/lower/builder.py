"""Collecting the operators of a graph while a model is walked."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_lite.litert import Operator, Tensor

# XNNPACK leaves concatenations of more tensors to the built-in kernels.
_CONCATENATED_AT_ONCE = 4


class Builder:
    """The operators of a graph so far, in order.

    Attributes:
        operators: The operators.
        name: Name of the layer that is being lowered, as in the flattened model.
        layer: That name and the layer's type.
        arguments: What that layer is called with, positional and by name, with tensors of the graph in it.

    Example:

    >>> build = Builder()
    >>> build.add("RELU", [Tensor("images", (1, 4))], (1, 4), "relu")
    Tensor(relu: float32 (1, 4))
    """

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.name = ""
        self.layer: tuple[str, str] | None = None
        self.arguments: tuple[tuple, dict[str, Any]] = ((), {})

    def add(
        self,
        kind: str,
        inputs: Sequence[Tensor],
        shape: Sequence[int],
        name: str,
        *,
        dtype: str = "float32",
        **options: Any,
    ) -> Tensor:
        """Add an operator with one output, and return that.

        Args:
            kind: As TFLite names it.
            inputs: What it takes.
            shape: Of its output, with a batch of 1.
            name: Of its output.
            dtype: Of its output.
            **options: Its options.
        """
        output = Tensor(name, tuple(shape), dtype=dtype)
        self.operators.append(Operator(kind, list(inputs), [output], options, self.layer))
        return output

    def arithmetic(self, kind: str, first: Tensor, second: Tensor | float | np.ndarray, name: str) -> Tensor:
        """Add ADD, SUB, MUL, DIV, MAXIMUM or MINIMUM of two tensors, or of a tensor and numbers.

        Args:
            kind: Which.
            first: A tensor.
            second: Another, or one number, or numbers that are broadcast.
            name: Of the output.
        """
        if not isinstance(second, Tensor):
            second = constant(f"{name}/constant", np.asarray(second, "float32"))
        shape = np.broadcast_shapes(first.shape, second.shape)
        fused = {} if kind in ("MAXIMUM", "MINIMUM") else {"fused_activation_function": "NONE"}
        return self.add(kind, [first, second], shape, name, **fused)

    def reshape(self, tensor: Tensor, shape: Sequence[int], name: str) -> Tensor:
        """Add a RESHAPE, where the shape is another."""
        shape = tuple(int(size) for size in shape)
        return self.add("RESHAPE", [tensor, integers(f"{name}/shape", shape)], shape, name)

    def slice(self, tensor: Tensor, begin: Sequence[int], shape: Sequence[int], name: str) -> Tensor:
        """Add a SLICE: what lies behind a first place, in a shape."""
        places = [integers(f"{name}/begin", begin), integers(f"{name}/size", shape)]
        return self.add("SLICE", [tensor, *places], shape, name)

    def concatenate(self, tensors: Sequence[Tensor], axis: int, name: str) -> Tensor:
        """Add CONCATENATIONs: of many tensors fours are put together first, then what comes of them."""
        tensors, level = list(tensors), 0
        while len(tensors) > _CONCATENATED_AT_ONCE:
            level += 1
            groups = [tensors[at : at + _CONCATENATED_AT_ONCE] for at in range(0, len(tensors), _CONCATENATED_AT_ONCE)]
            tensors = [self._joined(group, axis, f"{name}/part{level}_{at}") for at, group in enumerate(groups)]
        return self._joined(tensors, axis, name)

    def _joined(self, group: Sequence[Tensor], axis: int, name: str) -> Tensor:
        if len(group) == 1:
            return group[0]
        shape = list(group[0].shape)
        shape[axis] = sum(tensor.shape[axis] for tensor in group)
        return self.add("CONCATENATION", group, shape, name, axis=axis, fused_activation_function="NONE")

    def transpose(self, tensor: Tensor, axes: Sequence[int], name: str) -> Tensor:
        """Add a TRANSPOSE."""
        shape = [tensor.shape[axis] for axis in axes]
        return self.add("TRANSPOSE", [tensor, integers(f"{name}/axes", axes)], shape, name)


def constant(name: str, values: Any) -> Tensor:
    """Return a constant of float32: a variable of Keras, an array or a number."""
    values = np.ascontiguousarray(values_of(values), "float32")
    return Tensor(name, values.shape, values)


def integers(name: str, values: Any) -> Tensor:
    """Return a constant of int32: axes, shapes, widths of padding."""
    values = np.ascontiguousarray(values, "int32")
    return Tensor(name, values.shape, values)


def values_of(values: Any) -> Any:
    """Return the values of a variable or tensor of Keras as an array; numbers and arrays as they are."""
    if isinstance(values, keras.Variable):
        if keras.backend.backend() == "tensorflow":
            # The memory that they stand in; numpy() would copy them twice.
            return np.asarray(memoryview(values.value.value()))
        return values.numpy()
    if isinstance(values, np.ndarray | np.generic | float | int):
        return values
    return keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else values


def array_of(variable: Any) -> np.ndarray:
    """Return the values of a variable or tensor of Keras as float64."""
    return np.asarray(values_of(variable), "float64")
