"""How far a quantized model's answers are from the float model's, photo by photo, for each kind of head.

A kind is a name, as `keras_lite.data.ModelInfo.output` has it, or, of a model with several outputs, a tuple of names;
answers are then lists of arrays. Answers may be rows of numbers, or images and maps: then each pixel is one choice of
classes, or one vector.

Answers are compared as the quantized model gives them: logits where the float model ends in a softmax, which is not
part of a quantized model, and otherwise what the float model answers.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_lite.data.model_info import OUTPUTS
from keras_lite.errors import InputError
from keras_lite.graph import as_functional, output_kinds, output_names

# Sigmoids of an int8 file have steps of 1/256: what is closer to 0 or 1 than half of one can't be told apart.
_LEAST_PROBABILITY = 1.0 / 512.0
# A difference of two means is believed from this many of its standard errors on.
BELIEVED = 2.0

# Kinds of outputs that are measured as another; several are measured one by one, by what their last layers tell.
MEASURED_AS = {"image": "regression", "several": None}

Kind = str | tuple[str, ...]
Answers = np.ndarray | Sequence[np.ndarray]

# What `divergences` are of each kind.
MEASURES = {
    "logits": "Kullback-Leibler divergence",
    "probabilities": "Kullback-Leibler divergence",
    "sigmoid": "Kullback-Leibler divergence of each label",
    "regression": "squared error as a share of the variance",
    "embedding": "1 - cosine",
}
AGREEMENT = {
    "logits": "same top-1 class",
    "probabilities": "same top-1 class",
    "sigmoid": "labels on the same side of one half",
    "regression": "correlation",
    "embedding": "cosine",
}


@dataclasses.dataclass(frozen=True)
class Closeness:
    """How far answers are from the float model's.

    Args:
        divergence: Mean over the photos of `divergences`.
        standard_error: Of that mean; None of a single photo.
        agreement: See `agreement`.
    """

    divergence: float
    standard_error: float | None
    agreement: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        return dataclasses.asdict(self)

    def text(self, output: Kind) -> str:
        """Return the figures in a line, for answers of a kind."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.5f}"
        divergence = f"divergence {self.divergence:.5f}{error}"
        if isinstance(output, tuple):
            return f"{divergence} on average over {len(output)} outputs, least agreement {self.agreement:.4f}"
        measure = f" ({MEASURES[output]})" if output in ("regression", "embedding") else ""
        return f"{divergence}{measure}, {AGREEMENT[output]} {format_agreement(output, self.agreement)}"


def agreement_title(output: str, other: str) -> str:
    """Return the head of a column with agreements with another model.

    Args:
        output: What the models answer, as `keras_lite.data.ModelInfo.output` names it.
        other: Name of the other model.
    """
    return f"{AGREEMENT[output]} with {other}" if output in ("regression", "embedding") else f"agrees with {other}"


def format_agreement(output: str, value: float) -> str:
    """Return an agreement as text: a share in percent, a correlation or cosine as it is."""
    return f"{value:.4f}" if output in ("regression", "embedding") else f"{value:.2%}"


def measure(output: Kind) -> str:
    """Return what `divergences` are of a kind, in words.

    Example:

    >>> measure(("logits", "regression"))
    'mean of Kullback-Leibler divergence and squared error as a share of the variance'
    """
    if isinstance(output, str):
        return MEASURES[output]
    measures = list(dict.fromkeys(MEASURES[each] for each in output))
    return f"mean of {' and '.join(measures)}" if len(measures) > 1 else f"mean {measures[0]}"


def closeness(output: Kind, expected: Answers, received: Answers) -> Closeness:
    """Return how far answers are from the float model's.

    Args:
        output: What the float model answers.
        expected: The float model's answers, of shape `(count, outputs)`.
        received: The other's.
    """
    each = divergences(output, expected, received)
    error = standard_error(each) if len(each) > 1 else None
    return Closeness(float(each.mean()), error, agreement(output, expected, received))


def divergences(output: Kind, expected: Answers, received: Answers) -> np.ndarray:
    """Return for each photo how far its answer is from the float model's; 0 is equal.

    Of logits the Kullback-Leibler divergence of the class probabilities that they mean, in nats; of a sigmoid that of
    the labels' own probabilities, on average over the labels; of a regression the squared error as a share of the
    answers' variance; of an embedding 1 minus the cosine. Of images and maps it is the mean over the pixels, of several
    outputs the mean over them.

    Args:
        output: What the float model answers.
        expected: The float model's answers, of shape `(count, outputs)`.
        received: The other's.

    Example:

    >>> float(divergences("embedding", np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]]))[0])
    1.0
    """
    if isinstance(output, tuple):
        return np.mean([divergences(*each) for each in zip(output, expected, received, strict=True)], axis=0)
    expected, received = (_by_pixel(np.asarray(each, "float64")) for each in (expected, received))
    if output == "sigmoid":
        return _binary(expected, received).mean(axis=(1, 2))
    if output == "regression":
        return np.square(expected - received).mean(axis=(1, 2)) / max(expected.var(axis=(0, 1)).mean(), 1e-12)
    if output == "embedding":
        return 1.0 - _cosines(expected, received).mean(axis=1)
    expected, received = log_probabilities(expected), log_probabilities(received)
    return (np.exp(expected) * (expected - received)).sum(axis=2).mean(axis=1)


def _by_pixel(answers: np.ndarray) -> np.ndarray:
    """Return answers with the axes photos, pixels, numbers: a row of numbers is one pixel."""
    return answers.reshape(len(answers), -1, answers.shape[-1])


def agreement(output: Kind, expected: Answers, received: Answers) -> float:
    """Return in one number how much of the float model's answers is kept; `AGREEMENT` names it.

    Of logits and probabilities the share of photos with the same top-1 class; of a sigmoid the share of labels on the
    same side of one half; of a regression the correlation of the answers' deviations from their mean; of an embedding
    the mean cosine. Of images and maps each pixel counts by itself; of several outputs it is the least.

    Args:
        output: What the float model answers.
        expected: The float model's answers, of shape `(count, outputs)`.
        received: The other's.
    """
    if isinstance(output, tuple):
        return min(agreement(*each) for each in zip(output, expected, received, strict=True))
    if output == "sigmoid":
        return float(((expected > 0.5) == (received > 0.5)).mean())
    if output == "regression":
        return correlation(expected, received)
    if output == "embedding":
        return float(_cosines(_by_pixel(expected), _by_pixel(received)).mean())
    return float((expected.argmax(-1) == received.argmax(-1)).mean())


def is_closer(first: np.ndarray, second: np.ndarray, errors: float = BELIEVED) -> bool:
    """Whether the first answers are closer than the second beyond chance, photo by photo.

    Args:
        first: `divergences` of some photos.
        second: Those of the same photos by another model.
        errors: By how many standard errors of the mean difference they must be.
    """
    difference = second - first
    return float(difference.mean()) > errors * standard_error(difference)


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")


def correlation(expected: np.ndarray, received: np.ndarray) -> float:
    """Return the correlation of two models' answers, both as deviations from their mean over the images."""
    expected, received = (np.asarray(values, "float64").reshape(len(values), -1) for values in (expected, received))
    first, second = expected - expected.mean(0), received - received.mean(0)
    sizes = float(np.sqrt((first**2).sum() * (second**2).sum()))
    # Two constants agree; a constant and something else have nothing in common.
    if sizes == 0.0:
        return float(not first.any() and not second.any())
    return float((first * second).sum() / sizes)


def as_quantized(output: Kind, answers: Answers) -> Answers:
    """Return a float model's answers as its quantized model gives them: logits in place of probabilities.

    Where a quantized model keeps its softmax, its logarithms are what that is compared by.
    """
    if isinstance(output, tuple):
        return [as_quantized(*each) for each in zip(output, answers, strict=True)]
    return np.log(np.maximum(answers, 1e-30)) if output == "probabilities" else answers


def judged_as(model: keras.Model, output: str | Sequence[str] | Mapping[str, str] | None = None) -> Kind:
    """Return what a model answers, for its closeness: what is said of it, unless its last layer leaves no choice.

    A sigmoid or a single number is no choice of classes, whatever it is called.

    Args:
        model: A functional or Sequential model.
        output: What is said: a kind for its one output; kinds in the order of its outputs; or by their names, of some.

    Raises:
        InputError: If that is no kind, or is said of other outputs.
    """
    names, shapes = output_names(model), [tuple(tensor.shape) for tensor in as_functional(model).outputs]
    kinds = tuple(
        found if said is None or found == "sigmoid" or (found == "regression" and shape[-1] == 1) else said
        for found, said, shape in zip(output_kinds(model), _said(output, names), shapes, strict=True)
    )
    return kinds[0] if len(kinds) == 1 else kinds


def _said(output: str | Sequence[str] | Mapping[str, str] | None, names: list[str]) -> list[str | None]:
    if isinstance(output, Mapping):
        said, fits = [output.get(name) for name in names], set(output) <= set(names)
    else:
        said = [output] * len(names) if output is None or isinstance(output, str) else list(output)
        fits = len(said) == len(names) and not (isinstance(output, str) and len(names) > 1 and output != "several")
    for kind in [output] if isinstance(output, str) else [each for each in said if each is not None]:
        if kind not in OUTPUTS:
            raise InputError(f"Expected output to be one of {OUTPUTS}, received {kind!r}.")
    if not fits:
        raise InputError(f"Expected output for the outputs {', '.join(names)}, by name or in order, received {output}.")
    return [MEASURED_AS.get(kind, kind) for kind in said]


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the class probabilities that logits mean, along the last axis."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def _binary(expected: np.ndarray, received: np.ndarray) -> np.ndarray:
    p, q = (np.clip(each, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY) for each in (expected, received))
    return p * np.log(p / q) + (1.0 - p) * np.log((1.0 - p) / (1.0 - q))


def _cosines(expected: np.ndarray, received: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(expected, axis=-1) * np.linalg.norm(received, axis=-1)
    return (expected * received).sum(axis=-1) / np.maximum(lengths, 1e-12)
