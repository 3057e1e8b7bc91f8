"""What a quantized model is trained to answer: what the float model answers."""

import copy
from typing import Any

import keras
import numpy as np

from keras_lite.data import Batches
from keras_lite.graph import flatten, output_of
from keras_lite.graph.heads import last_operation

_AT_ONCE = 64
# For each kind of answer: the loss of Keras, which tf_keras has by the same name.
_LOSSES = {
    "logits": "MeanSquaredError",
    "probabilities": "MeanSquaredError",
    "sigmoid": "BinaryCrossentropy",
    "regression": "MeanSquaredError",
    "embedding": "CosineSimilarity",
}


def loss_of(output: str, library: Any = keras) -> Any:
    """Return the loss between a float model's answers and a quantized one's.

    Of classes it is that of the logits: the divergence of the probabilities hardly has a gradient where the float model
    is sure, as it is of most photos it was trained on.

    Args:
        output: What the float model answers, as `keras_lite.data.ModelInfo.output` names it.
        library: keras, or tf_keras.

    Example:

    >>> loss_of("embedding").name
    'cosine_similarity'
    """
    return getattr(library.losses, _LOSSES[output])()


class Teacher:
    """The float model, and what it answers to photos.

    Args:
        model: The float model. It is not changed.
        output: What it answers, as `keras_lite.data.ModelInfo.output` names it.
    """

    def __init__(self, model: keras.Model, output: str) -> None:
        self.output = output
        if output_of(model) == "probabilities":
            model = _without_softmax(model)
        # Of its own, as predicting compiles it: not by XLA where that takes longer than it gains.
        self._model = keras.Model(model.inputs, model.outputs[0])
        self._model.compile(loss="mse", jit_compile="auto")

    def answers(self, images: np.ndarray) -> np.ndarray:
        """Return what the model answers to preprocessed photos, before a softmax at its end."""
        found = np.asarray(self._model.predict_on_batch(images), "float32")
        return found.reshape(len(found), -1)

    def answers_of_all(self, images: np.ndarray) -> np.ndarray:
        """Return the same of any number of photos."""
        return np.concatenate([self.answers(images[at : at + _AT_ONCE]) for at in range(0, len(images), _AT_ONCE)])


def _without_softmax(model: keras.Model) -> keras.Model:
    flat = flatten(model)
    last = last_operation(flat)
    if type(last).__name__ == "Softmax":
        return keras.Model(flat.inputs, last.input)
    last.activation = keras.activations.linear
    return flat


class TaughtBatches:
    """Batches of photos with a teacher's answers in place of the labels.

    Where photos are not changed at random, each is answered once, beforehand. Answers are cut off where the quantized
    model's outputs are: their range is chosen so that what it cuts off says next to nothing.

    Args:
        batches: The photos; their labels are not looked at.
        teacher: Who answers.
        ends: The lowest and the highest answer that the quantized model can give.
    """

    def __init__(self, batches: Batches, teacher: Teacher, ends: tuple[float, float]) -> None:
        self.num_batches, self.source = batches.num_batches, batches.source
        # The same batches, with the photos' places as labels.
        self._numbered = copy.copy(batches)
        self._numbered.source = batches.source.with_labels(np.arange(len(batches.source)))
        self._teacher, self._ends = teacher, ends
        self._answers = None
        if batches.augmentation is None:
            count, given = len(batches.source), batches.preprocessing
            parts = (np.arange(at, min(at + _AT_ONCE, count)) for at in range(0, count, _AT_ONCE))
            self._answers = np.concatenate([teacher.answers(given(batches.source.images(part))) for part in parts])

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the photos of one batch of one epoch, and what is to be answered."""
        images, places = self._numbered.batch(epoch, index)
        answers = self._teacher.answers(images) if self._answers is None else self._answers[places]
        if self._teacher.output == "embedding":
            return images, answers
        return images, np.clip(answers, *self._ends)
