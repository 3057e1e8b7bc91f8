"""The search for the way of post-training quantization that keeps a model's outputs best."""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.errors import InputError
from keras_lite.litert import Graph, QuantizationParameters, Tensor, quantize_kernel, write
from keras_lite.litert.samples import Samples
from keras_lite.litert.scheme import CHANNEL_AXES
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibrated import CalibratedGraph
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
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.observe import Observation, float_graph, observe, opened, ranges_from
from keras_lite.quantization.ranges import (
    EMPTY,
    Estimator,
    least_error_range,
    percentile_range,
    rounding_loss,
    whole_range,
)
from keras_lite.runtime.inspection import examine

# How an activation's range is taken from its values; the first stays unless another is closer.
ESTIMATORS: dict[str, Estimator] = {
    "least squared error": least_error_range,
    "least cubed error": functools.partial(least_error_range, power=3.0),
    "99.999 %": functools.partial(percentile_range, share=1e-5),
    "minimum and maximum": whole_range,
}
# By so many standard errors another estimator must be closer than the first, and equalized channels closer than those
# that are not. One range saves operators, and stays unless it is farther by so many.
_BEYOND = 1.0
# Where rounding the weights alone gives less than this share of the divergence, rounding them better gives nothing.
_WORTH = 0.1
_WEAKEST = 3
# Numbers that all judges have for outputs, and that an output's range is chosen by; judges there are at the least.
_MOST_JUDGED, _MOST_ROUNDED, _LEAST_JUDGES = 1 << 25, 1 << 20, 8


@dataclasses.dataclass(frozen=True)
class Steps:
    """A way to quantize.

    Args:
        ranges: Name of the estimator of activation ranges, out of `ESTIMATORS`.
        bias_correction: Whether biases are corrected (see `keras_lite.quantization.bias_correction`).
        by_effect: Whether weights are rounded by their effect (see `keras_lite.quantization.rounding`).
        equalization: Whether channels are equalized (see `keras_lite.quantization.equalization`).
        one_range: Whether all that is concatenated has one range (see `keras_lite.quantization.calibrated`).
    """

    ranges: str
    bias_correction: bool = False
    by_effect: bool = False
    equalization: bool = False
    one_range: bool = False

    def __str__(self) -> str:
        """Return what it is, in one line."""
        steps = [f"ranges: {self.ranges}"]
        steps += ["corrected biases"] if self.bias_correction else []
        steps += ["weights rounded by effect"] if self.by_effect else []
        steps += ["equalized channels"] if self.equalization else []
        steps += ["one range for what is concatenated"] if self.one_range else []
        return ", ".join(steps)


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
    """

    def __init__(
        self, form: Int8Form, output: Kind, ends: list[tuple[float, float]], images: np.ndarray | Samples
    ) -> None:
        self.form, self.output, self.ends = form, output, ends
        numbers = sum(tensor.size for tensor in form.graph.outputs)
        self.images, self.judges = images[::2], images[1::2][: max(_LEAST_JUDGES, _MOST_JUDGED // numbers)]
        self.tried: list[tuple[Candidate, np.ndarray]] = []
        self.chosen = 0
        self.best: CalibratedGraph | None = None
        self.refused: InputError | None = None
        self.expected = self._outputs(float_graph(form, form.graph.outputs))
        self.answers = self._ranges_of_outputs()

    def run(self) -> CalibratedGraph:
        """Try all candidates, and return the one that is kept.

        Raises:
            InputError: If LiteRT runs none of them, or none has biases of 32 bits.
        """
        maker = _Maker(self.form, self.images, self.ends, self.answers)
        # Ranges are judged with corrected biases: what a cut takes from the means is given back then.
        for ranges in ESTIMATORS:
            self._try(maker, Steps(ranges, bias_correction=True), _BEYOND)
        if self.best is None:
            raise self.refused
        self._try(maker, self._with(bias_correction=False))
        if self._weights_matter():
            # ResNet-20's files were closer for it on 2,500 other images, each time, whatever a few hundred judges said.
            self._try(maker, self._with(bias_correction=True, by_effect=True), -BELIEVED)
        if maker.equalized is not None:
            self._try(maker, self._with(equalization=True), _BEYOND)
        united = dataclasses.replace(self.best, one_range=True)
        if len(united.graph.operators) < len(self.best.graph.operators):
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

    def _with(self, **changes: bool) -> Steps:
        """Return the chosen steps with others."""
        chosen = self.tried[self.chosen][0]
        return Steps(**{each.name: getattr(chosen, each.name) for each in dataclasses.fields(Steps)} | changes)

    def _try(self, maker: "_Maker", steps: Steps, beyond: float = 0.0) -> None:
        """Keep a candidate if it is closer than the chosen one by more than some standard errors."""
        try:
            calibrated = maker.make(steps)
            received = self._outputs(calibrated.graph)
        except InputError as error:
            self.refused = error
            return
        each = divergences(self.output, self.expected, received)
        found = closeness(self.output, self.expected, received)
        self.tried.append((Candidate(**dataclasses.asdict(steps), closeness=found), each))
        if self.best is None or is_closer(each, self.tried[self.chosen][1], beyond):
            self.chosen, self.best = len(self.tried) - 1, calibrated

    def _outputs(self, graph: Graph) -> Answers:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{graph.name or 'model'}.tflite")
            path.write_bytes(write(graph))
            examined = examine(path, delegates=False, images=self.judges, stop_at_bad_scales=True)
        if scales := examined.inspection.bad_scales:
            raise InputError(f"Expected scales that XNNPACK can run, received {scales[0]}.")
        if not all(np.isfinite(each).all() for each in self._each(examined.outputs)):
            raise InputError("Expected a model with finite outputs, received inf or nan.")
        return examined.outputs

    def _each(self, outputs: Answers) -> list[np.ndarray]:
        return outputs if isinstance(self.output, tuple) else [outputs]

    def _ranges_of_outputs(self) -> list[tuple[float, float]]:
        """Return the ranges in which the float model's outputs are rounded with the least divergence."""
        kinds = self.output if isinstance(self.output, tuple) else [self.output]
        return [_range_of_output(*each) for each in zip(kinds, self._each(self.expected), strict=True)]

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
        received = self._outputs(float_graph(form, form.graph.outputs))
        alone = divergences(self.output, self.expected, received).mean()
        return float(alone) > _WORTH * self.tried[self.chosen][0].closeness.divergence

    def _weakest(self) -> dict[str, float]:
        losses = {
            tensor.name: rounding_loss(seen.counts, float(seen.lowest.min()), float(seen.highest.max()), ends)
            for tensor, seen in self.observed.tensors.items()
            if (ends := self.best.ranges.get(tensor)) is not None and tensor not in self.form.fixed
        }
        return dict(sorted(losses.items(), key=lambda item: item[1])[:_WEAKEST])


class _Maker:
    """Makes candidates from some images; what several need is seen once."""

    def __init__(
        self,
        form: Int8Form,
        images: np.ndarray | Samples,
        ends: list[tuple[float, float]],
        answers: list[tuple[float, float]],
    ):
        self.form, self.images, self.ends, self.answers = form, images, ends, answers
        self._observed: dict[bool, Observation] = {}

    def observed(self, equalization: bool) -> Observation:
        """Return what the images give, with equalized channels or without."""
        if equalization not in self._observed:
            self._observed[equalization] = observe(self.equalized if equalization else self.form, self.images)
        return self._observed[equalization]

    @functools.cached_property
    def equalized(self) -> Int8Form | None:
        """The graph with equalized channels; None if there is nothing to scale."""
        return equalize(self.form, self.observed(False))

    def make(self, steps: Steps) -> CalibratedGraph:
        """Return a candidate."""
        observed = self.observed(steps.equalization)
        form = self.equalized if steps.equalization else self.form
        ranges = ranges_from(form, observed, ESTIMATORS[steps.ranges])
        ranges |= dict(zip(form.graph.inputs, self.ends, strict=True))
        for answer, found in zip(form.graph.outputs, self.answers, strict=True):
            if answer in ranges and answer not in form.fixed:
                ranges[answer] = found
        calibrated = CalibratedGraph(form, ranges, steps.one_range)
        if not steps.bias_correction:
            return calibrated
        return correct_biases(calibrated, observed, self.images, steps.by_effect)


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
