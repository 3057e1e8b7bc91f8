"""How an int8 file compares with its quantized model, to the bit."""

import collections
import dataclasses
import platform
from collections.abc import Sequence

import numpy as np

from keras_lite.export.mixed import PartsExactness, steps_text
from keras_lite.litert import target_of


@dataclasses.dataclass(frozen=True)
class Exactness:
    """How an int8 file compares with its quantized model, computed in whole numbers.

    Args:
        equal: Share of the outputs that are equal.
        steps: Largest difference, in steps of the output.
        inexact: The processor, if its rules are not known: a difference of one step is allowed then. Empty: every
            output must be equal.
        parts: Of a file with parts in floats, how each part compares with its model; then that is judged. None: all
            is int8.
        elsewhere: How many of the outputs are others on other processors, by their name as a target of
            `keras_lite.litert.IntegerModel`; empty for a file with parts in floats.
    """

    equal: float
    steps: int
    inexact: list[str]
    parts: PartsExactness | None = None
    elsewhere: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def allowed(self) -> int:
        """The largest difference that is allowed, in steps."""
        return allowed_steps(self.inexact)

    def beside(self, target: str, count: int) -> "Exactness":
        """Return the same comparison with how many outputs are others on another target."""
        return dataclasses.replace(self, elsewhere={target: int(count)})

    def __str__(self) -> str:
        """Return the comparison as the end of a sentence that begins with the file."""
        if self.parts is not None:
            return str(self.parts)
        if self.equal == 1.0:
            return "equals its quantized model to the bit"
        reason = f" ({', '.join(self.inexact)} without an exact rule)" if self.inexact else ""
        return f"differs from its quantized model by up to {steps_text(self.steps)}, {self.equal:.2%} equal{reason}"


def allowed_steps(inexact: list[str]) -> int:
    """Return by how many steps an int8 file may differ from its quantized model: none, or one where rules are missing.

    Args:
        inexact: Name of a processor whose rules are not known.
    """
    return 1 if inexact else 0


def exactness(
    expected: np.ndarray, received: np.ndarray, step: float, parts: PartsExactness | None = None
) -> Exactness:
    """Return how an int8 file's outputs compare with its quantized model's.

    Args:
        expected: The quantized model's outputs, computed in whole numbers.
        received: The file's.
        step: Of the output: its scale.
        parts: How each part compares, if some are in floats.
    """
    apart = np.abs(np.rint((received.astype("float64") - expected) / step))
    machine = platform.machine()
    inexact = [f"processor {machine}"] if target_of(machine) is None else []
    return Exactness(float((apart == 0).mean()), int(apart.max()), inexact, parts)


def combined(heads: Sequence[Exactness]) -> Exactness:
    """Return the comparison of several outputs: the least share, the largest difference, all that is elsewhere."""
    counts = collections.Counter()
    for head in heads:
        counts.update(head.elsewhere)
    return dataclasses.replace(
        heads[0],
        equal=min(head.equal for head in heads),
        steps=max(head.steps for head in heads),
        elsewhere=dict(counts),
    )
