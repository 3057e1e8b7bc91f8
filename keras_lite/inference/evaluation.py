"""Evaluation of a model: how often it is right, and where it is wrong."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_lite.data import Source, model_info_path, nearest_others, with_classes
from keras_lite.data.outputs import Task
from keras_lite.errors import InputError
from keras_lite.inference.classifier import Classifier
from keras_lite.tables import text_table


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """Recall and precision of a model for one class.

    Attributes:
        name: The class.
        images: Number of images of it.
        recall: Share of these that is right; `None` without images.
        precision: Share of right ones among the predictions of this class; `None` without such predictions.
    """

    name: str
    images: int
    recall: float | None
    precision: float | None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Accuracy of a model, and its prediction for each image.

    Attributes:
        images: Number of images.
        top1: Share of images whose class got the highest probability.
        top5: Share of images whose class is among the five highest.
        class_names: The model's classes; of an embedding the data's.
        labels: For each image the number of its class.
        predicted: For each image the number of the class with the highest probability.
        confidence: For each image that probability.
        task: What the model predicts (see `keras_lite.data.task_of`): `"multiclass"`; `"multilabel"`, where the most
            probable label stands for the class; or `"embedding"`, where an image gets the class of the most similar
            other image and `confidence` is the cosine between the two embeddings.
    """

    images: int
    top1: float
    top5: float
    _: dataclasses.KW_ONLY
    class_names: list[str]
    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    task: Task = "multiclass"

    def confusion(self) -> np.ndarray:
        """Return the number of images of each true class (row) by predicted class (column)."""
        classes = len(self.class_names)
        pairs = np.bincount(self.labels * classes + self.predicted, minlength=classes**2)
        return pairs.reshape(classes, classes)

    def per_class(self) -> list[ClassFigures]:
        """Return the figures of each class."""
        counts = self.confusion()
        right, there, predicted = (values.tolist() for values in (np.diag(counts), counts.sum(1), counts.sum(0)))
        return [
            ClassFigures(name, there[n], _share(right[n], there[n]), _share(right[n], predicted[n]))
            for n, name in enumerate(self.class_names)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON; of each class with images their number and the share that is right."""
        by_class = {row.name: (row.images, row.recall) for row in self.per_class() if row.images}
        return {"images": self.images, "top1": self.top1, "top5": self.top5, "by_class": by_class}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def summary(evaluation: Evaluation) -> str:
    """Return the accuracy as a line, with what it means for the model's task."""
    meaning = {
        "multiclass": "",
        "multilabel": "; the most probable label counts as the class",
        "embedding": "; an image gets the class of the most similar other image, by the cosine of their vectors",
    }
    return (
        f"top-1 {evaluation.top1:.2%}, top-5 {evaluation.top5:.2%} on {evaluation.images} images"
        f"{meaning[evaluation.task]}"
    )


def format_evaluation(evaluation: Evaluation) -> str:
    """Return the figures of the classes that have images, or were predicted, as a table to read."""
    rows = [
        (row.name, str(row.images), _percent(row.recall), _percent(row.precision))
        for row in evaluation.per_class()
        if row.images or row.precision is not None
    ]
    return text_table([("class", "images", "recall", "precision"), *rows])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def evaluate(classifier: Classifier, source: Source, verbose: int = 0) -> Evaluation:
    """Return the accuracy of a model on the labeled images of a source.

    A multilabel model predicts the class of its most probable label. With an embedding, an image gets the class of the
    most similar other image, by the cosine between their vectors; its five most similar images are its top 5.

    Args:
        classifier: The model.
        source: Labeled images. Their classes must be among the model's, in any order; with an
            embedding they may be any.
        verbose: 1 shows progress.

    Raises:
        InputError: If the data has classes that the model does not know, or the model predicts no classes.
    """
    check_gives_classes(classifier)
    if classifier.task == "embedding":
        return _evaluate_vectors(classifier, source, verbose)
    try:
        labels = with_classes(source, classifier.info.class_names).labels
    except InputError as error:
        raise InputError(f"{classifier.path}: {error}") from error
    progress = keras.utils.Progbar(len(source), verbose=verbose)
    ranks, predicted, confidence = [], [], []
    for probabilities in classifier.predict_source(source):
        wanted = labels[len(ranks) : len(ranks) + len(probabilities)]
        # Of equal probabilities, which int8 files give, the first class wins, as with argmax.
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranks.extend(np.argmax(order == wanted[:, None], axis=1))
        predicted.extend(order[:, 0])
        confidence.extend(probabilities.max(1))
        progress.update(len(ranks))
    ranks = np.array(ranks)
    return Evaluation(
        len(source),
        float((ranks == 0).mean()),
        float((ranks < 5).mean()),
        class_names=classifier.info.class_names,
        labels=labels,
        predicted=np.array(predicted),
        confidence=np.array(confidence),
        task=classifier.task,
    )


def check_gives_classes(classifier: Classifier) -> None:
    """Check that a model predicts classes.

    Raises:
        InputError: If not.
    """
    name = classifier.info.class_names[0] if classifier.info.class_names else ""
    if classifier.task == "binary":
        raise InputError(
            f"Expected the names of both classes in {model_info_path(classifier.path)}, the second one {name!r}, whose "
            f"probability is the model's output; received {name!r} alone."
        )
    if classifier.task in ("image", "several") or classifier.says_of_pixels:
        what = "several outputs" if classifier.task == "several" else "something of each pixel"
        raise InputError(
            f"Expected a model of classes, labels or an embedding for the whole photo, received {classifier.path}, "
            f"which predicts {what}: folders of classes have nothing to compare that with; write it with "
            "keras_lite.inference.Classifier(...).predict and a measure of yours."
        )
    if classifier.task == "regression":
        raise InputError(
            f"Expected a model of classes, labels or an embedding, received {classifier.path}, which "
            f"predicts values ({name!r}, ...): folders of classes have none to compare them with."
        )


def _evaluate_vectors(classifier: Classifier, source: Source, verbose: int) -> Evaluation:
    if len(source) < 2:
        raise InputError(f"Expected two or more images to compare with each other, received {len(source)}.")
    progress = keras.utils.Progbar(len(source), verbose=verbose)
    parts, done = [], 0
    for vectors in classifier.predict_source(source):
        parts.append(vectors)
        done += len(vectors)
        progress.update(done)
    nearest, cosines = nearest_others(np.concatenate(parts), 5)
    right = source.labels[nearest] == source.labels[:, None]
    return Evaluation(
        len(source),
        float(right[:, 0].mean()),
        float(right.any(1).mean()),
        class_names=source.class_names,
        labels=source.labels,
        predicted=source.labels[nearest[:, 0]],
        confidence=cosines[:, 0],
        task="embedding",
    )
