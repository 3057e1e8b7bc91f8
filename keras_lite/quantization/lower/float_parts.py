"""Which parts of a graph stay in floats where int8 has no operators for a layer, or none that keep its accuracy."""

import dataclasses
from collections.abc import Collection

from keras_lite.litert import FloatGraph, Operator, Tensor
from keras_lite.quantization.lower.simplifying.folding import WEIGHTED

# What only moves numbers stays in floats between two operators in floats, and nowhere else.
MOVING = ("PAD", "RESHAPE", "SLICE", "STRIDED_SLICE", "TRANSPOSE")
# What the kind of an operator in floats begins with while others are rewritten, which then leave it alone.
_OPAQUE = "float "


def part_of(graph: FloatGraph, refused: Collection[Operator], before: Collection[Tensor]) -> set[Tensor]:
    """Return what is made in floats: by all operators of the refused ones' layers but products with weights.

    Args:
        graph: The graph.
        refused: Operators that int8 has not.
        before: What is made in floats in any case.
    """
    layers = {operator.layer for operator in refused} - {None}
    found = {
        operator.output
        for operator in graph.operators
        if operator.layer in layers and operator.kind not in (*WEIGHTED, *MOVING)
    }
    return _with_moves(graph, {*found, *before, *(operator.output for operator in refused)})


def _with_moves(graph: FloatGraph, floats: set[Tensor]) -> set[Tensor]:
    """Return them with what only moves numbers from floats to floats."""
    behind = set(floats)  # what floats are moved to
    for operator in graph.operators:
        if operator.kind in MOVING and operator.inputs[0] in behind:
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
