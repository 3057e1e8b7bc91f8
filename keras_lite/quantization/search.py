"""The search for the way of post-training quantization that keeps a model's answers best."""

import dataclasses
import functools
from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibration import batches_of, measure, set_ranges, unrounded
from keras_lite.quantization.closeness import Closeness, closeness, divergences, is_closer
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.ranges import Estimator, least_error_range, percentile_range, whole_range

# How an activation's range is taken from its values; the first is what most converters do.
ESTIMATORS: dict[str, Estimator] = {
    "minimum and maximum": whole_range,
    "99.999 %": functools.partial(percentile_range, share=1e-5),
    "99.99 %": functools.partial(percentile_range, share=1e-4),
    "least squared error": least_error_range,
}


# What is simpler stays if the other is closer by fewer standard errors. Two, which is what one needs to believe in a
# difference, gave worse files on images of their own: the closer candidate is the better guess.
_SIMPLER = 1.0


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to quantize, and how far it is from the float model on the images that judge.

    Args:
        ranges: Name of the estimator of activation ranges, out of `ESTIMATORS`.
        bias_correction: Whether biases were corrected (see `keras_lite.quantization.bias_correction`).
        equalization: Whether channels were equalized (see `keras_lite.quantization.equalization`).
        closeness: How far its answers are from the float model's (see `keras_lite.quantization.closeness`).
        within_noise: Whether the images can't tell it from the chosen one: the difference of the mean divergences is
            at most two standard errors of the differences, image by image.
    """

    ranges: str
    bias_correction: bool
    equalization: bool
    closeness: Closeness
    within_noise: bool

    def __str__(self) -> str:
        """Return what it is, in one line."""
        steps = [f"ranges: {self.ranges}"]
        steps += ["equalized channels"] if self.equalization else []
        steps += ["corrected biases"] if self.bias_correction else []
        return ", ".join(steps)


@dataclasses.dataclass(frozen=True)
class PostTraining:
    """What `keras_lite.quantization.post_training` chose, and from what.

    Args:
        output: What the float model answers, by which the candidates were judged.
        chosen: The candidate that was kept.
        tried: All candidates, in the order in which they were tried: what is simpler comes first.
        images: Number of images that set ranges and biases.
        judges: Number of other images, by which the candidates were judged.
    """

    output: str
    chosen: Candidate
    tried: list[Candidate]
    images: int
    judges: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """Return a line for each candidate, the chosen one marked."""
        lines = [
            f"{'*' if candidate == self.chosen else ' '} {candidate}: {candidate.closeness.text(self.output)}"
            + (", within noise of *" if candidate.within_noise and candidate != self.chosen else "")
            for candidate in self.tried
        ]
        head = (
            f"post-training quantization, {self.images} images for ranges and biases, {self.judges} to judge by "
            "(what is simpler stays unless it is worse by a standard error):"
        )
        return "\n".join([head, *lines])


class Search:
    """The candidates, tried one after the other on one model whose weights are put back in between.

    Args:
        quantized: A quantized model whose input has its range, and whose weights are still those of the float model.
        output: What the float model answers, as `keras_lite.data.ModelInfo.output` names it.
        images: Preprocessed images that set ranges and biases.
        judges: Others, by which the candidates are judged.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.
        verbose: 1 shows progress.
    """

    def __init__(
        self,
        quantized: Any,
        output: str,
        images: np.ndarray,
        judges: np.ndarray,
        *,
        batch_size: int | None = None,
        verbose: int = 0,
    ):
        tensorflow = import_extra("tensorflow", "quantization")
        self.quantized = quantized
        self.output = output
        self.images = images
        self.batch_size = batch_size
        self.verbose = verbose
        self.tried: list[tuple[Candidate, np.ndarray]] = []
        self.chosen = 0
        self.best: list[np.ndarray] = []
        self.judges = batches_of(judges, batch_size)
        with unrounded(quantized, weights=True):
            float_answer = tensorflow.function(lambda batch: quantized(batch, training=False))
            self.expected = self._answers(float_answer)
        self.answer = tensorflow.function(lambda batch: quantized(batch, training=False))

    def run(self) -> None:
        """Try all candidates; the model is then the closest one."""
        start = self.quantized.get_weights()
        measured = measure(self.quantized, self.images, self.batch_size, self.verbose)
        for ranges, estimator in ESTIMATORS.items():
            set_ranges(self.quantized, measured, estimator)
            self._judge(ranges)
        ranges = self._chosen.ranges
        self.quantized.set_weights(self.best)
        self._judge(ranges, bias_correction=correct_biases(self.quantized, self.images, self.batch_size))
        bias_correction = self._chosen.bias_correction
        self.quantized.set_weights(start)
        if equalize(self.quantized, measured):
            equalized = measure(self.quantized, self.images, self.batch_size, self.verbose)
            set_ranges(self.quantized, equalized, ESTIMATORS[ranges])
            if bias_correction:
                correct_biases(self.quantized, self.images, self.batch_size)
            self._judge(ranges, bias_correction, equalization=True)
        self.quantized.set_weights(self.best)

    def report(self) -> PostTraining:
        """Return what was chosen, and from what."""
        _, best = self.tried[self.chosen]
        tried = [
            dataclasses.replace(candidate, within_noise=not is_closer(best, each) and not is_closer(each, best))
            for candidate, each in self.tried
        ]
        return PostTraining(self.output, tried[self.chosen], tried, len(self.images), len(self.expected))

    @property
    def _chosen(self) -> Candidate:
        return self.tried[self.chosen][0]

    def _judge(self, ranges: str, bias_correction: bool = False, equalization: bool = False) -> None:
        """Add what the model is now to the candidates, and keep it if it is closer than the chosen one."""
        received = self._answers(self.answer)
        each = divergences(self.output, self.expected, received)
        found = closeness(self.output, self.expected, received)
        self.tried.append((Candidate(ranges, bool(bias_correction), equalization, found, False), each))
        if not self.best or is_closer(each, self.tried[self.chosen][1], _SIMPLER):
            self.chosen, self.best = len(self.tried) - 1, self.quantized.get_weights()

    def _answers(self, answer: Any) -> np.ndarray:
        return np.concatenate([answer(batch).numpy() for batch in self.judges])
