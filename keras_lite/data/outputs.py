"""What a model's outputs stand for: probabilities of classes or labels, values, an embedding."""

from typing import Literal

import numpy as np

from keras_lite.data.model_info import ModelInfo
from keras_lite.errors import InputError

_ROWS_AT_ONCE = 500

Task = Literal["multiclass", "binary", "multilabel", "regression", "embedding", "image", "several"]


def task_of(info: ModelInfo, outputs: int) -> Task:
    """Return what a model predicts.

    `"multiclass"`: which one of several classes an image shows; `"binary"`: whether one label applies to it;
    `"multilabel"`: for each of several labels whether it applies; `"regression"`: numbers; `"embedding"`: a vector, to
    compare images by; `"image"`: an image or a map; `"several"`: several outputs.

    A sigmoid with one output may have two names. Then the output is the probability of the second class, as in a model
    trained on Keras' `image_dataset_from_directory(..., label_mode="binary")`, and the task is `"multiclass"`. With one
    name, the label's, the task is `"binary"`.

    Args:
        info: The model's information.
        outputs: Number of outputs that the model has for an image, or for each pixel of it.

    Raises:
        InputError: If the names in `info` don't fit so many outputs.

    Example:

    >>> info = ModelInfo("pets", ["cat", "dog"], keras_lite.data.Preprocessing((96, 96)), "sigmoid")
    >>> task_of(info, 1)
    'multiclass'
    """
    names = len(info.class_names)
    if info.output in ("embedding", "image", "several"):
        return info.output
    if info.output == "sigmoid" and outputs == 1:
        if names > 2:
            raise InputError(
                "Expected one name (the label) or two (the output is the probability of the second class) for a "
                f"model with one sigmoid, received {names} class names."
            )
        return "binary" if names == 1 else "multiclass"
    if names != outputs:
        binary = "; a binary classifier ends with a sigmoid" if (info.output, outputs) == ("regression", 1) else ""
        what = "names of values" if info.output == "regression" else "class names"
        raise InputError(f"Expected {outputs} {what}, as the model has outputs, received {names}{binary}.")
    if info.output == "sigmoid":
        return "multilabel"
    if info.output == "regression":
        return "regression"
    if outputs == 1:
        raise InputError(
            f'Expected two or more outputs of a model that returns {info.output}, received one; "sigmoid" is the '
            'output of a binary classifier that ends with one, "regression" that of a single number.'
        )
    return "multiclass"


def interpret(outputs: np.ndarray, info: ModelInfo) -> np.ndarray:
    """Return probabilities for the outputs of a classifier; outputs of other models as they are.

    Logits go through a softmax. One sigmoid with two names becomes the probabilities of both classes. Columns are in
    the order of `info.class_names`; the numbers of a regression or an embedding stay.

    Args:
        outputs: The model's outputs, of shape `(count, outputs)`, or `(count, height, width, outputs)`.
        info: The model's information.

    Returns:
        Float array of the same shape, with 2 columns for a sigmoid of two classes.

    Raises:
        InputError: If the names in `info` don't fit the number of outputs.

    Example:

    >>> info = ModelInfo("pets", ["cat", "dog"], keras_lite.data.Preprocessing((96, 96)), "sigmoid")
    >>> interpret(np.array([[0.75]]), info).tolist()
    [[0.25, 0.75]]
    """
    outputs = np.asarray(outputs)
    task = task_of(info, outputs.shape[-1])
    if info.output == "logits":
        return softmax(outputs)
    if info.output == "sigmoid" and task == "multiclass":
        return np.concatenate([1 - outputs, outputs], axis=-1)
    return outputs


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of logits, along the last axis."""
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
