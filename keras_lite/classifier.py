"""One way to use a trained model, whatever file it is in."""

import os
from collections.abc import Callable, Iterator

import keras
import numpy as np

from keras_lite.checkpoints import load_model
from keras_lite.data import ModelInfo, Source, read_model_info
from keras_lite.export import LiteRTModel, run_in_subprocess
from keras_lite.training import model_file

BATCH_SIZE = 32


class Classifier:
    """A trained model with what belongs to it: preprocessing and class names.

    Args:
        path: A `.keras`, `.h5` or `.tflite` file with its information file beside it, or a finished run folder.

    Attributes:
        path: The model file.
        info: The `keras_lite.data.ModelInfo` of the model.

    Raises:
        InputError: If there is no such model, it has no information file, or LiteRT can't run it.

    Example:

    ```python
    classifier = Classifier("runs/photos")
    probabilities = classifier.predict(images)  # uint8 images of classifier.info.preprocessing.image_size
    ```
    """

    def __init__(self, path: str | os.PathLike):
        self.path = model_file(path)
        self.info: ModelInfo = read_model_info(self.path)
        self._run = self._open_tflite() if self.path.suffix == ".tflite" else self._open_keras()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the probability of each class.

        Args:
            images: uint8 RGB images of shape `(count, height, width, 3)`, in the size of the model's preprocessing.

        Returns:
            float32 array of shape `(count, classes)`; each row sums to 1.
        """
        answers = self._run(self.info.preprocessing(images))
        return softmax(answers) if self.info.output == "logits" else answers

    def predict_source(self, source: Source) -> Iterator[np.ndarray]:
        """Yield the probabilities for the images of a data source, batch by batch, in order."""
        for start in range(0, len(source), BATCH_SIZE):
            yield self.predict(source.images(np.arange(start, min(start + BATCH_SIZE, len(source)))))

    def _open_tflite(self) -> Callable[[np.ndarray], np.ndarray]:
        # A file that LiteRT can't run may end the process, so its first run is in another one.
        run_in_subprocess(self.path, np.zeros((1, *self.info.preprocessing.image_size, 3), "float32"))
        return LiteRTModel(self.path, threads=os.cpu_count() or 1).predict

    def _open_keras(self) -> Callable[[np.ndarray], np.ndarray]:
        model = load_model(self.path)
        return lambda images: keras.ops.convert_to_numpy(model.predict_on_batch(images))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities for logits, along the last axis."""
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
