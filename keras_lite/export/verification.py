"""Comparing the answers of a TFLite file with those of the model it came from."""

import dataclasses
from typing import Any

import numpy as np

from keras_lite.errors import InputError

_ROUNDING = 1e-5


class VerificationError(InputError):
    """A converted file does not answer like its model; the message gives the figures."""


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What a converted file must reach to be given its name.

    Args:
        agreement: Least share of images with the same top-1 class as the model's.
        correlation: Least correlation with the model's answers, both as deviations from their mean over the images:
            a file that answers a constant has none.
        difference: Largest difference of an answer, as a share of the model's largest; None for no limit.
    """

    agreement: float
    correlation: float
    difference: float | None = None


THRESHOLDS = {
    "float32": Thresholds(agreement=0.99, correlation=0.999, difference=1e-3),
    "float16": Thresholds(agreement=0.97, correlation=0.99, difference=3e-2),
    "dynamic": Thresholds(agreement=0.90, correlation=0.90),
    "int16": Thresholds(agreement=0.90, correlation=0.90),
    "int8": Thresholds(agreement=0.85, correlation=0.80),
    "int8 quantisation-aware": Thresholds(agreement=0.95, correlation=0.90),
}


@dataclasses.dataclass(frozen=True)
class Verification:
    """How the answers of a TFLite file differ from the model's.

    Args:
        images: Number of images compared.
        agreement: Share of images with the same top-1 class.
        correlation: Correlation of the answers' deviations from their mean over the images.
        largest_difference: Of one answer.
        mean_difference: Over all answers.
        largest_answer: Largest absolute answer of the model, to judge the differences by.
    """

    images: int
    agreement: float
    correlation: float
    largest_difference: float
    mean_difference: float
    largest_answer: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return dataclasses.asdict(self)

    def shortcomings(self, thresholds: Thresholds) -> list[str]:
        """Return one text for each threshold that is missed, with both figures.

        Answers that differ by no more than the rounding of float32 miss none: those of an untrained network may vary
        so little over the images that their agreement and correlation are chance.
        """
        if self.largest_difference <= _ROUNDING * self.largest_answer:
            return []
        missed = []
        if self.agreement < thresholds.agreement:
            missed.append(f"top-1 agreement {self.agreement:.1%} < {thresholds.agreement:.1%}")
        if self.correlation < thresholds.correlation:
            missed.append(f"correlation {self.correlation:.3f} < {thresholds.correlation}")
        limit = None if thresholds.difference is None else thresholds.difference * self.largest_answer
        if limit is not None and not self.largest_difference <= limit:
            missed.append(f"largest difference {self.largest_difference:.2g} > {limit:.2g}")
        return missed


def compare(expected: np.ndarray, received: np.ndarray) -> Verification:
    """Compare the answers of two models to the same images.

    Args:
        expected: The reference's answers, float, of shape `(count, classes)`.
        received: The other's, of the same shape.

    Returns:
        The figures.

    Raises:
        VerificationError: If the shapes differ, or an answer is not a finite number.
    """
    if expected.shape != received.shape:
        raise VerificationError(f"Expected answers of shape {expected.shape}, received {received.shape}.")
    for name, answers in (("model", expected), ("TFLite file", received)):
        if not np.isfinite(answers).all():
            raise VerificationError(f"Expected finite answers, received inf or nan from the {name}.")
    expected = expected.reshape(len(expected), -1).astype("float64")
    received = received.reshape(len(received), -1).astype("float64")
    difference = np.abs(expected - received)
    return Verification(
        images=len(expected),
        agreement=float((expected.argmax(1) == received.argmax(1)).mean()),
        correlation=_correlation(expected - expected.mean(0), received - received.mean(0)),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        largest_answer=float(np.abs(expected).max()),
    )


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    sizes = float(np.sqrt((first**2).sum() * (second**2).sum()))
    # Two constants agree; a constant and something else have nothing in common.
    if sizes == 0.0:
        return float(not first.any() and not second.any())
    return float((first * second).sum() / sizes)
