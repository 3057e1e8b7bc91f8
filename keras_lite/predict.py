"""Classify images with a trained model.

    python -m keras_lite.predict MODEL IMAGE [IMAGE ...] [--top 5]

MODEL is a run folder, a .keras, .h5 or .tflite file; IMAGE is an image file or a folder of them.
"""

from pathlib import Path

import numpy as np
from absl import flags

from keras_lite import command_line
from keras_lite.classifier import Classifier
from keras_lite.data import read_image
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError

FLAGS = command_line.new_flags()
flags.DEFINE_integer("top", 5, "Number of classes to print for an image.", 1, flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Classify the images, one line each."""
    if len(positional) < 2:
        raise InputError("Expected MODEL and at least one IMAGE (--help says more).")
    paths = [path for text in positional[1:] for path in _image_files(Path(text))]
    classifier = Classifier(positional[0])
    for path in paths:
        image = read_image(path, classifier.info.preprocessing.geometry)
        [probabilities] = classifier.predict(image[None])
        best = np.argsort(-probabilities, kind="stable")[: values.top]
        answers = ", ".join(f"{classifier.info.class_names[i]} {probabilities[i]:.1%}" for i in best)
        print(f"{path}: {answers}")


def _image_files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"Expected an image or a folder of images, received {str(path)!r}.")
    return [path] if path.is_file() else find_photos(path)


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
