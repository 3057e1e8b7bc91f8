"""The trained model that a tool's command line names."""

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_lite.checkpoints import load_model
from keras_lite.data import ModelInfo, read_model_info
from keras_lite.errors import InputError, import_extra
from keras_lite.graph import with_input_shape
from keras_lite.training import model_file


def open_trained_model(positional: Sequence[str]) -> tuple[Path, keras.Model, ModelInfo]:
    """Return the one model on a command line: its file, the model, its classes and preprocessing.

    Args:
        positional: The arguments that are no flags.

    Raises:
        InputError: If there is not one of them, or it is no trained model with an information file that fits.
        MissingExtraError: If the quantization extra is not installed.
    """
    if len(positional) != 1:
        raise InputError(f"Expected one MODEL, received {len(positional)} (--help says more).")
    for module in ("tf_keras", "tensorflow_model_optimization", "ai_edge_litert.interpreter"):
        import_extra(module, "quantization")
    path = keras_file(positional[0])
    info = read_model_info(path)
    model = load_model(path)
    return path, fit_input(model, info, path), info


def keras_file(path: str) -> Path:
    """Return the Keras model file that a path stands for: the path itself, or the final model of a run folder.

    Raises:
        InputError: If there is none.
    """
    file = model_file(path)
    if file.suffix not in (".keras", ".h5"):
        raise InputError(f"Expected a run folder, a .keras or an .h5 file, received {path}.")
    return file


def fit_input(model: keras.Model, info: ModelInfo, path: Path) -> keras.Model:
    """Return a model for the size that its information file says: itself, or rebuilt if it leaves the size open.

    Raises:
        InputError: If it takes something else.
    """
    wanted = (*info.preprocessing.image_size, info.preprocessing.channels)
    shapes = [tuple(tensor.shape[1:]) for tensor in getattr(model, "inputs", None) or []]
    if shapes == [wanted]:
        return model
    if len(shapes) == 1 and None in shapes[0] and len(shapes[0]) == 3 and shapes[0][2] in (None, wanted[2]):
        return with_input_shape(model, wanted)
    received = " and ".join(str(shape) for shape in shapes) or "none that is known"
    raise InputError(f"Expected one input of shape {wanted} (height, width, channels) in {path}, received {received}.")
