"""How an int8 file compares with its quantized model, to the bit."""

import dataclasses
import platform

import numpy as np

from keras_lite.export.mixed import PartsExactness, steps_text

_X86 = ("x86_64", "amd64", "i386", "i686")


@dataclasses.dataclass(frozen=True)
class Exactness:
    """How an int8 file compares with its quantized model, computed in whole numbers.

    Args:
        equal: Share of the outputs that are equal.
        steps: Largest difference, in steps of the output.
        inexact: The processor, if it is none of x86: a difference of one step is allowed then. Empty: every output
            must be equal.
        parts: Of a file with parts in floats, how each part compares with its model; then that is judged. None: all
            is int8.
    """

    equal: float
    steps: int
    inexact: list[str]
    parts: PartsExactness | None = None

    @property
    def allowed(self) -> int:
        """The largest difference that is allowed, in steps."""
        return allowed_steps(self.inexact)

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
        inexact: Name of a processor that is none of x86.
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
    inexact = [] if machine.lower() in _X86 else [f"processor {machine}"]
    return Exactness(float((apart == 0).mean()), int(apart.max()), inexact, parts)
