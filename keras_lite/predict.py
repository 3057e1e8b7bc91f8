"""Say what a trained model answers for images.

    python -m keras_lite.predict MODEL IMAGE [IMAGE ...] [--top 5]

MODEL is a run folder, a .keras, .h5 or .tflite file, a SavedModel or PyTorch weights, with its information file
(.json), which `python -m keras_lite.checkpoints` writes, beside it; IMAGE is an image file or a folder of them. Of a
classifier the most probable classes are printed; of labels that apply each by itself those of 50% or more, or else the
most probable ones; of a regression its values; of an embedding also the most similar of the other images.
"""

from pathlib import Path

import numpy as np
from absl import flags

from keras_lite import command_line
from keras_lite.classifier import Classifier
from keras_lite.data import nearest_others, read_image
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError

_SHOWN_NUMBERS = 4

FLAGS = command_line.new_flags()
flags.DEFINE_integer("top", 5, "Number of classes, or of similar images, to print for an image.", 1, flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Print what the model says of the images, one line each."""
    if len(positional) < 2:
        raise InputError("Expected MODEL and at least one IMAGE (--help says more).")
    paths = [path for text in positional[1:] for path in _image_files(Path(text))]
    classifier = Classifier(positional[0])
    geometry = classifier.info.preprocessing.geometry
    answers = (classifier.predict(read_image(path, geometry)[None])[0] for path in paths)
    if classifier.kind == "vector":
        lines = _vector_lines(paths, np.stack(list(answers)), values.top)
    else:
        lines = (_line(classifier, answer, values.top) for answer in answers)
    for path, line in zip(paths, lines, strict=True):
        print(f"{path}: {line}")


def _line(classifier: Classifier, answer: np.ndarray, top: int) -> str:
    names = classifier.info.class_names
    if classifier.kind == "values":
        return ", ".join(f"{name} {value:.6g}" for name, value in zip(names, answer, strict=True))
    best = np.argsort(-answer, kind="stable")
    applying = best[answer[best] >= 0.5]
    several = classifier.kind == "labels"
    chosen = applying if several and len(applying) else best[:top]
    line = ", ".join(f"{names[i]} {answer[i]:.1%}" for i in chosen)
    return f"no label reaches 50%; {line}" if several and not len(applying) else line


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


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
