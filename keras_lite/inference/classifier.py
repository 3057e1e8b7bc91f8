"""Classifier: one way to use a trained model from any kind of file."""

import os
from collections.abc import Callable, Iterator

import keras
import numpy as np

from keras_lite.checkpoints import load_model
from keras_lite.data import ModelInfo, Source, interpret, read_model_info, task_of
from keras_lite.errors import InputError
from keras_lite.export.trained_model import check_scaling, fit_input, with_own_resizing
from keras_lite.graph import check_output, output_names, outputs_for
from keras_lite.runtime import LiteRTError, LiteRTModel, inspect, run_in_subprocess
from keras_lite.training import model_file

BATCH_SIZE = 32

_Run = Callable[[np.ndarray], np.ndarray | list[np.ndarray]]


class Classifier:
    """A trained model with its preprocessing, its class names and the meaning of its outputs.

    Args:
        path: A `.keras`, `.h5` or `.tflite` file with its information file beside it, or a finished run folder. A
            `.tflite` file may take images with channels first, as those of PyTorch's converter do.
        verbose: 1 prints what the model does to photos itself, and which network PyTorch weights are of.
        info: What the information file would say; `None`: it is read.

    Attributes:
        path: The model file.
        info: The `keras_lite.data.ModelInfo` of the model.
        task: What it predicts, see `keras_lite.data.task_of`.
        output_names: The names of its outputs.
        shape: The shape of its first output, the batch first.
        model: The Keras model, with what it takes of photos; `None` of a `.tflite` file.

    Raises:
        InputError: If there is no such model, it has no information file or one that doesn't fit, or LiteRT can't run
            it.

    Example:

    ```python
    classifier = Classifier("runs/photos")
    probabilities = classifier.predict(photos)  # uint8 images of classifier.info.preprocessing.image_size
    ```
    """

    def __init__(self, path: str | os.PathLike, verbose: int = 0, info: ModelInfo | None = None):
        self.path = model_file(path)
        self.info: ModelInfo = info or read_model_info(self.path)
        self.output_names: list[str] = []
        self.model: keras.Model | None = None
        self._run, self.shape = self._open_tflite() if self.path.suffix == ".tflite" else self._open_keras(verbose)
        if (len(self.output_names) > 1) != (self.info.output == "several"):
            raise InputError(
                f"Expected one output from {self.path}, or several where its information file says so, received "
                f"{len(self.output_names)} and the output {self.info.output!r} there."
            )
        try:
            self.task = task_of(self.info, self.shape[-1])
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    @property
    def says_of_pixels(self) -> bool:
        """Whether it predicts something of each pixel: an image, or a mask of classes, labels or values."""
        return self.task != "several" and len(self.shape) > 2

    def predict(self, images: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
        """Return the model's predictions for images: probabilities, values or embeddings.

        Args:
            images: uint8 RGB images of shape `(count, height, width, 3)`, in the size of the model's preprocessing.

        Returns:
            float32 array of shape `(count, outputs)`, see `keras_lite.data.interpret`. For the task `"multiclass"` it
            has a column for each class, and each row sums to 1; for `"binary"` and `"multilabel"` each number is a
            probability by itself; for `"regression"` and `"embedding"` the outputs are unchanged. Of a model that says
            something of each pixel it has the axes count, height, width and outputs. Of a model with several outputs
            they are unchanged, in a dictionary by their names.

        Raises:
            InputError: If an output is not finite, as after a training that diverged: such a number is no class.
        """
        outputs = self._run(self.info.preprocessing(images))
        finite = [np.isfinite(each).all(tuple(range(1, each.ndim))) for each in keras.tree.flatten(outputs)]
        lost = int(np.logical_not(np.logical_and.reduce(finite)).sum())
        if lost:
            raise InputError(
                f"Expected finite outputs of {self.path}, received inf or nan for {lost} of {len(images)} images; "
                "look for weights that are not finite, and train the model anew from before that."
            )
        if self.task == "several":
            return dict(zip(self.output_names, outputs, strict=True))
        return interpret(outputs, self.info)

    def predict_source(self, source: Source) -> Iterator[np.ndarray]:
        """Yield what `predict` returns for the images of a data source, batch by batch, in order."""
        for start in range(0, len(source), BATCH_SIZE):
            yield self.predict(source.images(np.arange(start, min(start + BATCH_SIZE, len(source)))))

    def _open_tflite(self) -> tuple[_Run, tuple[int | None, ...]]:
        shape = (1, *self.info.preprocessing.image_size, self.info.preprocessing.channels)
        # A file that LiteRT can't run may end the process, so its first run is in another one.
        try:
            outputs = run_in_subprocess(self.path, self.info.preprocessing(np.ones((*shape[:3], 3), "uint8")))
        except LiteRTError as error:
            received = [tuple(source["shape"]) for source in inspect(self.path, delegates=False).inputs]
            if received in ([shape], [(1, shape[3], *shape[1:3])]):
                raise
            raise InputError(
                f"Expected {self.path} to take images of shape {shape}, as was said of it, received a file "
                f"that takes {' and '.join(map(str, received))}."
            ) from error
        model = LiteRTModel(self.path, threads=os.cpu_count() or 1)
        self.output_names = model.output_names
        first = outputs[0] if isinstance(outputs, list) else outputs
        if first.ndim > 2 and tuple(model.interpreter.get_input_details()[0]["shape"]) != shape:
            raise InputError(
                f"Expected a model with channels last, as it says something of each pixel, received {self.path} with "
                "channels first: convert it with channels last."
            )
        return model.predict, first.shape

    def _open_keras(self, verbose: int) -> tuple[_Run, tuple[int | None, ...]]:
        model = load_model(self.path, verbose=verbose)
        model, self.info = with_own_resizing(model, self.info, verbose)
        check_scaling(model, self.info.preprocessing, self.path)
        if len(getattr(model, "inputs", None) or []) > 1:
            model = fit_input(model, self.info, self.path)  # which says that photos are all that is read
        try:
            self.output_names = output_names(model)
            if len(self.output_names) == 1:
                check_output(model, self.info.output)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

        self.model = model
        return lambda images: outputs_for(model, images), tuple(model.outputs[0].shape)
