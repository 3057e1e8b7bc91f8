"""An int8 graph behind ends of another type: uint8, as pixels are, or float32."""

import dataclasses
from collections.abc import Mapping

from keras_lite.errors import InputError
from keras_lite.litert.operators import Operator, QuantizedGraph, Tensor
from keras_lite.litert.scheme import QuantizationParameters

ENDS = ("int8", "uint8", "float32")
# From an int8 number to the uint8 number that stands for the same.
_UINT8_OFFSET = 128
# What the names of the int8 tensors behind other ends end with.
_SUFFIX = "_int8"


def with_ends(graph: QuantizedGraph, ends: str | Mapping[str, str]) -> QuantizedGraph:
    """Return the same graph with inputs and outputs of another type, which keep their names.

    A uint8 number is the int8 number plus 128. An operator at each end turns one type into the other; the tensors
    between them have the suffix `_int8`. What is no int8 (the int32 indices of an ARG_MAX) stays as it is. XNNPACK
    takes the operators of float32 ends; those of uint8 ends run in LiteRT, and what is between stays in as many parts.

    Args:
        graph: A graph with int8 ends.
        ends: `"int8"`, `"uint8"`, or `"float32"`; or the type of some inputs and outputs by their names, the others
            staying int8.

    Raises:
        InputError: If there are no such ends, or those of the graph are no longer int8.

    Example:

    >>> parameters = QuantizationParameters(0.5, -3)
    >>> x, y = (Tensor(name, (1, 4), dtype="int8", quantization=parameters) for name in "xy")
    >>> graph = with_ends(QuantizedGraph("small", [x], [y], [Operator("MAXIMUM", [x, x], [y])]), "uint8")
    >>> graph.inputs, [operator.kind for operator in graph.operators]
    ([Tensor(x: uint8 (1, 4))], ['QUANTIZE', 'MAXIMUM', 'QUANTIZE'])
    """
    names = [tensor.name for tensor in (*graph.inputs, *graph.outputs)]
    by_name = ends if isinstance(ends, Mapping) else dict.fromkeys(names, ends)
    if unknown := [name for name in by_name if name not in names]:
        raise InputError(f"Expected ends of {', '.join(names)}, received one of {unknown[0]}.")
    given = {name: by_name.get(name, "int8") for name in names}
    check_ends(ends)
    for tensor in [*graph.inputs, *graph.outputs]:
        if tensor.dtype in ("uint8", "float32"):
            raise InputError(
                f"Expected a graph with int8 ends, received {tensor.dtype} for {tensor.name}; take the int8 graph."
            )
    inputs, outputs = (
        {tensor: _end(tensor, given[tensor.name]) for tensor in each} for each in (graph.inputs, graph.outputs)
    )
    changed = [tensor for tensor, end in (*inputs.items(), *outputs.items()) if end is not tensor]
    if not changed:
        return graph
    inner = {tensor: dataclasses.replace(tensor, name=f"{tensor.name}{_SUFFIX}") for tensor in changed}
    operators = [
        *(Operator("QUANTIZE", [inputs[each]], [inner[each]]) for each in inputs if each in inner),
        *(_with_tensors(operator, inner) for operator in graph.operators),
        *(
            Operator("QUANTIZE" if given[each.name] == "uint8" else "DEQUANTIZE", [inner[each]], [outputs[each]])
            for each in outputs
            if each in inner
        ),
    ]
    return dataclasses.replace(
        graph,
        inputs=[inputs[each] for each in graph.inputs],
        outputs=[outputs[each] for each in graph.outputs],
        operators=operators,
    )


def check_ends(ends: str | Mapping[str, str]) -> None:
    """Check that there are such ends.

    Args:
        ends: As for `with_ends`.

    Raises:
        InputError: If not.
    """
    for kind in ends.values() if isinstance(ends, Mapping) else [ends]:
        if kind not in ENDS:
            raise InputError(f"Expected ends of type {', '.join(ENDS)}, received {kind!r}.")


def _end(tensor: Tensor, ends: str) -> Tensor:
    if tensor.dtype != "int8" or ends == "int8":
        return tensor
    parameters = None
    if ends == "uint8":
        quantization = tensor.quantization
        parameters = QuantizationParameters(quantization.scales, quantization.zero_points + _UINT8_OFFSET)
    return Tensor(tensor.name, tensor.shape, dtype=ends, quantization=parameters)


def _with_tensors(operator: Operator, others: dict[Tensor, Tensor]) -> Operator:
    inputs, outputs = ([others.get(each, each) for each in some] for some in (operator.inputs, operator.outputs))
    return dataclasses.replace(operator, inputs=inputs, outputs=outputs)
