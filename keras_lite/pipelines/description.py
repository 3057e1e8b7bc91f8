"""Descriptions of models without an information file: class names, image size, preprocessing, kind of output."""

import dataclasses
import os
from pathlib import Path

import keras

from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, ModelInfo, Preprocessing, model_info_path
from keras_lite.data.model_info import WITHOUT_NAMES
from keras_lite.data.scaling import Interpolation
from keras_lite.errors import InputError
from keras_lite.export.trained_model import unscaled
from keras_lite.graph import output_of
from keras_lite.inference.classifier import Classifier
from keras_lite.runtime import inspect
from keras_lite.training import model_file

# What the last operator of a file says of its numbers; of others they are logits.
_OUTPUTS = {"SOFTMAX": "probabilities", "LOGISTIC": "sigmoid"}
# Operators that a file may have behind that one.
_ENDS = ("QUANTIZE", "DEQUANTIZE", "RESHAPE")


@dataclasses.dataclass(frozen=True)
class Description:
    """Description of a model in place of its information file.

    Args:
        class_names: Names of the classes, labels or values; of one sigmoid the label's, or both classes', the output
            being the second one's probability.
        image_size: Height and width in pixels.
        mean: Channel means of pixels from 0 to 1; `None`: ImageNet's, unless the model scales its input itself.
        std: Standard deviations, likewise.
        keep_aspect: Whether photos are scaled until they just cover the size, and their middle is cut out; else each
            side is scaled for itself.
        interpolation: How photos are scaled.
        output_kind: What the output is, if the last layer doesn't tell; see `keras_lite.data.ModelInfo`.
    """

    class_names: tuple[str, ...] | None = None
    image_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    keep_aspect: bool = True
    interpolation: Interpolation = "bilinear"
    output_kind: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is described."""
        return self == Description()

    def info(self, path: Path) -> ModelInfo | None:
        """Return the description as information of the model, without what only the model itself can tell.

        Args:
            path: The model's file.

        Returns:
            The information, or `None` if an information file beside the model has it.

        Raises:
            InputError: If neither tells enough.
        """
        if self.class_names is None and self.image_size is None:
            if not self.is_empty:
                own, default = dataclasses.asdict(self), dataclasses.asdict(Description())
                alone = next(name for name in own if own[name] != default[name])
                raise InputError(f"Expected --class_names and --image_size beside --{alone}, received neither.")
            if not model_info_path(path).is_file():
                raise InputError(
                    f"Expected class names and preprocessing in {model_info_path(path)}, which does not exist, "
                    "or --class_names and --image_size."
                )
            return None
        if self.image_size is None:
            raise InputError("Expected both --class_names and --image_size, received only the names.")
        preprocessing = Preprocessing(
            self.image_size,
            IMAGENET_MEAN if self.mean is None else self.mean,
            IMAGENET_STD if self.std is None else self.std,
            keep_aspect=self.keep_aspect,
            interpolation=self.interpolation,
        )
        names = list(self.class_names or ())
        return ModelInfo(path.stem, names, preprocessing, "embedding")  # until the model is looked at

    def completed(self, model: keras.Model, info: ModelInfo, verbose: int = 0) -> ModelInfo:
        """Return what is said of a model, with what it says itself where that is silent.

        That is what its numbers mean, whether it takes gray photos, and what its own scaling makes of pixels.

        Args:
            model: A functional or Sequential model without a `Resizing` at its input.
            info: What `info` returned.
            verbose: 1 prints a line if the model scales its input itself.

        Raises:
            InputError: If names are missing, or the model is none of images.
        """
        kind = self.output_kind or ("several" if len(model.outputs) > 1 else output_of(model))
        if kind == "regression" and len(model.outputs[0].shape) == 4 and not info.class_names:
            kind = "image"
        info = _with_output(info, kind)
        if self.mean is None and self.std is None:
            own = info.preprocessing.gray() if model.inputs[0].shape[-1] == 1 else info.preprocessing
            info = dataclasses.replace(info, preprocessing=unscaled(model, own, verbose))
        return info

    def classifier(self, model: str | os.PathLike, verbose: int = 0) -> Classifier:
        """Return a model to use, described by its information file, or a `.tflite` file without one by this.

        What its numbers mean is what its last operator says: a softmax, a sigmoid, else logits. What the file does to
        its input is not looked at: without a mean and a standard deviation they are ImageNet's.

        Args:
            model: A run folder or a model file.
            verbose: 1 prints what the model does to photos itself, and what is taken for granted of a `.tflite` file.

        Raises:
            InputError: If there is no such model, neither tells enough, or a model of another kind is described.
        """
        if self.is_empty:
            return Classifier(model, verbose)
        path = model_file(model)
        if path.suffix != ".tflite":
            raise InputError(
                f"Expected a .tflite file beside --class_names and the like, received {path}: keras-lite convert "
                "writes a .keras file with them beside it."
            )
        info, contents = self.info(path), inspect(path, delegates=False)
        last = next((each["name"] for each in reversed(contents.operators) if each["name"] not in _ENDS), None)
        kind = self.output_kind or ("several" if len(contents.outputs) > 1 else _OUTPUTS.get(last, "logits"))
        if verbose:
            pixels = "ImageNet's mean and deviation" if self.mean is None and self.std is None else "--mean and --std"
            print(f"{path}: pixels are normalized by {pixels}, outputs are taken for: {kind}", flush=True)
        return Classifier(path, verbose, _with_output(info, kind))


def _with_output(info: ModelInfo, kind: str) -> ModelInfo:
    if kind not in WITHOUT_NAMES and not info.class_names:
        raise InputError(f"Expected both --class_names and --image_size for {kind}, received only the size.")
    return dataclasses.replace(info, output=kind)
