"""Which parts of a graph stay in floats where int8 has no operators for a layer, or none that keep its accuracy."""

import dataclasses
from collections.abc import Collection

from keras_lite.litert import FloatGraph, Operator, Origin, Tensor
from keras_lite.quantization.lower.folding import WEIGHTED

# What only moves numbers stays in floats between two operators in floats, and nowhere else.
_MOVING = ("PAD", "RESHAPE", "SLICE", "TRANSPOSE")
# What the kind of an operator in floats begins with while others are rewritten, which then leave it alone.
_OPAQUE = "float "
_STATISTICS = (
    "its mean and deviation are those of the image at hand, for which XNNPACK has no int8 operators",
    "write BatchNormalization",
)
_PRODUCTS = (
    "XNNPACK has no int8 product of two activations, and a softmax in int8 has steps of 1/256, too wide for many "
    "positions",
    "write convolutions",
)
# Layers of which all but the products with weights need floats: why, and what to write instead.
FLOAT_LAYERS = {
    "AdditiveAttention": _PRODUCTS,
    "Attention": _PRODUCTS,
    "GroupNormalization": _STATISTICS,
    "LayerNormalization": _STATISTICS,
    "MultiHeadAttention": _PRODUCTS,
    "RMSNormalization": _STATISTICS,
}
# What to write instead of other layers, or of what an operator comes of.
_INSTEAD = {
    "ELU": "write ReLU, or Activation('hard_silu')",
    "EXP": "write another activation",
    "GREATER": "write ReLU() or ReLU(max_value), without a threshold",
    "L2_NORMALIZATION": "leave it out, or put it at the model's end",
    "MAXIMUM": "write Add, or Concatenate and a convolution",
    "MINIMUM": "write Add, or Concatenate and a convolution",
    "PRELU": "write ReLU or LeakyReLU",
}


def needs_floats(graph: FloatGraph, operator: Operator) -> bool:
    """Return whether an operator is of a layer that needs floats, and does more than multiply by weights or move."""
    origin = graph.origins.get(operator.output)
    return origin is not None and origin.kind in FLOAT_LAYERS and operator.kind not in (*WEIGHTED, *_MOVING)


def refusal(graph: FloatGraph, operator: Operator) -> str:
    """Return in one line why an operator's layer can't be int8, and what to write instead."""
    name, kind = graph.origins.get(operator.output) or Origin(operator.name.partition("/")[0], operator.kind)
    other = "write it with layers that have an int8 operator"
    instead = _INSTEAD.get(kind, _INSTEAD.get(operator.kind, other))
    why, instead = FLOAT_LAYERS.get(kind, (f"XNNPACK has no int8 {operator.kind}", instead))
    return (
        f"Expected layers that XNNPACK computes in int8, received layer {name} of type {kind}: {why}; {instead}, or "
        "give allow_float=True (--allow_float), which leaves this layer in floats."
    )


def part_of(graph: FloatGraph, refused: Collection[Operator], before: Collection[Tensor]) -> set[Tensor]:
    """Return what is made in floats: by all operators of the refused ones' layers but products with weights.

    Args:
        graph: The graph.
        refused: Operators that int8 has not.
        before: What is made in floats in any case.
    """
    layers = {graph.origins.get(operator.output, operator.output) for operator in refused}
    found = {
        operator.output
        for operator in graph.operators
        if graph.origins.get(operator.output, operator.output) in layers and operator.kind not in (*WEIGHTED, *_MOVING)
    }
    found.update(before, (operator.output for operator in refused))
    for operator in graph.operators:
        # The last operator of a layer that took in the activation behind it has that one's name.
        ends = operator.kind in ("ADD", "MUL") and operator.inputs[1].is_constant
        if ends and operator.inputs[0] in found and operator.options["fused_activation_function"] != "NONE":
            found.add(operator.output)
    return _with_moves(graph, found)


def _with_moves(graph: FloatGraph, floats: set[Tensor]) -> set[Tensor]:
    """Return them with what only moves numbers from floats to floats."""
    behind = set(floats)  # what floats are moved to
    for operator in graph.operators:
        if operator.kind in _MOVING and operator.inputs[0] in behind:
            behind.add(operator.output)
    taken = {tensor for operator in graph.operators if operator.output in floats for tensor in operator.inputs}
    for operator in reversed(graph.operators):
        if operator.output in behind & taken - floats:
            floats.add(operator.output)
            taken.add(operator.inputs[0])
    return floats


def opaque(operator: Operator) -> Operator:
    """Return an operator of a kind that nothing knows, so that it stays as it is."""
    return dataclasses.replace(operator, kind=f"{_OPAQUE}{operator.kind}")


def is_opaque(operator: Operator) -> bool:
    """Return whether an operator is what `opaque` returned."""
    return operator.kind.startswith(_OPAQUE)


def plain(operator: Operator) -> Operator:
    """Return the operator of which `opaque` made another; any other as it is."""
    return dataclasses.replace(operator, kind=operator.kind.removeprefix(_OPAQUE))
