"""Loading state dicts of PyTorch networks, and the way back."""

import os
from collections.abc import Mapping

import keras
import numpy as np

from keras_lite.checkpoints.fitting import Fit, fit
from keras_lite.checkpoints.identification import nearest
from keras_lite.checkpoints.registry import Family
from keras_lite.checkpoints.torch_files import read_state_dict
from keras_lite.checkpoints.torch_mapping import find_mapping, to_torch_layout
from keras_lite.errors import InputError, warn


def load_checkpoint(
    model: keras.Model, path: str | os.PathLike, load_classifier: bool = True, entry: str | None = None
) -> None:
    """Load a file of PyTorch weights into a model from `keras_lite.applications`, without PyTorch.

    Args:
        model: The model, flattened or not, with or without top.
        path: A file of PyTorch weights of any ending, see `keras_lite.checkpoints.read_state_dict`.
        load_classifier: Whether the classifier's weights are taken too. Without them a file that was trained for
            another number of classes fits.
        entry: Which of the state dicts in the file is wanted, such as `"state_dict_ema"`; `None` for the network's own.

    Raises:
        InputError: If the file does not exist, has no tensors, or is of another network.

    Example:

    ```python
    model = keras_lite.applications.MobileNetV3Large(classes=10)
    keras_lite.checkpoints.load_checkpoint(model, "mobilenet_v3_large-5c1a4163.pth", load_classifier=False)
    ```
    """
    state_dict = read_state_dict(path, entry)
    try:
        load_torch_state_dict(model, state_dict, load_classifier)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_torch_state_dict(
    model: keras.Model, state_dict: Mapping[str, np.ndarray], load_classifier: bool = True
) -> None:
    """Load the weights of a published PyTorch network into its Keras counterpart.

    What all names of the network begin with (`module.` from `torch.nn.DataParallel`, `_orig_mod.` from
    `torch.compile`, `model.`, ...) is taken off, and what lies beside such a network (a loss, a copy with averaged
    weights) passed over; a warning says so. A classifier in a `torch.nn.Sequential` is found there; of two linear
    layers, one behind the other, it becomes one. Entries that no network uses are passed over too
    (`num_batches_tracked`, `total_ops`, `total_params`, index buffers, an unused batch norm, the head if the model has
    no top). Nothing is loaded unless everything fits.

    Args:
        model: A model from `keras_lite.applications`, flattened or not.
        state_dict: Name -> tensor, or array in PyTorch's layout.
        load_classifier: Whether the classifier's weights are taken too.

    Raises:
        InputError: If entries are unknown, missing or misshapen; the message names them, and the network here that
            they fit or come nearest to. Also if the model is not of a known family.

    Example:

    ```python
    model = keras_lite.applications.CARNet18()
    keras_lite.checkpoints.load_torch_state_dict(model, torch.load("carnet.pt", weights_only=True))
    ```
    """
    found = fit(model, state_dict, load_classifier)
    if found.problems:
        raise InputError(_refusal(model, state_dict, found, load_classifier))
    for note in found.notes:
        warn(note)
    for variable, value in found.values:
        variable.assign(value)


def _refusal(model: keras.Model, state_dict: Mapping[str, np.ndarray], found: Fit, load_classifier: bool) -> str:
    candidate = nearest(state_dict)
    advice = candidate.advice(load_classifier) if candidate else "No network here has such names and shapes."
    if candidate and candidate.fits and not found.other_classes:
        return (
            f"Expected the state dict of {model.name}, received one of another network: {found.fitting} of its "
            f"{found.size} arrays fit. {advice}"
        )
    text = f"Expected the state dict of {model.name}, received one that differs; {'; '.join(found.problems)}"
    if found.other_classes and load_classifier:
        text += " (load_classifier=False takes all but the classifier, as --noload_classifier does)"
    return f"{text}. {advice}"


def to_torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """Return a model's weights under the names and in the layout of the published PyTorch network.

    All that PyTorch keeps is there, also what the network does not use (`num_batches_tracked`, which is 0, index
    buffers, an unused batch norm), so that a strict `load_state_dict` works.

    Args:
        model: A model from `keras_lite.applications`, flattened or not.

    Returns:
        Name -> array.

    Raises:
        InputError: If the model is not of a known family.

    Example:

    ```python
    model = keras_lite.applications.MobileNetV3Large()
    network = torchvision.models.mobilenet_v3_large()
    state_dict = keras_lite.checkpoints.to_torch_state_dict(model)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state_dict.items()})
    ```
    """
    mapping = find_mapping(model)
    arrays = {}
    for name, (layer, variable) in mapping.variables().items():
        values = keras.ops.convert_to_numpy(variable)
        arrays[name] = np.ascontiguousarray(to_torch_layout(layer, variable, values, mapping.is_convolution(layer)))
        if name.endswith(".running_var"):
            arrays[name.removesuffix("running_var") + "num_batches_tracked"] = np.array(0, "int64")
    return arrays | mapping.unused()


def family_of(model: keras.Model) -> Family | None:
    """Return the registered family that a model is from, flattened or not, or `None`.

    Example:

    >>> keras_lite.checkpoints.family_of(keras_lite.applications.CARNet18()).name
    'carnet'
    """
    try:
        return find_mapping(model).family
    except InputError:
        return None
