"""Files of PyTorch weights: .pt, .pth and .safetensors. Tensors alone are read, never objects that could run code."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.files import atomic_path

ENDINGS = (".pt", ".pth", ".safetensors")

# Where training scripts keep the state dict in what they save.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the tensors of a PyTorch file.

    A state dict inside another dict is found under the names `state_dict`, `model_state_dict`, `model` and `net`.

    Args:
        path: A .pt or .pth file (needs torch) or a .safetensors file (needs safetensors).

    Returns:
        Name -> array in PyTorch's layout.

    Raises:
        InputError: If the file does not exist or holds anything but named tensors.
        MissingExtraError: If torch or safetensors is not installed.

    Example:

    ```python
    state_dict = keras_lite.torch_files.read_state_dict("carnet.pt")
    keras_lite.checkpoints.load_torch_state_dict(keras_lite.applications.CARNet18(), state_dict)
    ```
    """
    path = _checked(path)
    if not path.is_file():
        raise InputError(f"Expected a file of PyTorch weights, received {str(path)!r}, which does not exist.")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def write_state_dict(path: str | os.PathLike, state_dict: Mapping[str, np.ndarray]) -> None:
    """Write tensors to a PyTorch file, for `torch.load(path, weights_only=True)` or safetensors.

    Args:
        path: A .pt or .pth file (needs torch) or a .safetensors file (needs safetensors).
        state_dict: Name -> array in PyTorch's layout.

    Raises:
        InputError: If the file's ending is another.
        MissingExtraError: If torch or safetensors is not installed.
    """
    path = _checked(path)
    arrays = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in state_dict.items()}
    if path.suffix == ".safetensors":
        safetensors = import_extra("safetensors.numpy", "torch")
        with atomic_path(path) as temporary:
            safetensors.save_file(arrays, temporary)
    else:
        torch = import_extra("torch", "torch")
        with atomic_path(path) as temporary:
            torch.save({name: torch.tensor(value) for name, value in arrays.items()}, temporary)


def _checked(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.suffix not in ENDINGS:
        raise InputError(f"Expected a file of PyTorch weights ({', '.join(ENDINGS)}), received {str(path)!r}.")
    return path


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    safetensors = import_extra("safetensors", "torch")
    numpy_files = import_extra("safetensors.numpy", "torch")
    try:
        return numpy_files.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"Expected tensors in {path}, which can't be read as safetensors: {reason}") from error


def _read_pickle(path: Path) -> dict[str, np.ndarray]:
    torch = import_extra("torch", "torch")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"Expected tensors alone in {path}, received other objects too, or no PyTorch file. Objects are never "
            "loaded, since they can run code; a whole saved network becomes a state dict in the code that it is from: "
            "torch.save(network.state_dict(), path)"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"Expected PyTorch weights in {path}, which can't be read as such: {reason}") from error
    return {name: _as_array(tensor) for name, tensor in _find_state_dict(content, path, torch.Tensor).items()}


def _find_state_dict(content, path: Path, tensor_class: type) -> Mapping:
    if isinstance(content, Mapping):
        if content and all(isinstance(value, tensor_class) for value in content.values()):
            return content
        for name in _WRAPPERS:
            if isinstance(content.get(name), Mapping):
                return _find_state_dict(content[name], path, tensor_class)
        received = f"a dict with {', '.join(map(str, list(content)[:8])) or 'nothing'}"
    else:
        received = type(content).__name__
    raise InputError(
        f"Expected a state dict in {path}, or one under the name {', '.join(_WRAPPERS)}; received {received}."
    )


def _as_array(tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
