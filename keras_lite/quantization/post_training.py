"""Post-training quantisation: the int8 model closest to the float model, without training and without labels."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.data.model_info import OUTPUTS
from keras_lite.errors import InputError, import_extra
from keras_lite.graph import flatten, output_of
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibration import batches_of, check_images, measure, set_ranges, unrounded
from keras_lite.quantization.closeness import Closeness, closeness, divergences, is_closer
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.input_range import set_input_range, widen_ranges
from keras_lite.quantization.quantize_aware import quantize_aware
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
    """What `post_training` chose, and from what.

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
            f"{'*' if candidate is self.chosen else ' '} {candidate}: {candidate.closeness.text(self.output)}"
            + (", within noise of *" if candidate.within_noise and candidate is not self.chosen else "")
            for candidate in self.tried
        ]
        head = (
            f"post-training quantization, {self.images} images for ranges and biases, {self.judges} to judge by "
            "(what is simpler stays unless it is worse by a standard error):"
        )
        return "\n".join([head, *lines])


def post_training(
    model: keras.Model,
    images: np.ndarray,
    batch_size: int | None = None,
    preprocessing: Preprocessing | None = None,
    output: str | None = None,
) -> tuple[Any, PostTraining]:
    """Quantize a trained model without training, in the way that keeps its answers best, and print what was chosen.

    One half of the images sets ranges and biases, the other half judges, by how far a candidate's answers are from the
    float model's (see `keras_lite.quantization.closeness`). Tried are several estimators of the activation ranges; with
    the best of them, bias correction; with what is best then, equalized channels. A candidate takes the place of a
    simpler one only if it is closer by more than a standard error. No labels are needed.

    Args:
        model: A functional or Sequential Keras 3 model with one input and one output, on any backend. It is not
            changed.
        images: Preprocessed float images of shape `(count, height, width, 3)`, two or more; 512 are enough.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.
        preprocessing: What made the images of pixels. The range of the input is then what pixels from 0 to 255 can
            become, and where the images hold only a part of these levels, all ranges are widened (a line says so).
            `None`: it is the images' own, and what lies outside is cut off; a line says so.
        output: What the model answers, as `keras_lite.data.ModelInfo.output` names it. `None`: what its last layer
            tells (see `keras_lite.graph.output_of`).

    Returns:
        The quantized model, as `quantize_aware` returns it, with ranges; it can be exported, or trained further with
        `finetune`. And what was chosen, to be printed or stored.

    Raises:
        InputError: If a layer can't be quantized, there are fewer than two images, their shape is not the model's, or
            they hold what `preprocessing` can't give.
        MissingExtraError: If TF-MOT or tf_keras is not installed.

    Example:

    ```python
    quantized, report = post_training(model, preprocessing(photos), preprocessing=preprocessing)
    to_tflite(quantized, "model.tflite", precision="int8", samples=preprocessing(photos))
    ```
    """
    images = np.asarray(images)
    if not images.ndim:
        raise InputError(f"Expected an array of images to quantize with, received {type(images.item()).__name__}.")
    if len(images) < 2:
        raise InputError(f"Expected two or more images to quantize with, received {len(images)}.")
    if output is not None and output not in OUTPUTS:
        raise InputError(f"Expected output to be one of {OUTPUTS}, received {output!r}.")
    output = judged_as(model, output)
    quantized = quantize_aware(model)
    images = check_images(quantized, images)
    set_input_range(quantized, images, preprocessing)
    search = _Search(quantized, output, images[::2], images[1::2], batch_size)
    search.run()
    report = search.report()
    if preprocessing is not None:
        widen_ranges(quantized, images, preprocessing)
    print(report, flush=True)
    return quantized, report


def judged_as(model: keras.Model, output: str | None = None) -> str:
    """Return what a model answers, for its closeness: what is said of it, unless its last layer leaves no choice.

    A sigmoid or a single number is no choice of classes, whatever it is called.
    """
    found = output_of(flatten(model))
    return found if output is None or found in ("sigmoid", "regression") else output


class _Search:
    """The candidates, tried one after the other on one model whose weights are put back in between."""

    def __init__(self, quantized: Any, output: str, images: np.ndarray, judges: np.ndarray, batch_size: int | None):
        tensorflow = import_extra("tensorflow", "quantization")
        self.quantized = quantized
        self.output = output
        self.images = images
        self.batch_size = batch_size
        self.tried: list[tuple[Candidate, np.ndarray]] = []
        self.chosen = 0
        self.best: list[np.ndarray] = []
        self.judges = batches_of(judges, batch_size)
        with unrounded(quantized, weights=True):
            float_answer = tensorflow.function(lambda batch: quantized(batch, training=False))
            self.expected = self._answers(float_answer)
        self.answer = tensorflow.function(lambda batch: quantized(batch, training=False))

    def run(self) -> None:
        start = self.quantized.get_weights()
        measured = measure(self.quantized, self.images, self.batch_size)
        for ranges, estimator in ESTIMATORS.items():
            set_ranges(self.quantized, measured, estimator)
            self._judge(ranges)
        ranges = self._chosen.ranges
        self.quantized.set_weights(self.best)
        self._judge(ranges, bias_correction=correct_biases(self.quantized, self.images, self.batch_size))
        bias_correction = self._chosen.bias_correction
        self.quantized.set_weights(start)
        if equalize(self.quantized, measured):
            set_ranges(self.quantized, measure(self.quantized, self.images, self.batch_size), ESTIMATORS[ranges])
            if bias_correction:
                correct_biases(self.quantized, self.images, self.batch_size)
            self._judge(ranges, bias_correction, equalization=True)
        self.quantized.set_weights(self.best)

    def report(self) -> PostTraining:
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
