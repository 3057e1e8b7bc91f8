"""What all families share: the input, the head, and loading weights from a file."""

import contextlib
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras

from keras_lite.applications import imagenet_weights, kept_weights
from keras_lite.checkpoints import load_checkpoint
from keras_lite.checkpoints.registry import CLASSIFIER
from keras_lite.errors import InputError
from keras_lite.layers.initializers import pytorch_uniform


def image_input(
    model_name: str,
    input_shape: tuple | None,
    input_tensor,
    *,
    weights: str | os.PathLike | None,
    default_size: int,
    minimum_size: int,
    why: str,
):
    """Return the symbolic input of a model, after checking its shape.

    Args:
        model_name: Name of the architecture, for messages.
        input_shape: `(height, width, 3)` as the user gave it; `None` stands for the default size.
        input_tensor: A Keras tensor to build upon instead, or `None`.
        weights: What the user wants to load: kept weights have a default size of their own.
        default_size: Published height and width, in pixels.
        minimum_size: Smallest height and width that the network can take, in pixels.
        why: Why a smaller one can't be taken; ends the message.

    Raises:
        InputError: If the data format is channels_first, or the shape can't be taken.
    """
    if keras.config.image_data_format() != "channels_last":
        raise InputError(
            f"Expected the image data format channels_last, received {keras.config.image_data_format()}: {model_name} "
            "is built for phones, where TFLite files hold channels_last images only."
        )
    if input_tensor is not None and not keras.backend.is_keras_tensor(input_tensor):
        raise InputError(f"Expected input_tensor to be a Keras tensor, received {type(input_tensor).__name__}.")
    shape = tuple(input_tensor.shape[1:]) if input_tensor is not None else input_shape
    if shape is None:
        shape = kept_weights.input_shape(weights, model_name) or (default_size, default_size, 3)
    shape = tuple(shape)
    if len(shape) != 3 or shape[-1] is None:
        raise InputError(f"Expected input_shape to be (height, width, channels), received {shape}.")
    if any(size is not None and size < minimum_size for size in shape[:2]):
        raise InputError(
            f"Expected input_shape of at least {minimum_size} x {minimum_size} pixels for {model_name}, "
            f"received {shape}: {why}."
        )
    return keras.Input(shape, name="images") if input_tensor is None else input_tensor


def classify(
    features,
    *,
    include_top: bool,
    pooling: str | None,
    classes: int,
    classifier_activation: str | None,
    to_vector: Callable | None = None,
    dropout_rate: float = 0.0,
    kernel_initializer=None,
    bias_initializer=None,
):
    """Apply the head to a feature map: global average pooling, dropout and a dense layer.

    Without top, `pooling` is `None` (the map itself), `"avg"` or `"max"`.

    Args:
        features: The feature map.
        include_top: As in `keras.applications`.
        pooling: As in `keras.applications`.
        classes: As in `keras.applications`.
        classifier_activation: As in `keras.applications`.
        to_vector: What turns the map into the vector that is classified; `None` for global average pooling.
        dropout_rate: Of the vector; 0 for no dropout layer.
        kernel_initializer: Of the dense layer; `None` for PyTorch's default.
        bias_initializer: Of the dense layer; `None` for PyTorch's default.
    """
    if pooling not in (None, "avg", "max"):
        raise InputError(f"Expected pooling to be None, 'avg' or 'max', received {pooling!r}.")
    if include_top:
        if not isinstance(classes, int) or classes < 1:
            raise InputError(f"Expected classes to be a positive integer, received {classes!r}.")
        pooled = (to_vector or average_pool)(features)
        fan_in = pooled.shape[-1]
        if dropout_rate:
            pooled = keras.layers.Dropout(dropout_rate, name="dropout")(pooled)
        return keras.layers.Dense(
            classes,
            activation=classifier_activation,
            kernel_initializer=kernel_initializer or pytorch_uniform(fan_in),
            bias_initializer=bias_initializer or pytorch_uniform(fan_in),
            name=CLASSIFIER,
        )(pooled)
    if pooling == "avg":
        return average_pool(features)
    if pooling == "max":
        return keras.layers.GlobalMaxPooling2D(name="max_pool")(features)
    return features


def average_pool(features):
    """Return the mean of each channel."""
    return keras.layers.GlobalAveragePooling2D(name="average_pool")(features)


def finish(inputs, outputs, name: str, *, weights: str | os.PathLike | None, load_classifier: bool) -> keras.Model:
    """Make the functional model and load its weights, if there are to be any."""
    if is_intermediate(inputs):
        inputs = keras.utils.get_source_inputs(inputs)
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        load_weights(model, weights, load_classifier=load_classifier)
    return model


def is_intermediate(tensor) -> bool:
    """Return whether a Keras tensor is the output of a layer rather than an input of a model."""
    return not isinstance(tensor._keras_history.operation, keras.layers.InputLayer)


def load_weights(model: keras.Model, path: str | os.PathLike, load_classifier: bool = True) -> None:
    """Load weights into a model.

    Args:
        model: The model.
        path: A `.weights.h5` or `.keras` file, or one of PyTorch weights of any ending; or `"imagenet"`, or the name of
            weights kept for the model (see `keras_lite.applications.list_weights`).
        load_classifier: Whether the classifier's weights are taken too. Without them a file that was trained for
            another number of classes fits.

    Raises:
        InputError: If the file does not exist, is of another format, or holds other weights.
    """
    if path in kept_weights.names():
        path = kept_weights.find(path, model, any_classes=not load_classifier).path()
    elif path == "imagenet":
        path = imagenet_weights.find(model, any_classes=not load_classifier).path()
    path = Path(path)
    if not path.is_file():
        named = "".join(f"{name!r}, " for name in sorted({"imagenet", *kept_weights.names()}))
        raise InputError(
            f"Expected weights to be None, {named}or a file (.weights.h5, .keras, or PyTorch weights such as .pth), "
            f"received {str(path)!r}, which does not exist."
        )
    if not path.name.endswith((".weights.h5", ".keras")):
        load_checkpoint(model, path, load_classifier)
        return
    skipped = [layer for layer in model.layers if layer.name == CLASSIFIER and not load_classifier]
    try:
        with _weights_file(path) as file, warnings.catch_warnings():
            # Of a layer that is skipped Keras says that its weights are missing, once for each list it stands in.
            warnings.filterwarnings("ignore", "Skipping nested container at '_operations_by_depth", UserWarning)
            model.load_weights(file, objects_to_skip=skipped)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0]
        hint = " (load_classifier=False takes all but the classifier)" if load_classifier else ""
        raise InputError(f"Expected weights of {model.name} in {path}, received others: {reason}{hint}") from error


@contextlib.contextmanager
def _weights_file(path: Path) -> Iterator[Path]:
    """Yield the weights inside a `.keras` file as a `.weights.h5` file: only there can Keras skip layers."""
    if path.suffix != ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        yield Path(archive.extract("model.weights.h5", folder))
