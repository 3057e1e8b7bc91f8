"""A list of operators that is changed in place, with what makes and what takes each tensor at hand."""

import collections
from collections.abc import Iterator, Sequence

from keras_lite.litert import Operator, Tensor


class Editor:
    """Operators that are being changed.

    Args:
        operators: The operators, in order. They are changed.
        outputs: The tensors that must stay.

    Example:

    >>> x, y, z = (Tensor(name, (1, 4)) for name in "xyz")
    >>> editor = Editor([Operator("RELU", [x], [y]), Operator("RELU", [y], [z])], [z])
    >>> editor.only_consumer(y).name
    'z'
    """

    def __init__(self, operators: Sequence[Operator], outputs: Sequence[Tensor]) -> None:
        self._operators = {id(operator): operator for operator in operators}
        self._outputs = {id(tensor) for tensor in outputs}
        self._producers = {id(tensor): operator for operator in operators for tensor in operator.outputs}
        self._consumers: dict[int, list[Operator]] = collections.defaultdict(list)
        for operator in operators:
            self._connect(operator)

    def __iter__(self) -> Iterator[Operator]:
        """Go through the operators in order, without those that are removed on the way."""
        for key in list(self._operators):
            if key in self._operators:
                yield self._operators[key]

    def __reversed__(self) -> Iterator[Operator]:
        """Go through the operators from the last to the first."""
        yield from list(self._operators.values())[::-1]

    def producer(self, tensor: Tensor) -> Operator | None:
        """Return what makes a tensor; None for constants and inputs."""
        return self._producers.get(id(tensor))

    def consumers(self, tensor: Tensor) -> list[Operator]:
        """Return all that take a tensor; none where it is an output."""
        return [] if id(tensor) in self._outputs else list(self._consumers[id(tensor)])

    def only_consumer(self, tensor: Tensor) -> Operator | None:
        """Return what takes a tensor, where that is one operator, once, and the tensor is no output."""
        found = self._consumers[id(tensor)]
        return found[0] if len(found) == 1 and id(tensor) not in self._outputs else None

    def made_for(self, tensor: Tensor, kind: str, consumer: Operator) -> Operator | None:
        """Return what makes a tensor, if it is of a kind and nothing but `consumer` takes it."""
        maker = self.producer(tensor)
        return maker if maker and maker.kind == kind and self.only_consumer(tensor) is consumer else None

    def is_used(self, operator: Operator) -> bool:
        """Return whether something takes what an operator makes."""
        return any(self._consumers[id(each)] or id(each) in self._outputs for each in operator.outputs)

    def is_output(self, tensor: Tensor) -> bool:
        """Return whether a tensor must stay."""
        return id(tensor) in self._outputs

    def is_end(self, tensor: Tensor) -> bool:
        """Return whether a tensor must stay, and nothing takes it."""
        return self.is_output(tensor) and not self._consumers[id(tensor)]

    def remove(self, operator: Operator) -> None:
        """Take an operator out, whose output nothing takes any more."""
        del self._operators[id(operator)]
        self._disconnect(operator)
        for tensor in operator.outputs:
            if self._producers.get(id(tensor)) is operator:
                del self._producers[id(tensor)]

    def set_inputs(self, operator: Operator, inputs: Sequence[Tensor]) -> None:
        """Have an operator take others."""
        self._disconnect(operator)
        operator.inputs = list(inputs)
        self._connect(operator)

    def take_over(self, operator: Operator, other: Operator) -> None:
        """Remove `other`, whose output `operator` makes from now on."""
        self.remove(other)
        for tensor in operator.outputs:
            self._producers.pop(id(tensor), None)
        operator.outputs = list(other.outputs)
        self._producers.update({id(tensor): operator for tensor in operator.outputs})

    def replace(self, tensor: Tensor, by: Tensor) -> None:
        """Have all that take a tensor take another."""
        for operator in list(self._consumers[id(tensor)]):
            if any(each is tensor for each in operator.inputs):
                self.set_inputs(operator, [by if each is tensor else each for each in operator.inputs])

    def _connect(self, operator: Operator) -> None:
        for tensor in operator.inputs:
            self._consumers[id(tensor)].append(operator)

    def _disconnect(self, operator: Operator) -> None:
        for tensor in operator.inputs:
            self._consumers[id(tensor)].remove(operator)
