"""What a .tflite file computes, as plain data: tensors, operators named as TFLite names them, and graphs of both."""

import dataclasses
import math
from typing import Any

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.scheme import QuantizationParameters
from keras_lite.tables import text_table

# The place of what a kind takes of other operators first, where that is not the first.
_SOURCES = {"SPLIT": 1, "TRANSPOSE_CONV": 2}


@dataclasses.dataclass(eq=False)
class Tensor:
    """A tensor of a graph; two are the same only if they are one object.

    Args:
        name: Of the layer that makes it, or of the layer it belongs to and its role there (`"stem/kernel"`).
        shape: Its shape, with a batch of 1.
        data: The values of a constant; None for what is computed.
        dtype: `"float32"`, `"int32"`, ...; a constant has that of its values.
        quantization: What the integers of a quantized tensor stand for. None for a tensor that holds its values
            themselves.

    Raises:
        InputError: If the values have another shape.

    Example:

    >>> Tensor("stem/bias", (2,), np.zeros(2, "float32"))
    Tensor(stem/bias: float32 (2,), constant)
    """

    name: str
    shape: tuple[int, ...]
    data: np.ndarray | None = None
    dtype: str = "float32"
    quantization: QuantizationParameters | None = None

    def __post_init__(self) -> None:
        self.shape = tuple(int(size) for size in self.shape)
        if self.data is None:
            return
        if self.data.shape != self.shape:
            raise InputError(f"Expected values of shape {self.shape} in {self.name}, received {self.data.shape}.")
        self.dtype = self.data.dtype.name

    @property
    def is_constant(self) -> bool:
        """Whether its values are known."""
        return self.data is not None

    @property
    def size(self) -> int:
        """The number of its values."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"Tensor({self.name}: {self.dtype} {self.shape}{', constant' if self.is_constant else ''})"


@dataclasses.dataclass(eq=False)
class Operator:
    """One operator of a graph.

    Args:
        kind: Its name in TFLite: `"CONV_2D"`.
        inputs: What it takes, constants (kernel, bias, axes) included, in TFLite's order.
        outputs: What it makes.
        options: Its options, named as in TFLite's schema, `"SAME"` and `"RELU6"` as text:
            `{"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "RELU6"}`.
        layer: The layer that it was made for: its name and type, where it is known.

    Example:

    >>> x, y = Tensor("images", (1, 4)), Tensor("relu", (1, 4))
    >>> Operator("RELU", [x], [y]).name
    'relu'
    """

    kind: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    layer: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The name of what it makes."""
        return self.outputs[0].name

    @property
    def output(self) -> Tensor:
        """What it makes, where that is one tensor."""
        [output] = self.outputs
        return output

    @property
    def is_float(self) -> bool:
        """Whether it computes in floats: no tensor that it takes or makes is one of integers that stand for others."""
        computed = [tensor for tensor in (*self.inputs, *self.outputs) if not tensor.is_constant]
        return all(tensor.quantization is None for tensor in computed)

    @property
    def source(self) -> Tensor:
        """What it takes of other operators first; before that, some kinds take a constant."""
        return self.inputs[_SOURCES.get(self.kind, 0)]

    @property
    def kernel(self) -> Tensor:
        """The kernel of a convolution or dense layer."""
        return self.inputs[1]

    @property
    def bias(self) -> Tensor | None:
        """The bias of a convolution or dense layer; None if it has none."""
        place = max(2, _SOURCES.get(self.kind, 0) + 1)
        return self.inputs[place] if len(self.inputs) > place else None

    def weighted_inputs(self, source: Tensor, kernel: Tensor, bias: Tensor) -> list[Tensor]:
        """Return inputs of a convolution or dense layer, in TFLite's order.

        Args:
            source: What the kernel is multiplied with.
            kernel: The kernel.
            bias: The bias.
        """
        return [*self.inputs[:1], kernel, source, bias] if self.kind == "TRANSPOSE_CONV" else [source, kernel, bias]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image, of convolutions and products of matrices; 0 for what is neither."""
        if self.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            kernel = self.inputs[1].shape
            each = math.prod(kernel[1:3]) if self.kind == "DEPTHWISE_CONV_2D" else math.prod(kernel[1:])
            return self.output.size * each
        if self.kind == "TRANSPOSE_CONV":
            return self.source.size * math.prod(self.kernel.shape[:3])
        if self.kind == "BATCH_MATMUL":
            return self.output.size * self.inputs[0].shape[-2 if self.options.get("adj_x") else -1]
        return 0


@dataclasses.dataclass(eq=False)
class Graph:
    """A model as operators of TFLite, in the order they are computed in.

    Args:
        name: The model's.
        inputs: What it takes.
        outputs: What it makes.
        operators: The operators; each comes after those that make what it takes.

    Raises:
        InputError: If an operator takes what nothing made before it.

    Example:

    >>> x, y = Tensor("images", (1, 4)), Tensor("relu", (1, 4))
    >>> print(Graph("small", [x], [y], [Operator("RELU", [x], [y])]).summary())
    name   operator    output  parameters  multiply-accumulates
    -----------------------------------------------------------
    relu   RELU         1 x 4           0                     0
    total  1 operator                   0                     0
    """

    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    operators: list[Operator]

    def __post_init__(self) -> None:
        known = {id(tensor) for tensor in self.inputs}
        for operator in self.operators:
            for tensor in operator.inputs:
                if not tensor.is_constant and id(tensor) not in known:
                    raise InputError(f"Expected {operator.name} ({operator.kind}) after what makes its {tensor.name}.")
            known.update(id(tensor) for tensor in operator.outputs)
        for tensor in self.outputs:
            if id(tensor) not in known:
                raise InputError(f"Expected an operator that makes the output {tensor.name}, received none.")

    @property
    def constants(self) -> list[Tensor]:
        """The constants that its operators take, each once, in order."""
        found = {id(tensor): tensor for each in self.operators for tensor in each.inputs if tensor.is_constant}
        return list(found.values())

    @property
    def parameters(self) -> int:
        """Number of its weights: the values of all constants that are no int32."""
        return sum(tensor.size for tensor in self.constants if tensor.dtype != "int32")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(operator.macs for operator in self.operators)

    @property
    def float_operators(self) -> list[Operator]:
        """Its operators that compute in floats."""
        return [operator for operator in self.operators if operator.is_float]

    def summary(self) -> str:
        """Return the operators as a table: name, kind, shape of the output, parameters, multiply-accumulates."""
        rows = [("name", "operator", "output", "parameters", "multiply-accumulates")]
        for each in self.operators:
            weights = sum(tensor.size for tensor in each.inputs if tensor.is_constant and tensor.dtype != "int32")
            shape = " x ".join(map(str, each.outputs[0].shape))
            rows.append((each.name, each.kind, shape, f"{weights:,}", f"{each.macs:,}"))
        count = len(self.operators)
        total = ("total", f"{count} operator{'' if count == 1 else 's'}", "")
        return text_table([*rows, (*total, f"{self.parameters:,}", f"{self.macs:,}")])


class FloatGraph(Graph):
    """A model that computes in float32, as operators of TFLite."""


class QuantizedGraph(Graph):
    """A model in int8 as operators of TFLite: each float tensor is an int8 one with a scale and a zero point.

    Kernels and other constants are int8, biases int32. Parts may be in floats, between a DEQUANTIZE and a QUANTIZE.

    Args:
        name: The model's.
        inputs: What it takes.
        outputs: What it makes.
        operators: The operators; each comes after those that make what it takes.

    Raises:
        InputError: If an operator takes what nothing made before it, or a tensor of int8 has no scale.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for tensor in [*self.inputs, *(each for operator in self.operators for each in operator.outputs)]:
            if tensor.dtype in ("int8", "uint8") and tensor.quantization is None:
                raise InputError(f"Expected a scale and a zero point for {tensor.name}, received none.")
