"""Which operator of an int8 graph LiteRT computes to other integers than the graph's model."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from keras_lite.errors import InputError, some
from keras_lite.litert import IntegerModel, Operator, QuantizedGraph, Tensor, write
from keras_lite.litert.samples import Given, Samples, arrays_of, together
from keras_lite.runtime.observation import every_output
from keras_lite.runtime.worker_process import LiteRTError

# What one file shows at most: tensors, and values of all images together.
_TENSORS, _VALUES = 64, 1 << 26
# Images that are looked at, of those whose outputs depart.
_IMAGES = 4

# What tensors hold: a row an image.
_Rows = dict[Tensor, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Departure:
    """The first operator that LiteRT computes to other integers than the model, although it takes the same.

    Args:
        kind: As TFLite names it: `"ADD"`.
        name: Of what it makes.
        number: Its place in the graph, counted from 1.
        operators: How many operators the graph has.
        image: The first image on which it departs, counted from 1.
        differing: How many of its values are others, on that image.
        values: How many values it makes of an image.
        steps: The largest difference on that image, in steps of its scale.
        unseen: What it is computed from that can't be looked at, because a file that also outputs it has other outputs.
            Where there is any, what makes it may be at fault instead.
        equal_if_seen: Whether the outputs of those files are equal to the model's.
    """

    kind: str
    name: str
    number: int
    operators: int
    image: int
    differing: int
    values: int
    steps: int
    unseen: tuple[str, ...] = ()
    equal_if_seen: bool = False

    def __str__(self) -> str:
        """Return it as sentences."""
        values = f"{self.differing:,} of {self.values:,} values differ, by up to {self.steps}"
        text = (
            f"The first operator that departs is {self.name} ({self.kind}), number {self.number} of {self.operators}: "
            f"on image {self.image}, {values} step{'' if self.steps == 1 else 's'}."
        )
        if not self.unseen:
            return text
        unseen = some(list(self.unseen))
        if self.equal_if_seen:
            which = unseen if len(self.unseen) == 1 else f"any of {unseen}"
            return (
                f"{text} It departs in this file alone: as soon as a file also outputs {which}, it is equal to the bit."
            )
        which = unseen if len(self.unseen) == 1 else f"one of {unseen}"
        return f"{text} Or {which} does, which can't be seen: a file that also outputs it answers otherwise."


def first_departure(graph: QuantizedGraph, model: IntegerModel, images: Given) -> Departure | None:
    """Return the first operator of a graph that LiteRT computes to other integers than a model.

    The tensors to be seen are further outputs of temporary files, so that XNNPACK computes them as in the graph's own
    file; if the interpreter kept all tensors, it would not use XNNPACK. Where further outputs change the outputs that
    the graph has, fewer are looked at together, at last each alone.

    Args:
        graph: What LiteRT computes: the graph as it is written.
        model: The model of a graph of the same operators.
        images: Preprocessed float images of shape `(count, height, width, 3)`, or what else the graph takes; a list of
            arrays, or a dictionary by the inputs' names, if it has several inputs.

    Returns:
        The operator; None where the outputs of the graph's file are equal to the model's on all images.

    Raises:
        InputError: If the model is one of other operators, or some of them compute in floats.
        LiteRTError: If LiteRT can't run the graph's file.
        MissingExtraError: If LiteRT is not installed.

    Example:

    ```python
    calibrated, _ = post_training(model, images)
    graph = calibrated.graph
    print(first_departure(graph, IntegerModel(graph), images) or "equal to the bit")
    ```
    """
    if graph.float_operators:
        names = some([operator.name for operator in graph.float_operators])
        raise InputError(f"Expected a graph of int8 operators alone, received {names} in floats.")
    images = together(arrays_of(images, [tensor.name for tensor in graph.inputs]))
    twins = _twins(graph, model.graph)
    outputs = [tensor for tensor in dict.fromkeys(graph.outputs) if tensor in twins]
    received = _in_litert(graph, outputs, images)
    expected = _in_model(model, twins, outputs, images)
    apart = np.any([(received[tensor] != expected[tensor]).any(1) for tensor in outputs], 0)
    places = np.flatnonzero(apart)[:_IMAGES]
    if not len(places):
        return None
    received, expected = ({tensor: each[tensor][places] for tensor in outputs} for each in (received, expected))
    view = _View(graph, images[places], received, expected)
    # There is one at the latest where an output is made.
    found = next(_departures(view, model, twins))
    return dataclasses.replace(found, image=int(places[found.image - 1]) + 1)


class _View:
    """What LiteRT holds in the tensors of a graph while its outputs are those of the graph's own file.

    Attributes:
        unseen: The tensors that were looked for and can't be seen, and whether the outputs of the file that also
            outputs such a one are equal to the model's.
    """

    def __init__(self, graph: QuantizedGraph, images: np.ndarray | Samples, received: _Rows, expected: _Rows):
        self.graph, self.images = graph, images
        self._received, self._expected = received, expected
        self._makers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
        self.unseen: dict[Tensor, bool] = {}

    def of(self, tensors: list[Tensor]) -> _Rows:
        """Return what those hold that can be seen."""
        further = [tensor for tensor in tensors if tensor not in self._received]
        found = self._further(further) if further else {}
        return found | {tensor: self._received[tensor] for tensor in tensors if tensor in self._received}

    def _further(self, tensors: list[Tensor]) -> _Rows:
        try:
            found = _in_litert(self.graph, [*self._received, *tensors], self.images)
        except LiteRTError:
            found = {}
        if found and _equal(found, self._received):
            return {tensor: found[tensor] for tensor in tensors}
        if len(tensors) == 1:
            self.unseen[tensors[0]] = bool(found) and _equal(found, self._expected)
            return {}
        half = len(tensors) // 2
        return self._further(tensors[:half]) | self._further(tensors[half:])

    def unseen_before(self, operator: Operator) -> list[Tensor]:
        """Return what can't be seen between an operator and what can be, in the order of the graph."""
        found, pending = set(), [operator]
        while pending:
            for tensor in pending.pop().inputs:
                if tensor in self.unseen and tensor not in found:
                    found.add(tensor)
                    pending.append(self._makers[tensor])
        return [tensor for tensor in self._makers if tensor in found]


def _departures(view: _View, model: IntegerModel, twins: Mapping[Tensor, Tensor]) -> Iterator[Departure]:
    """Yield the operators that depart, of those whose answers can be seen, in the order of the graph."""
    count, number = len(view.graph.operators), 0
    for portion in _portions(view.graph.operators, len(view.images)):
        seen = view.of([tensor for operator in portion for tensor in operator.outputs])
        expected = _in_model(model, twins, list(seen), view.images)
        for operator in portion:
            number += 1
            for tensor in (each for each in operator.outputs if each in seen):
                steps = _steps(operator, tensor, seen[tensor], expected[tensor])
                if steps.any():
                    figures = _figures(steps)
                    unseen = view.unseen_before(operator)
                    equal = bool(unseen) and all(view.unseen[each] for each in unseen)
                    names = tuple(each.name for each in unseen)
                    yield Departure(
                        operator.kind, tensor.name, number, count, **figures, unseen=names, equal_if_seen=equal
                    )


def _figures(steps: np.ndarray) -> dict[str, int]:
    """Return the figures of the first image on which values are apart."""
    image = int(np.flatnonzero(steps.any(1))[0])
    differing = int(np.count_nonzero(steps[image]))
    return {
        "image": image + 1,
        "differing": differing,
        "values": steps.shape[1],
        "steps": int(np.ceil(steps[image].max())),
    }


def _equal(found: _Rows, outputs: _Rows) -> bool:
    return all(np.array_equal(found[tensor], values) for tensor, values in outputs.items())


def _twins(graph: QuantizedGraph, other: QuantizedGraph) -> dict[Tensor, Tensor]:
    """Return for each tensor that a graph computes that of another graph of the same operators."""
    ours, theirs = (
        [(operator.kind, *(tensor.shape for tensor in operator.outputs)) for operator in each.operators]
        for each in (graph, other)
    )
    if ours != theirs:
        raise InputError(f"Expected a model of the operators of {graph.name}, received one of others.")
    pairs = zip(graph.operators, other.operators, strict=True)
    return {mine: twin for one, two in pairs for mine, twin in zip(one.outputs, two.outputs, strict=True)}


def _portions(operators: list[Operator], images: int) -> Iterator[list[Operator]]:
    """Yield operators in their order, as many as one file is to show."""
    portion: list[Operator] = []
    tensors = values = 0
    for operator in operators:
        more = images * sum(tensor.size for tensor in operator.outputs)
        if portion and (tensors + len(operator.outputs) > _TENSORS or values + more > _VALUES):
            yield portion
            portion, tensors, values = [], 0, 0
        portion.append(operator)
        tensors, values = tensors + len(operator.outputs), values + more
    yield portion


def _in_litert(graph: QuantizedGraph, tensors: list[Tensor], images: np.ndarray | Samples) -> _Rows:
    """Return what tensors hold in LiteRT in a file whose outputs they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(write(dataclasses.replace(graph, outputs=tensors)))
        return dict(zip(tensors, every_output(path, images), strict=True))


def _in_model(
    model: IntegerModel, twins: Mapping[Tensor, Tensor], tensors: list[Tensor], images: np.ndarray | Samples
) -> _Rows:
    """Return what the model holds for tensors of the graph."""
    if not tensors:
        return {}
    found = model.outputs_of(images, [twins[tensor] for tensor in tensors])
    return {tensor: values.reshape(len(images), -1) for tensor, values in zip(tensors, found, strict=True)}


def _steps(operator: Operator, tensor: Tensor, received: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return how far values are apart, in steps of the integers that they are or were."""
    if tensor.dtype != "float32":
        return np.abs(received.astype("int64") - expected.astype("int64"))
    [scale] = operator.inputs[0].quantization.scales
    return np.abs(received.astype("float64") - expected) / scale
