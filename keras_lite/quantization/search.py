"""The search for the way of post-training quantization that keeps a model's outputs best."""

import dataclasses
from typing import Any

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import Graph, QuantizationParameters, Tensor, quantize_kernel
from keras_lite.litert.samples import Samples
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.candidates import ESTIMATORS, Maker, Steps
from keras_lite.quantization.closeness import (
    BELIEVED,
    Answers,
    Closeness,
    Kind,
    closeness,
    divergences,
    is_closer,
    measure,
)
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.observe import float_graph, observe, opened, written
from keras_lite.quantization.ranges import EMPTY, rounding_loss
from keras_lite.runtime.session import LiteRTSession

# By so many standard errors another estimator must be closer than the first. Corrected biases stay unless they are
# farther by so many, and so does one range, which saves operators.
_BEYOND = 1.0
# Where rounding the weights alone gives less than this share of the divergence, rounding them better gives nothing.
_WORTH = 0.1
# Judges that are enough to tell that.
_FEW = 64
# One range is tried where it saves this share of the operators: less is not worth the wider steps.
_SAVED = 0.05
_WEAKEST = 3
# Tensors as large as the largest that are in memory at a time, roughly.
_AT_A_TIME = 4
# Numbers that all judges have for outputs, and that an output's range is chosen by; judges there are at the least.
_MOST_JUDGED, _MOST_ROUNDED, _LEAST_JUDGES = 1 << 25, 1 << 20, 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate(Steps):
    """One way to quantize, and how far it is from the float model on the images that judge.

    Args:
        closeness: How far its outputs are from the float model's (see `keras_lite.quantization.closeness`).
        within_noise: Whether the images can't tell it from the chosen one: the difference of the mean divergences is
            at most two standard errors of the differences, image by image.
    """

    closeness: Closeness
    within_noise: bool = False

    __str__ = Steps.__str__


@dataclasses.dataclass(frozen=True)
class PostTraining:
    """What `keras_lite.quantization.post_training` chose, and from what.

    Args:
        output: What the float model outputs, by which the candidates were judged; a tuple if it has several outputs.
        chosen: The candidate that was kept.
        tried: All candidates, in the order in which they were tried.
        images: Number of images that set ranges and biases.
        judges: Number of the other images, by which the candidates were judged.
        weakest: The tensors that lose most in their ranges: name, and signal to rounding error in decibels.
    """

    output: Kind
    chosen: Candidate
    tried: list[Candidate]
    images: int
    judges: int
    weakest: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Return a line for each candidate, the chosen one marked, and one for the tensors that lose most."""
        lines = [
            f"{'*' if candidate == self.chosen else ' '} {candidate}: {candidate.closeness.text(self.output)}"
            + (", within noise of *" if candidate.within_noise and candidate != self.chosen else "")
            for candidate in self.tried
        ]
        head = (
            f"post-training quantization, {self.images} images for ranges and biases, {self.judges} others to judge "
            f"each file by ({measure(self.output)}):"
        )
        weakest = ", ".join(f"{name} ({value:.0f} dB)" for name, value in self.weakest.items())
        return "\n".join([head, *lines, f"tensors that lose most: {weakest}"])


class Search:
    """The candidates, tried one after the other; each is written as a file and run, so that the file is the judge.

    Args:
        form: What `for_int8` returned.
        output: What the float model outputs, see `keras_lite.quantization.closeness`.
        ends: The range of each input.
        images: Preprocessed images, or other samples; every second one judges, the others set ranges and biases.
        session: What runs the files.
    """

    def __init__(
        self,
        form: Int8Form,
        output: Kind,
        ends: list[tuple[float, float]],
        images: np.ndarray | Samples,
        session: LiteRTSession,
    ) -> None:
        self.form, self.output, self.ends, self.session = form, output, ends, session
        numbers = sum(tensor.size for tensor in form.graph.outputs)
        self.images, self.judges = images[::2], images[1::2][: max(_LEAST_JUDGES, _MOST_JUDGED // numbers)]
        self.few = self.judges[:_FEW]
        self.tried: list[tuple[Candidate, np.ndarray]] = []
        self.chosen = 0
        self.best: CalibratedGraph | None = None
        self.refused: InputError | None = None
        self.expected = self._outputs(self._written(float_graph(form, form.graph.outputs)), self.judges)
        self.observed = observe(form, self.images, session, outputs=min(len(self.images), len(self.judges)))
        self.answers = self._ranges_of_outputs()

    def run(self) -> CalibratedGraph:
        """Try all candidates, and return the one that is kept.

        Raises:
            InputError: If LiteRT runs none of them, or none has biases of 32 bits.
        """
        maker = Maker(self.form, self.images, self.observed, self.ends, self.answers, self.session)
        for ranges in ESTIMATORS:
            self._try(maker, Steps(ranges), _BEYOND)
        if self.best is None:
            raise self.refused
        # What cuts take from the means, corrected biases give back: that may turn what is within noise. On other images
        # files were closer for it on each network that was measured.
        for ranges in self._best_ranges():
            beyond = -_BEYOND if ranges == self._with().ranges else _BEYOND
            self._try(maker, Steps(ranges, bias_correction=True), beyond)
        if maker.equalized is not None:
            # No threshold: one of a standard error kept out what was closer on other images more often than it kept out
            # what was farther there.
            self._try(maker, self._with(equalization=True))
        if self._weights_matter():
            # ResNet-20's files were closer for it on 2,500 other images, each time, whatever a few hundred judges said.
            self._try(maker, self._with(bias_correction=True, by_effect=True), -BELIEVED)
        united = dataclasses.replace(self.best, one_range=True)
        if len(united.graph.operators) <= (1.0 - _SAVED) * len(self.best.graph.operators):
            self._try(maker, self._with(one_range=True), -_BEYOND)
        self.observed = maker.observed(self._with().equalization)
        return self.best

    def report(self) -> PostTraining:
        """Return what was chosen, and from what."""
        _, best = self.tried[self.chosen]
        tried = [
            dataclasses.replace(candidate, within_noise=not is_closer(best, each) and not is_closer(each, best))
            for candidate, each in self.tried
        ]
        chosen = tried[self.chosen]
        return PostTraining(self.output, chosen, tried, len(self.images), len(self.judges), self._weakest())

    def _best_ranges(self) -> list[str]:
        """Return the first estimator, and the best of the others unless the judges tell it to be farther."""
        (first, alone), *others = self.tried
        if not others:
            return [first.ranges]
        best, each = min(others, key=lambda other: float(other[1].mean()))
        return [first.ranges] if is_closer(alone, each) else [first.ranges, best.ranges]

    def _with(self, **changes: bool) -> Steps:
        """Return the chosen steps with others."""
        chosen = self.tried[self.chosen][0]
        return Steps(**{each.name: getattr(chosen, each.name) for each in dataclasses.fields(Steps)} | changes)

    def _try(self, maker: Maker, steps: Steps, beyond: float = 0.0) -> None:
        """Keep a candidate if it is closer than the chosen one by more than some standard errors."""
        try:
            calibrated = maker.make(steps)
            received = self._outputs(self._written(calibrated.graph), self.judges)
        except InputError as error:
            self.refused = error
            return
        each = divergences(self.output, self.expected, received)
        found = closeness(self.output, self.expected, received)
        self.tried.append((Candidate(**dataclasses.asdict(steps), closeness=found), each))
        if self.best is None or is_closer(each, self.tried[self.chosen][1], beyond):
            self.chosen, self.best = len(self.tried) - 1, calibrated

    def _written(self, graph: Graph) -> bytes:
        largest = max(tensor.size for operator in graph.operators for tensor in operator.outputs)
        return written(graph, _AT_A_TIME * largest)

    def _outputs(self, content: bytes, images: np.ndarray | Samples) -> Answers:
        found = self.session.outputs(content, images)
        if not all(np.isfinite(each).all() for each in found):
            raise InputError("Expected a model with finite outputs, received inf or nan.")
        return found if isinstance(self.output, tuple) else found[0]

    def _each(self, outputs: Answers) -> list[np.ndarray]:
        return outputs if isinstance(self.output, tuple) else [outputs]

    def _ranges_of_outputs(self) -> list[tuple[float, float]]:
        """Return the ranges in which the float model's outputs are rounded with the least divergence.

        The judges alone are too few: cut off too early, a rare photo's likeliest classes become one number.
        """
        kinds = self.output if isinstance(self.output, tuple) else [self.output]
        return [
            _range_of_output(kind, np.concatenate(each))
            for kind, *each in zip(kinds, self._each(self.expected), self.observed.outputs, strict=True)
        ]

    def _weights_matter(self) -> bool:
        """Return whether rounding the weights alone gives a part of the divergence that is worth a better rounding."""
        rounded = {}
        for operator in self.form.graph.operators:
            if operator.kind in CHANNEL_AXES:
                axis, kernel = CHANNEL_AXES[operator.kind], operator.kernel
                whole, quantization = quantize_kernel(kernel.data, axis)
                along = [-1 if each == axis else 1 for each in range(whole.ndim)]
                rounded[kernel] = Tensor(kernel.name, kernel.shape, whole * quantization.scales.reshape(along))
        form = self.form.with_constants(rounded)
        received = self._outputs(self._written(float_graph(form, form.graph.outputs)), self.few)
        expected = [each[:_FEW] for each in self._each(self.expected)]
        expected = expected if isinstance(self.output, tuple) else expected[0]
        alone = divergences(self.output, expected, received).mean()
        return float(alone) > _WORTH * self.tried[self.chosen][0].closeness.divergence

    def _weakest(self) -> dict[str, float]:
        losses = {
            tensor.name: rounding_loss(seen.counts, float(seen.lowest.min()), float(seen.highest.max()), ends)
            for tensor, seen in self.observed.tensors.items()
            if (ends := self.best.ranges.get(tensor)) is not None and tensor not in self.form.fixed
        }
        return dict(sorted(losses.items(), key=lambda item: item[1])[:_WEAKEST])


def _range_of_output(output: str, expected: np.ndarray) -> tuple[float, float]:
    """Return the range in which outputs of a kind are rounded with the least divergence."""
    lowest, highest = min(float(expected.min()), 0.0), max(float(expected.max()), 0.0)
    expected = expected[:: -(-expected.size // _MOST_ROUNDED)]
    if highest - lowest < EMPTY:
        return opened(lowest, highest)
    shares = np.linspace(1.0, 0.0, 33)[:-1]

    def loss(low: float, high: float) -> float:
        parameters = QuantizationParameters.between(low, high)
        rounded = parameters.dequantize(parameters.quantize(expected))
        return float(divergences(output, expected, rounded).mean())

    low = min((lowest * share for share in shares), key=lambda end: loss(end, highest))
    high = min((highest * share for share in shares), key=lambda end: loss(low, end))
    return low, high
