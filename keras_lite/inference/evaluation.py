"""How often a model was right, and on what it was not."""

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_lite.data import Source, model_info_path, nearest_others, with_classes
from keras_lite.data.answers import AnswerKind
from keras_lite.errors import InputError
from keras_lite.inference.classifier import Classifier
from keras_lite.tables import text_table


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """How a model did on one class.

    Attributes:
        name: The class.
        images: Number of images of it.
        recall: Share of these that is right; `None` without images.
        precision: Share of the answers with this class that is right; `None` without such answers.
    """

    name: str
    images: int
    recall: float | None
    precision: float | None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How often a model was right.

    Attributes:
        images: Number of images.
        top1: Share of images whose class got the highest probability.
        top5: Share of images whose class is among the five highest.
        class_names: The model's classes; of an embedding the data's.
        labels: For each image the number of its class.
        predicted: For each image the number of the class with the highest probability.
        confidence: For each image that probability.
        kind: What the model answers (see `keras_lite.data.answer_kind`): `"classes"`; `"labels"`, where the most
            probable label stands for the class; or `"vector"`: an image gets the class of the most similar other image
            then, and `confidence` is the cosine between the two vectors.
    """

    images: int
    top1: float
    top5: float
    _: dataclasses.KW_ONLY
    class_names: list[str]
    labels: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    kind: AnswerKind = "classes"

    def confusion(self) -> np.ndarray:
        """Return the number of images of each true class (row) that got each answer (column)."""
        classes = len(self.class_names)
        pairs = np.bincount(self.labels * classes + self.predicted, minlength=classes**2)
        return pairs.reshape(classes, classes)

    def per_class(self) -> list[ClassFigures]:
        """Return the figures of each class."""
        counts = self.confusion()
        right, there, answered = (values.tolist() for values in (np.diag(counts), counts.sum(1), counts.sum(0)))
        return [
            ClassFigures(name, there[n], _share(right[n], there[n]), _share(right[n], answered[n]))
            for n, name in enumerate(self.class_names)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON; of each class with images their number and the share that is right."""
        by_class = {row.name: (row.images, row.recall) for row in self.per_class() if row.images}
        return {"images": self.images, "top1": self.top1, "top5": self.top5, "by_class": by_class}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def summary(evaluation: Evaluation) -> str:
    """Return in a line how often the model was right, and what that means for its kind of answer."""
    meaning = {
        "classes": "",
        "labels": "; the most probable label counts as the class",
        "vector": "; an image gets the class of the most similar other image, by the cosine of their vectors",
    }
    return (
        f"top-1 {evaluation.top1:.2%}, top-5 {evaluation.top5:.2%} on {evaluation.images} images"
        f"{meaning[evaluation.kind]}"
    )


def format_evaluation(evaluation: Evaluation) -> str:
    """Return the figures of the classes that have images, or were answered, as a table to read."""
    rows = [
        (row.name, str(row.images), _percent(row.recall), _percent(row.precision))
        for row in evaluation.per_class()
        if row.images or row.precision is not None
    ]
    return text_table([("class", "images", "recall", "precision"), *rows])


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def evaluate(classifier: Classifier, source: Source, verbose: int = 0) -> Evaluation:
    """Compare a model's answers with the labels of a data source.

    Of a model that answers labels, each by itself, the one with the highest probability is taken for the class. Of one
    that answers a vector, an image gets the class of the most similar other image, by the cosine between their vectors;
    its five most similar ones are its top 5.

    Args:
        classifier: The model.
        source: Labeled images. Their classes must be among the model's, in any order; a model that answers vectors
            takes any.
        verbose: 1 shows progress.

    Raises:
        InputError: If the data has classes that the model does not know, or the model answers no classes.
    """
    check_gives_classes(classifier)
    if classifier.kind == "vector":
        return _evaluate_vectors(classifier, source, verbose)
    try:
        labels = with_classes(source, classifier.info.class_names).labels
    except InputError as error:
        raise InputError(f"{classifier.path}: {error}") from error
    progress = keras.utils.Progbar(len(source), verbose=verbose)
    ranks, predicted, confidence = [], [], []
    for probabilities in classifier.predict_source(source):
        wanted = labels[len(ranks) : len(ranks) + len(probabilities)]
        # Of equal answers, which int8 files give, the first class wins: as argmax has it.
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
        kind=classifier.kind,
    )


def check_gives_classes(classifier: Classifier) -> None:
    """Check that a model's answers can be right or wrong on images that have classes.

    Raises:
        InputError: If not.
    """
    name = classifier.info.class_names[0] if classifier.info.class_names else ""
    if classifier.kind == "label":
        raise InputError(
            f"Expected the names of both classes in {model_info_path(classifier.path)}, the second one {name!r}, whose "
            f"probability the model answers; received {name!r} alone."
        )
    if classifier.kind == "values":
        raise InputError(
            f"Expected a model that answers classes, labels or an embedding, received {classifier.path}, which "
            f"answers values ({name!r}, ...): folders of classes have none to compare them with."
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
        kind="vector",
    )
