"""Post-training quantisation: the int8 model closest to the float model, without training and without labels."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.quantization.bias_correction import correct_biases
from keras_lite.quantization.calibration import batches_of, check_images, measure, set_ranges, unrounded
from keras_lite.quantization.equalization import equalize
from keras_lite.quantization.quantize_aware import quantize_aware
from keras_lite.quantization.ranges import Estimator, least_error_range, percentile_range, whole_range

# How an activation's range is taken from its values; the first is what most converters do.
ESTIMATORS: dict[str, Estimator] = {
    "minimum and maximum": whole_range,
    "99.999 %": functools.partial(percentile_range, share=1e-5),
    "99.99 %": functools.partial(percentile_range, share=1e-4),
    "least squared error": least_error_range,
}


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One way to quantise, and how far it is from the float model on the images that judge.

    Args:
        ranges: Name of the estimator of activation ranges, out of `ESTIMATORS`.
        bias_correction: Whether biases were corrected (see `keras_lite.quantization.bias_correction`).
        equalization: Whether channels were equalised (see `keras_lite.quantization.equalization`).
        divergence: Mean Kullback-Leibler divergence of its class probabilities from the float model's, in nats.
        agreement: Share of images with the float model's top-1 class.
        error: Mean squared error of its answers, as a share of the variance of the float model's.
    """

    ranges: str
    bias_correction: bool
    equalization: bool
    divergence: float
    agreement: float
    error: float

    def __str__(self) -> str:
        """Return what it is, in one line."""
        steps = [f"ranges: {self.ranges}"]
        steps += ["equalised channels"] if self.equalization else []
        steps += ["corrected biases"] if self.bias_correction else []
        return ", ".join(steps)


@dataclasses.dataclass(frozen=True)
class PostTraining:
    """What `post_training` chose, and from what.

    Args:
        chosen: The candidate of the least divergence.
        tried: All candidates, in the order in which they were tried.
        images: Number of images that set ranges and biases.
        judges: Number of other images, by which the candidates were judged.
    """

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
            f"{'*' if candidate is self.chosen else ' '} {candidate}: divergence {candidate.divergence:.5f}, "
            f"agreement {candidate.agreement:.2%}, squared error {candidate.error:.5f}"
            for candidate in self.tried
        ]
        head = f"post-training quantisation, {self.images} images for ranges and biases, {self.judges} to judge by:"
        return "\n".join([head, *lines])


def post_training(model: keras.Model, images: np.ndarray, batch_size: int | None = None) -> tuple[Any, PostTraining]:
    """Quantise a trained model without training, in the way that keeps its answers best, and print what was chosen.

    One half of the images sets ranges and biases, the other half judges: of all candidates the one stays whose class
    probabilities diverge least from the float model's. Tried are several estimators of the activation ranges; with the
    best of them, bias correction; with what is best then, equalised channels. No labels are needed.

    Args:
        model: A functional or Sequential Keras 3 model with one input and one output, on any backend. It is not
            changed.
        images: Preprocessed float images of shape `(count, height, width, 3)`, two or more; 256 are enough.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.

    Returns:
        The quantised model, as `quantize_aware` returns it, with ranges; it can be exported, or trained further with
        `finetune`. And what was chosen, to be printed or stored.

    Raises:
        InputError: If a layer can't be quantised, there are fewer than two images, or their shape is not the model's.
        MissingExtraError: If TF-MOT or tf_keras is not installed.

    Example:

    ```python
    quantized, report = post_training(model, images)
    to_tflite(quantized, "model.tflite", precision="int8", samples=images)
    ```
    """
    images = np.asarray(images)
    if len(images) < 2:
        raise InputError(f"Expected two or more images to quantise with, received {len(images)}.")
    quantized = quantize_aware(model)
    images = check_images(quantized, images)
    search = _Search(quantized, images[::2], images[1::2], batch_size)
    search.run()
    report = PostTraining(search.chosen, search.tried, len(images[::2]), len(images[1::2]))
    print(report, flush=True)
    return quantized, report


class _Search:
    """The candidates, tried one after the other on one model whose weights are put back in between."""

    def __init__(self, quantized: Any, images: np.ndarray, judges: np.ndarray, batch_size: int | None):
        tensorflow = import_extra("tensorflow", "quantization")
        self.quantized = quantized
        self.images = images
        self.batch_size = batch_size
        self.tried: list[Candidate] = []
        self.chosen: Candidate | None = None
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
        ranges = self.chosen.ranges
        self.quantized.set_weights(self.best)
        self._judge(ranges, bias_correction=correct_biases(self.quantized, self.images, self.batch_size))
        bias_correction = self.chosen.bias_correction
        self.quantized.set_weights(start)
        if equalize(self.quantized, measured):
            set_ranges(self.quantized, measure(self.quantized, self.images, self.batch_size), ESTIMATORS[ranges])
            if bias_correction:
                correct_biases(self.quantized, self.images, self.batch_size)
            self._judge(ranges, bias_correction, equalization=True)
        self.quantized.set_weights(self.best)

    def _judge(self, ranges: str, bias_correction: bool = False, equalization: bool = False) -> None:
        """Add what the model is now to the candidates, and keep it if it is the best so far."""
        received = self._answers(self.answer)
        candidate = Candidate(
            ranges,
            bool(bias_correction),
            equalization,
            divergence=divergence(self.expected, received),
            agreement=float((self.expected.argmax(1) == received.argmax(1)).mean()),
            error=float(np.square(self.expected - received).mean() / max(self.expected.var(axis=0).mean(), 1e-12)),
        )
        self.tried.append(candidate)
        if self.chosen is None or candidate.divergence < self.chosen.divergence:
            self.chosen, self.best = candidate, self.quantized.get_weights()

    def _answers(self, answer: Any) -> np.ndarray:
        return np.concatenate([answer(batch).numpy() for batch in self.judges])


def divergence(expected: np.ndarray, received: np.ndarray) -> float:
    """Return the mean Kullback-Leibler divergence of the class probabilities that logits mean, in nats.

    Args:
        expected: The reference's logits, of shape `(count, classes)`.
        received: The other's.
    """
    expected, received = _log_probabilities(expected), _log_probabilities(received)
    return float((np.exp(expected) * (expected - received)).sum(axis=1).mean())


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype("float64") - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
