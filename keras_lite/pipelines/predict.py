"""Predictions of a trained model for single photos."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_lite.data import nearest_others, read_image
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError
from keras_lite.inference.classifier import Classifier
from keras_lite.pipelines.description import Description

_SHOWN_NUMBERS = 4


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Prediction of a model for one photo; printing it gives a line.

    Attributes:
        path: The photo.
        outputs: What `Classifier.predict` returns for it.
        text: What that means: the most probable classes, the labels that apply, values, or the most similar photos; of
            a mask how much of the photo each class covers, of an image its size and range.
    """

    path: Path
    outputs: np.ndarray | dict[str, np.ndarray]
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def predict_photos(
    model: str | os.PathLike,
    photos: Sequence[str | os.PathLike],
    top: int = 5,
    verbose: int = 0,
    description: Description | None = None,
) -> list[Prediction]:
    """Return what a trained model says of photos.

    Args:
        model: A run folder, a model file with its information file beside it, or a `.tflite` file.
        photos: Photos, or folders of them at any depth.
        top: Number of classes, or of similar photos, to name for one.
        verbose: 1 prints what the model does to photos itself.
        description: Class names, image size and preprocessing, for a `.tflite` file without an information file.

    Raises:
        InputError: If there is no such model or photo, or a photo can't be read.

    Example:

    ```python
    for prediction in predict_photos("runs/photos", ["cat.jpg"]):
        print(prediction)
    ```
    """
    paths = [path for photo in photos for path in _image_files(Path(photo))]
    classifier = (description or Description()).classifier(model, verbose)
    geometry = classifier.info.preprocessing.geometry
    outputs = [_first(classifier.predict(read_image(path, geometry)[None])) for path in paths]
    if classifier.task == "embedding":
        lines = _vector_lines(paths, np.stack(outputs), top)
    else:
        lines = [_line(classifier, output, top) for output in outputs]
    return [Prediction(*each) for each in zip(paths, outputs, lines, strict=True)]


def _first(outputs: np.ndarray | dict[str, np.ndarray]) -> np.ndarray | dict[str, np.ndarray]:
    return {name: each[0] for name, each in outputs.items()} if isinstance(outputs, dict) else outputs[0]


def _line(classifier: Classifier, output: np.ndarray | dict[str, np.ndarray], top: int) -> str:
    if isinstance(output, dict):
        return "; ".join(f"{name}: {_numbers(each)}" for name, each in output.items())
    names = classifier.info.class_names
    if classifier.says_of_pixels:
        return _numbers(output) if classifier.task in ("image", "regression") else _shares(classifier, output, top)
    if classifier.task == "regression":
        return ", ".join(f"{name} {value:.6g}" for name, value in zip(names, output, strict=True))
    best = np.argsort(-output, kind="stable")
    applying = best[output[best] >= 0.5]
    several = classifier.task == "multilabel"
    chosen = applying if several and len(applying) else best[:top]
    line = ", ".join(f"{names[i]} {output[i]:.1%}" for i in chosen)
    return f"no label reaches 50%; {line}" if several and not len(applying) else line


def _numbers(output: np.ndarray) -> str:
    """Return the numbers of an output, of an image or another large one its size and range."""
    if output.ndim == 1 and len(output) <= _SHOWN_NUMBERS:
        return ", ".join(f"{value:.6g}" for value in output)
    size = " x ".join(map(str, output.shape))
    return f"{size} numbers from {output.min():.4g} to {output.max():.4g}, mean {output.mean():.4g}"


def _shares(classifier: Classifier, output: np.ndarray, top: int) -> str:
    """Return how much of a photo each class, or label, covers, the largest first."""
    several = classifier.task in ("binary", "multilabel")
    chosen = output >= 0.5 if several else output == output.max(-1, keepdims=True)
    shares = chosen.reshape(-1, output.shape[-1]).mean(0)
    best = [at for at in np.argsort(-shares, kind="stable")[:top] if shares[at] > 0.0]
    size = " x ".join(map(str, output.shape[:2]))
    covered = ", ".join(f"{classifier.info.class_names[at]} {shares[at]:.1%}" for at in best)
    return f"{covered or 'no label reaches 50%'} of {size} pixels"


def _vector_lines(paths: list[Path], vectors: np.ndarray, top: int) -> list[str]:
    """Return a line for each image: its vector's length, norm and beginning, and the images most like it."""
    lines = []
    for vector in vectors:
        first = ", ".join(f"{value:.4g}" for value in vector[:_SHOWN_NUMBERS])
        more = ", ..." if len(vector) > _SHOWN_NUMBERS else ""
        lines.append(f"{len(vector)} numbers of norm {np.linalg.norm(vector):.4g} ({first}{more})")
    if len(paths) < 2:
        return lines
    return [
        f"{line}; cosine with " + ", ".join(f"{paths[i]} {cosine:.3f}" for i, cosine in zip(others, near, strict=True))
        for line, others, near in zip(lines, *nearest_others(vectors, top), strict=True)
    ]


def _image_files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"Expected an image or a folder of images, received {str(path)!r}.")
    return [path] if path.is_file() else find_photos(path)
