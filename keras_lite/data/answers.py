"""What a model's numbers stand for: probabilities of classes or labels, values, a vector."""

from typing import Literal

import numpy as np

from keras_lite.data.model_info import ModelInfo
from keras_lite.errors import InputError

_ROWS_AT_ONCE = 500

AnswerKind = Literal["classes", "label", "labels", "values", "vector"]


def answer_kind(info: ModelInfo, outputs: int) -> AnswerKind:
    """Return what a model with so many outputs says of an image.

    `"classes"`: which one of several classes it shows; `"label"`: whether one label applies; `"labels"`: which of
    several labels apply, each by itself; `"values"`: numbers; `"vector"`: an embedding.

    A sigmoid with one output has one name, the label's, or two: then the output is the probability of the second
    class, as in a model trained on Keras' `image_dataset_from_directory(..., label_mode="binary")`.

    Args:
        info: The model's information.
        outputs: Length of its answer to one image.

    Raises:
        InputError: If the names in `info` don't fit so many outputs.

    Example:

    >>> info = ModelInfo("pets", ["cat", "dog"], keras_lite.data.Preprocessing((96, 96)), "sigmoid")
    >>> answer_kind(info, 1)
    'classes'
    """
    names = len(info.class_names)
    if info.output == "embedding":
        return "vector"
    if info.output == "sigmoid" and outputs == 1:
        if names > 2:
            raise InputError(
                "Expected one name (the label) or two (the output is the probability of the second class) for a "
                f"model with one sigmoid, received {names} class names."
            )
        return "label" if names == 1 else "classes"
    if names != outputs:
        binary = "; a binary classifier ends with a sigmoid" if (info.output, outputs) == ("regression", 1) else ""
        what = "names of values" if info.output == "regression" else "class names"
        raise InputError(f"Expected {outputs} {what}, as the model has outputs, received {names}{binary}.")
    if info.output == "sigmoid":
        return "labels"
    if info.output == "regression":
        return "values"
    if outputs == 1:
        raise InputError(
            f'Expected two or more outputs of a model that answers {info.output}, received one; "sigmoid" is the '
            'output of a binary classifier that ends with one, "regression" that of a single number.'
        )
    return "classes"


def interpret(answers: np.ndarray, info: ModelInfo) -> np.ndarray:
    """Return what a model's raw answers mean, one row an image.

    Of classes the probability of each, in the order of `info.class_names`: a softmax of logits; of one sigmoid with two
    names both classes' probabilities. Of labels the probability of each by itself. Values and vectors stay as they are.

    Args:
        answers: What the model returned, of shape `(count, outputs)`.
        info: The model's information.

    Returns:
        Float array of shape `(count, outputs)`, or `(count, 2)` for a sigmoid of two classes.

    Raises:
        InputError: If the names in `info` don't fit the number of outputs.

    Example:

    >>> info = ModelInfo("pets", ["cat", "dog"], keras_lite.data.Preprocessing((96, 96)), "sigmoid")
    >>> interpret(np.array([[0.75]]), info).tolist()
    [[0.25, 0.75]]
    """
    answers = np.asarray(answers)
    kind = answer_kind(info, answers.shape[1])
    if info.output == "logits":
        return softmax(answers)
    if info.output == "sigmoid" and kind == "classes":
        return np.concatenate([1 - answers, answers], axis=1)
    return answers


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities for logits, along the last axis."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def nearest_others(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each vector the most similar others, the nearest first, and the cosines of the angles to them.

    Args:
        vectors: Embeddings of shape `(images, length)`, of two images or more.
        count: How many others; all of them where there are fewer.

    Returns:
        Numbers of the others and cosines, both of shape `(images, count)`.

    Example:

    >>> nearest_others(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]]), 1)[0].ravel().tolist()
    [2, 2, 0]
    """
    vectors = np.asarray(vectors, "float64")
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    count = min(count, len(vectors) - 1)
    numbers, cosines = [], []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        similar = directions[start : start + _ROWS_AT_ONCE] @ directions.T
        rows = np.arange(len(similar))
        similar[rows, start + rows] = -np.inf  # not the image itself
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, :count]
        numbers.append(nearest)
        cosines.append(np.take_along_axis(similar, nearest, axis=1))
    return np.concatenate(numbers), np.concatenate(cosines)
