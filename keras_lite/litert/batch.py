"""A graph that holds for any number of images at a time: no constant of it says one."""

import dataclasses

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert.operators import Graph, Operator, Tensor

# Kinds that take the shape of their output, batch included, as a constant which can't leave it open; where they do.
_FIXED = {"TRANSPOSE_CONV": 0, "BROADCAST_TO": 1}


def for_any_batch(graph: Graph) -> Graph:
    """Return a graph that computes the same for each image of a batch of any size.

    A RESHAPE leaves the first size open, a STRIDED_SLICE takes the whole first axis, and so does each SLICE, as a
    STRIDED_SLICE: XNNPACK takes no SLICE with an open size. The tensors' shapes stay those for a batch of 1.

    Raises:
        InputError: If a tensor has no batch in front, or an operator can't leave it open: TRANSPOSE_CONV, BROADCAST_TO,
            a CONCATENATION with a constant.

    Example:

    >>> x, y, shape = Tensor("x", (1, 2, 3)), Tensor("flat", (1, 6)), Tensor("shape", (2,), np.array([1, 6], "int32"))
    >>> graph = Graph("flat", [x], [y], [Operator("RESHAPE", [x, shape], [y])])
    >>> for_any_batch(graph).constants[0].data.tolist()
    [-1, 6]
    """
    for tensor in graph.inputs:
        _check_batch(tensor)
    operators = [_for_any_batch(operator) for operator in graph.operators]
    return dataclasses.replace(graph, operators=operators)


def for_batch(graph: Graph, count: int) -> Graph:
    """Return a graph that computes the same for some images at once, with tensors of that size.

    Args:
        graph: A graph for one image.
        count: How many images.

    Raises:
        InputError: If a tensor has no batch in front.
    """
    made: dict[Tensor, Tensor] = {}

    def of_all(tensor: Tensor) -> Tensor:
        if tensor.is_constant:
            return tensor
        if tensor not in made:
            _check_batch(tensor)
            made[tensor] = dataclasses.replace(tensor, shape=(count, *tensor.shape[1:]))
        return made[tensor]

    operators = []
    for operator in graph.operators:
        if operator.kind in _FIXED:
            place = _FIXED[operator.kind]
            inputs, shape = list(operator.inputs), operator.inputs[place]
            inputs[place] = _constant(shape, [count, *shape.data[1:]])
            operator = dataclasses.replace(operator, inputs=inputs)
        elif _joins_constants(operator):
            inputs = [_repeated(each, count) if each.is_constant else each for each in operator.inputs]
            operator = dataclasses.replace(operator, inputs=inputs)
        else:
            operator = _for_any_batch(operator)
        inputs, outputs = ([of_all(tensor) for tensor in some] for some in (operator.inputs, operator.outputs))
        operators.append(dataclasses.replace(operator, inputs=inputs, outputs=outputs))
    inputs, outputs = ([of_all(tensor) for tensor in some] for some in (graph.inputs, graph.outputs))
    return dataclasses.replace(graph, inputs=inputs, outputs=outputs, operators=operators)


def _for_any_batch(operator: Operator) -> Operator:
    if operator.kind in _FIXED:
        raise InputError(
            f"Expected operators that hold for any batch, received {operator.kind} in {operator.name}, which takes its "
            "output's shape as a constant; write the file with a batch of 1."
        )
    if _joins_constants(operator):
        raise InputError(
            f"Expected operators that hold for any batch, received {operator.kind} in {operator.name}, which takes a "
            "constant for each image; write the file with a batch of 1."
        )
    if any(tensor.is_constant for tensor in operator.inputs[1:]):
        if operator.kind == "RESHAPE":
            operator = _reshape(operator)
        elif operator.kind == "SLICE":
            operator = _whole_axis(_strided(operator))
        elif operator.kind == "STRIDED_SLICE":
            operator = _whole_axis(operator)
    for tensor in operator.outputs:
        _check_batch(tensor)
    return operator


def _joins_constants(operator: Operator) -> bool:
    return operator.kind == "CONCATENATION" and any(tensor.is_constant for tensor in operator.inputs)


def _repeated(tensor: Tensor, count: int) -> Tensor:
    """Return a constant of one image for several."""
    data = np.repeat(tensor.data, count, axis=0)
    return dataclasses.replace(tensor, shape=data.shape, data=data)


def _check_batch(tensor: Tensor) -> None:
    if tensor.shape[:1] != (1,):
        raise InputError(
            f"Expected tensors with the batch as first axis, received {tensor.name} of shape {tensor.shape}; write the "
            "file with a batch of 1."
        )


def _reshape(operator: Operator) -> Operator:
    _check_batch(operator.output)
    source, shape = operator.inputs
    # Without options: they hold the shape once more.
    return Operator("RESHAPE", [source, _constant(shape, [-1, *operator.output.shape[1:]])], operator.outputs)


def _strided(operator: Operator) -> Operator:
    source, begin, size = operator.inputs
    shape = operator.output.shape
    end = _constant(size, begin.data + np.array(shape))
    strides = Tensor(f"{operator.name}/strides", begin.shape, np.ones(len(shape), "int32"))
    return Operator("STRIDED_SLICE", [source, begin, end, strides], operator.outputs)


def _whole_axis(operator: Operator) -> Operator:
    masks = {mask: operator.options.get(mask, 0) | 1 for mask in ("begin_mask", "end_mask")}
    return dataclasses.replace(operator, options={**operator.options, **masks})


def _constant(like: Tensor, values: list[int] | np.ndarray) -> Tensor:
    return Tensor(like.name, like.shape, np.asarray(values, like.data.dtype))
