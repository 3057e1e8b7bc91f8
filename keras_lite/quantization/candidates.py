"""The ways to quantize that the search tries, and what makes them."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from keras_lite.litert import Tensor
from keras_lite.litert.samples import Samples
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.observe import Observation, Ranges, observe, ranges_from
from keras_lite.quantization.ranges import Estimator, least_error_range, percentile_range, whole_range
from keras_lite.quantization.rounding import round_by_effect
from keras_lite.runtime.session import LiteRTSession

# How an activation's range is taken from its values; the first stays unless another is closer.
ESTIMATORS: dict[str, Estimator] = {
    "least squared error": least_error_range,
    "99.999 %": functools.partial(percentile_range, share=1e-5),
    "minimum and maximum": whole_range,
}


@dataclasses.dataclass(frozen=True)
class Steps:
    """A way to quantize.

    Args:
        ranges: Name of the estimator of activation ranges, out of `ESTIMATORS`.
        bias_correction: Whether biases are corrected (see `keras_lite.quantization.bias_correction`).
        by_effect: Whether weights are rounded by their effect (see `keras_lite.quantization.rounding`).
        equalization: Whether channels are equalized (see `keras_lite.quantization.equalization`).
        one_range: Whether what is concatenated has one range, where these are much alike (see
            `keras_lite.quantization.calibrated`).
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


class Maker:
    """Makes candidates from some images; what several need is seen once."""

    def __init__(
        self,
        form: Int8Form,
        images: np.ndarray | Samples,
        observed: Observation,
        ends: list[tuple[float, float]],
        answers: list[tuple[float, float]],
        session: LiteRTSession,
    ):
        self.form, self.images, self.ends, self.answers, self.session = form, images, ends, answers, session
        self._observed = {False: observed}
        self._ranges: dict[tuple[str, bool], Ranges] = {}
        self._kernels: dict[bool, tuple[Int8Form, Mapping[Tensor, np.ndarray]]] = {}

    def observed(self, equalization: bool) -> Observation:
        """Return what the images give, with equalized channels or without."""
        if equalization not in self._observed:
            form = self.equalized if equalization else self.form
            self._observed[equalization] = observe(form, self.images, self.session)
        return self._observed[equalization]

    @functools.cached_property
    def equalized(self) -> Int8Form | None:
        """The graph with equalized channels; None if there is nothing to scale."""
        return equalize(self.form, self.observed(False))

    def make(self, steps: Steps) -> CalibratedGraph:
        """Return a candidate."""
        observed = self.observed(steps.equalization)
        form = self.equalized if steps.equalization else self.form
        ranges = self._ranges_by(steps.ranges, steps.equalization)
        ranges |= dict(zip(form.graph.inputs, self.ends, strict=True))
        for answer, found in zip(form.graph.outputs, self.answers, strict=True):
            if answer in ranges and answer not in form.fixed:
                ranges[answer] = found
        calibrated = CalibratedGraph(form, ranges, steps.one_range).widened()
        if steps.by_effect:
            calibrated = self._rounded(calibrated, steps.equalization)
        if not steps.bias_correction:
            return calibrated
        return correct_biases(calibrated, observed, self.images, self.session)

    def _ranges_by(self, estimator: str, equalization: bool) -> Ranges:
        if (estimator, equalization) not in self._ranges:
            form = self.equalized if equalization else self.form
            found = ranges_from(form, self.observed(equalization), ESTIMATORS[estimator])
            self._ranges[estimator, equalization] = found
        return dict(self._ranges[estimator, equalization])

    def _rounded(self, calibrated: CalibratedGraph, equalization: bool) -> CalibratedGraph:
        """Return a candidate with weights rounded by their effect; which ranges it has makes no difference to them."""
        if equalization not in self._kernels:
            found = round_by_effect(calibrated, self.images, self.session)
            self._kernels[equalization] = found.form, found.scales
        form, scales = self._kernels[equalization]
        return dataclasses.replace(calibrated, form=form, scales=scales)
