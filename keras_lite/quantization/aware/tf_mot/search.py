"""The search for the way of post-training quantization that keeps a model's answers best."""

import dataclasses
from typing import Any

import numpy as np

from keras_lite.errors import import_extra
from keras_lite.quantization.aware.tf_mot.bias_correction import correct_biases
from keras_lite.quantization.aware.tf_mot.calibration import batches_of, measure, set_ranges, unrounded
from keras_lite.quantization.closeness import closeness, divergences, is_closer
from keras_lite.quantization.aware.tf_mot.equalization import equalize
from keras_lite.quantization.search import ESTIMATORS, Candidate, PostTraining

_SIMPLER = 1.0


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
        return PostTraining(self.output, tried[self.chosen], tried, len(self.images), len(self.expected), {})

    @property
    def _chosen(self) -> Candidate:
        return self.tried[self.chosen][0]

    def _judge(self, ranges: str, bias_correction: bool = False, equalization: bool = False) -> None:
        """Add what the model is now to the candidates, and keep it if it is closer than the chosen one."""
        received = self._answers(self.answer)
        each = divergences(self.output, self.expected, received)
        found = closeness(self.output, self.expected, received)
        self.tried.append((Candidate(ranges, bool(bias_correction), equalization=equalization, closeness=found), each))
        if not self.best or is_closer(each, self.tried[self.chosen][1], _SIMPLER):
            self.chosen, self.best = len(self.tried) - 1, self.quantized.get_weights()

    def _answers(self, answer: Any) -> np.ndarray:
        return np.concatenate([answer(batch).numpy() for batch in self.judges])
