"""Whole models from files: Keras 3, Keras 2, and PyTorch weights that tell their network."""

import json
import os
import zipfile
from pathlib import Path

import h5py
import keras

from keras_lite.checkpoints import keras2_files, saved_models
from keras_lite.checkpoints.identification import nearest
from keras_lite.checkpoints.keras_loading import named, reason
from keras_lite.checkpoints.loading import load_torch_state_dict
from keras_lite.checkpoints.other_files import is_safetensors
from keras_lite.checkpoints.torch_files import read_state_dict
from keras_lite.errors import InputError

TORCH_ENDINGS = (".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors")
ENDINGS = (".keras", ".h5", ".hdf5", *TORCH_ENDINGS)
_STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # what PyTorch files began with until version 1.5


def load_model(path: str | os.PathLike, verbose: int = 0) -> keras.Model:
    """Load a whole model: a `.keras`, `.h5` or `.hdf5` file, a TensorFlow SavedModel of Keras 2, or PyTorch weights.

    Files are told apart by their content. Those of Keras 2 become Keras 3 models with the same outputs. PyTorch weights
    are taken if their names and shapes are those of a network of `keras_lite.applications`, which is built with logits
    as its output for any input size.

    Args:
        path: The file; or the folder of a SavedModel, which needs TensorFlow.
        verbose: 1 prints which network PyTorch weights are of.

    Raises:
        InputError: If it does not exist, is no model, or holds layers that are not known here, or Python code, which is
            never run; the message says which.

    Example:

    ```python
    model = keras_lite.checkpoints.load_model("keras_model.h5")
    ```
    """
    path = Path(path)
    if path.is_dir():
        if not saved_models.is_saved_model(path):
            raise InputError(f"Expected a model, received the folder {str(path)!r} without a saved_model.pb.")
        return saved_models.load_saved_model(path)
    if not path.is_file():
        raise InputError(f"Expected a model file ({', '.join(ENDINGS)}), received {str(path)!r}, which does not exist.")
    if h5py.is_hdf5(path):
        config, version = _h5_config(path)
        keras2_files.check_layers(config, path, version)
        if keras2_files.is_old(version):
            return keras2_files.load_h5(path, config, version)
        return _load(path, ".h5")
    if (version := _zip_version(path)) is not None:
        return keras2_files.load_zip(path, version) if keras2_files.is_old(version) else _load(path, ".keras")
    if path.suffix in TORCH_ENDINGS or _is_torch(path):
        return _load_torch(path, verbose)
    raise InputError(f"Expected a .keras or .h5 model file or PyTorch weights, received {str(path)!r}, which is none.")


def is_keras_model(path: str | os.PathLike) -> bool:
    """Return whether a path is a Keras model, of any age, by its content."""
    path = Path(path)
    if path.is_dir():
        return saved_models.is_saved_model(path)
    return path.is_file() and (h5py.is_hdf5(path) or _zip_version(path) is not None)


def _load(path: Path, ending: str) -> keras.Model:
    try:
        with named(path, ending) as file:
            return keras.saving.load_model(file, compile=False)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise InputError(f"Expected a Keras model in {path}, which can't be loaded: {reason(error)}") from error


def _h5_config(path: Path) -> tuple[dict, str]:
    """Return the configuration of the model in an HDF5 file and the version of Keras that wrote it."""
    with h5py.File(path) as file:
        config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
    if config is None:
        raise InputError(
            f"Expected a Keras model in {path}, which can't be loaded: it holds weights alone; save the whole model."
        )
    try:
        return json.loads(config), version.decode() if isinstance(version, bytes) else str(version)
    except (ValueError, TypeError) as error:
        raise InputError(f"Expected a Keras model in {path}, whose model_config is not JSON.") from error


def _zip_version(path: Path) -> str | None:
    """Return the version of Keras that wrote a `.keras` file, or `None` if it is no such file."""
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                return None
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return ""


def _is_torch(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    with path.open("rb") as file:
        return file.read(len(_STREAM)) == _STREAM or is_safetensors(path)


def _load_torch(path: Path, verbose: int) -> keras.Model:
    state_dict = read_state_dict(path)
    candidate = nearest(state_dict)
    if candidate is None or not candidate.fits:
        names = ", ".join(list(state_dict)[:3])
        raise InputError(
            f"Expected the weights of a network of keras_lite.applications in {path}, received {len(state_dict)} "
            f"tensors ({names}, ...) of another. {candidate.advice() if candidate else 'None comes near.'}"
        )
    if "classes" not in candidate.options:
        raise InputError(
            f"Expected weights with a classifier in {path}, received those of {candidate} without one that is known "
            "here; build it and load them with load_classifier=False."
        )
    model = candidate.build(input_shape=(None, None, 3), classifier_activation=None)
    load_torch_state_dict(model, state_dict)
    if verbose:
        print(f"{path}: {candidate}")
    return model
