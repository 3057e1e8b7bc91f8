"""What is known while a float graph becomes one whose operators have int8 ones."""

import numpy as np

from keras_lite.errors import InputError
from keras_lite.graph.refusals import refused
from keras_lite.litert import FloatGraph, Operator, Tensor
from keras_lite.quantization.lower.builder import Builder, constant
from keras_lite.quantization.lower.float_parts import MOVING, is_opaque
from keras_lite.quantization.lower.simplifying.editor import Editor
from keras_lite.quantization.lower.simplifying.folding import WEIGHTED

# Operators that have weights or only move numbers; the others of a layer that needs floats stay there.
_ANYWAY = (*WEIGHTED, *MOVING)
_NONE = "int8 has no operator for it that XNNPACK or LiteRT rounds in a known way"
_WHY = {
    "DIV": f"{_NONE}; write Multiply, or Rescaling for a number",
    "GREATER": "it jumps at its threshold, as no int8 operator does; write ReLU() or LeakyReLU(), without a threshold",
    "L2_NORMALIZATION": f"{_NONE}; leave it out, or put it at the model's end",
    "LOG_SOFTMAX": f"{_NONE}; leave it out, or put it at the model's end",
}

_STATISTICS = (
    "its mean and deviation are those of the image at hand, for which XNNPACK has no int8 operators; write "
    "BatchNormalization"
)
_PRODUCTS = (
    "XNNPACK has no int8 product of two activations, and a softmax in int8 has steps of 1/256, too wide for many "
    "positions; write convolutions"
)
# Layers that int8 has operators for, which keep no accuracy: why, and what to write instead.
_INEXACT = {
    "AdditiveAttention": _PRODUCTS,
    "Attention": _PRODUCTS,
    "GroupNormalization": _STATISTICS,
    "LayerNormalization": _STATISTICS,
    "MultiHeadAttention": _PRODUCTS,
    "RMSNormalization": _STATISTICS,
}


class NotInInt8Error(InputError):
    """Raised for a layer that int8 has no operators for, or none that keep its accuracy."""


class State:
    """What is known while a graph is walked.

    Attributes:
        build: Takes the new operators.
        made: What stands for each tensor of the graph.
        fixed: The ranges of tensors that are cut off there.
        view: The graph's operators.
        taken_in: Sums that what is before them took in.
    """

    def __init__(self, graph: FloatGraph) -> None:
        self.build = Builder()
        self.made: dict[Tensor, Tensor] = {}
        self.fixed: dict[Tensor, tuple[float, float]] = {}
        self.view = Editor(graph.operators, graph.outputs)
        self.taken_in: set[Operator] = set()

    def copy(self, operator: Operator, inputs: list[Tensor], name: str | None = None, **changes) -> Tensor:
        """Add an operator of the same kind with other inputs or options."""
        kind, options, output = operator.kind, {**operator.options, **changes}, operator.output
        return self.build.add(kind, inputs, output.shape, name or operator.name, dtype=output.dtype, **options)

    def check_layer(self, operator: Operator) -> None:
        """Check that an operator's layer keeps its accuracy in int8.

        Raises:
            NotInInt8Error: If not.
        """
        known = operator.kind in _ANYWAY or is_opaque(operator)
        if not known and operator.layer is not None and operator.layer[1] in _INEXACT:
            raise self.refusal(operator)

    def refusal(self, operator: Operator) -> NotInInt8Error:
        """Return the error for an operator that int8 has no form of."""
        name, kind = operator.layer or (operator.name, operator.kind)
        why = _INEXACT.get(kind, _WHY.get(operator.kind, f"{_NONE}; write another layer"))
        why += ", or give allow_float=True (--allow_float), which leaves this layer in floats"
        return NotInInt8Error(str(refused(name, kind, why, "int8")))

    def channelwise(self, x: Tensor, scale: np.ndarray, offset: np.ndarray, name: str) -> Tensor:
        """Add a 1x1 depthwise convolution."""
        channels = x.shape[-1]
        kernel = np.broadcast_to(scale.reshape(-1), channels).reshape(1, 1, 1, channels)
        bias = np.broadcast_to(offset.reshape(-1), channels)
        return self.depthwise(x, kernel, bias, x.shape, name)

    def depthwise(
        self, x: Tensor, kernel: np.ndarray, bias: np.ndarray, shape: tuple[int, ...], name: str, **geometry
    ) -> Tensor:
        """Add a depthwise convolution."""
        options = {"padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
        options |= {"depth_multiplier": 1, "fused_activation_function": "NONE", **geometry}
        inputs = [x, constant(f"{name}/kernel", kernel), constant(f"{name}/bias", bias)]
        return self.build.add("DEPTHWISE_CONV_2D", inputs, shape, name, **options)

    def same(self, x: Tensor, name: str) -> Tensor:
        """Add what changes nothing but the range: a sum with zero, where a layer with weights can take that in."""
        if len(x.shape) == 4 and not any(x in each.outputs for each in self.build.operators if each.kind in WEIGHTED):
            return self.channelwise(x, np.ones(1), np.zeros(1), name)
        return self.build.arithmetic("ADD", x, 0.0, name)
