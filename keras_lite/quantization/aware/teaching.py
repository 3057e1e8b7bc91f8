"""What a quantized model is trained to answer: the float model's own answers, and the labels' share in them."""

import copy
from typing import Any

import keras
import numpy as np

from keras_lite.data import Batches
from keras_lite.errors import InputError
from keras_lite.graph import output_of
from keras_lite.quantization.closeness import log_probabilities

_AT_ONCE = 64
# For each kind of answer: the loss of Keras, which tf_keras has by the same name, and its arguments.
_LOSSES = {
    "logits": ("CategoricalCrossentropy", {"from_logits": True}),
    "probabilities": ("CategoricalCrossentropy", {"from_logits": True}),
    "sigmoid": ("BinaryCrossentropy", {}),
    "regression": ("MeanSquaredError", {}),
    "embedding": ("CosineSimilarity", {}),
}


def loss_of(output: str, library: Any = keras) -> Any:
    """Return the loss between a float model's answers and a quantized one's.

    Args:
        output: What the float model answers, as `keras_lite.data.ModelInfo.output` names it.
        library: keras, or tf_keras.

    Example:

    >>> loss_of("embedding").name
    'cosine_similarity'
    """
    name, arguments = _LOSSES[output]
    return getattr(library.losses, name)(**arguments)


class Teacher:
    """The float model, and what it answers to photos.

    Args:
        model: The float model. It is not changed.
        output: What it answers, as `keras_lite.data.ModelInfo.output` names it.
    """

    def __init__(self, model: keras.Model, output: str) -> None:
        self.output = output
        self._logits = output_of(model) == "logits"
        # Of its own, as predicting compiles it: not by XLA where that takes longer than it gains.
        self._model = keras.Model(model.inputs, model.outputs[0])
        self._model.compile(loss="mse", jit_compile="auto")

    def answers(self, images: np.ndarray) -> np.ndarray:
        """Return what the model answers to preprocessed photos: of classes their probabilities."""
        found = np.asarray(self._model.predict_on_batch(images), "float32")
        if self.output in ("logits", "probabilities") and self._logits:
            return np.exp(log_probabilities(found)).astype("float32")
        return found


class TaughtBatches:
    """Batches of photos with a teacher's answers in place of the labels.

    Where photos are not changed at random, each is answered once, beforehand.

    Args:
        batches: The photos and their labels.
        teacher: Who answers.
        distill: The answers' share in what is to be learned, the labels having the rest; 1 where classes say nothing of
            the answer.

    Raises:
        InputError: If labels are to have a share and are of other classes than the answers.
    """

    def __init__(self, batches: Batches, teacher: Teacher, distill: float = 1.0) -> None:
        self.num_batches, self.source = batches.num_batches, batches.source
        # The same batches, with the photos' places as labels.
        self._numbered = copy.copy(batches)
        self._numbered.source = batches.source.with_labels(np.arange(len(batches.source)))
        self._teacher, self._distill = teacher, distill
        self._answers = None
        if batches.augmentation is None:
            count, given = len(batches.source), batches.preprocessing
            parts = (np.arange(at, min(at + _AT_ONCE, count)) for at in range(0, count, _AT_ONCE))
            self._answers = np.concatenate([teacher.answers(given(batches.source.images(part))) for part in parts])
        self._labels = None
        if distill < 1.0 and teacher.output not in ("regression", "embedding"):
            self._labels = self._of_labels(teacher.answers(batches.batch(0, 0)[0][:1]).shape[1])

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the photos of one batch of one epoch, and what is to be learned."""
        images, places = self._numbered.batch(epoch, index)
        answers = self._teacher.answers(images) if self._answers is None else self._answers[places]
        if self._labels is not None:
            answers = self._distill * answers + (1.0 - self._distill) * self._labels[places]
        return images, answers

    def _of_labels(self, answers: int) -> np.ndarray | None:
        """Return the labels as answers, if they can be: one of many classes, or of two by a single sigmoid."""
        labels, classes = self.source.labels, len(self.source.class_names)
        if self._teacher.output == "sigmoid":
            return labels[:, None].astype("float32") if (answers, classes) == (1, 2) else None
        if classes > answers:
            raise InputError(f"Expected labels of the model's {answers} classes, received {classes} classes.")
        return np.eye(answers, dtype="float32")[labels]
