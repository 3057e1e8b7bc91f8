"""The official python files of CIFAR-10 and CIFAR-100, read without trusting them.

They are pickles, and a pickle can run any program. The unpickler here knows arrays and plain containers only, and
even arrays it builds itself: NumPy's own functions for that are never called.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.data.sources import ArraySource
from keras_lite.errors import InputError

_CIFAR10_FILES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
_CIFAR100_FILES = {"train": ["train"], "test": ["test"]}
_TYPE_CODES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def find_cifar(data_dir: str | os.PathLike) -> int | None:
    """Return 10 or 100 if a folder has that CIFAR's list of class names, else `None`."""
    root = Path(data_dir)
    if (root / "batches.meta").is_file():
        return 10
    return 100 if (root / "meta").is_file() else None


def open_cifar(data_dir: str | os.PathLike) -> dict[str, ArraySource]:
    """Return the sources of the unpacked python version of CIFAR-10 or CIFAR-100 (with its 100 fine classes).

    Args:
        data_dir: The folder with `batches.meta` (CIFAR-10) or `meta` (CIFAR-100).

    Returns:
        The sources "train" and "test" of 32x32 images.

    Raises:
        InputError: If a file is missing, damaged, or holds something else; the message names it.

    Example:

    ```python
    sources = open_cifar("cifar-10-batches-py")
    sources["test"].images([0]).shape  # (1, 32, 32, 3)
    ```
    """
    root = Path(data_dir)
    classes = find_cifar(root)
    if classes is None:
        raise InputError(f"Expected batches.meta (CIFAR-10) or meta (CIFAR-100) in {root}, found neither.")
    meta, names_key, files, label_key = (
        ("batches.meta", "label_names", _CIFAR10_FILES, "labels")
        if classes == 10
        else ("meta", "fine_label_names", _CIFAR100_FILES, "fine_labels")
    )
    for name in [name for names in files.values() for name in names]:
        if not (root / name).is_file():
            raise InputError(f"Expected the CIFAR-{classes} file {root / name}, which does not exist.")
    class_names = _read_class_names(root / meta, names_key, classes)
    sources = {}
    for split, names in files.items():
        parts = [_read_batch(root / name, label_key, classes) for name in names]
        images = np.concatenate([images for images, _ in parts])
        labels = np.concatenate([labels for _, labels in parts])
        sources[split] = ArraySource(images, labels, class_names)
    return sources


def _read_class_names(path: Path, key: str, classes: int) -> list[str]:
    names = _entry(path, _load(path), key)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str | bytes) for name in names):
        raise InputError(f"Expected a list of class names as {key} in {path}.")
    names = [_text(name) for name in names]
    if len(set(names)) != classes or len(names) != classes:
        raise InputError(f"Expected {classes} different class names in {path}, received {len(set(names))}.")
    return names


def _read_batch(path: Path, label_key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    entries = _load(path)
    pixels = _entry(path, entries, "data")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * 32 * 32,):
        found = f"{pixels.dtype} of shape {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise InputError(f"Expected data as uint8 of shape (count, 3072) in {path}, received {found}.")
    labels = _entry(path, entries, label_key)
    try:
        labels = np.asarray(labels)
    except ValueError:  # lists of unequal length
        labels = np.empty(0)
    if labels.shape != (len(pixels),) or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise InputError(f"Expected {len(pixels)} whole numbers as {label_key} in {path}, and at least one.")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"Expected {label_key} from 0 to {classes - 1} in {path}, received from {labels.min()} to {labels.max()}."
        )
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # stored as planes
    return np.ascontiguousarray(images), labels.astype("int64")


def _entry(path: Path, entries: dict[str, Any], key: str) -> Any:
    if key not in entries:
        raise InputError(f"Expected the entry {key} in {path}, received {', '.join(sorted(entries)[:6]) or 'none'}.")
    return entries[key]


def _load(path: Path) -> dict[str, Any]:
    """Read one file's dictionary, its keys as text."""
    try:
        with path.open("rb") as file:
            entries = _CifarUnpickler(file, encoding="bytes").load()
        if isinstance(entries, dict):
            # Plain containers hold no further arrays in these files.
            entries = {key: _unwrap(value) for key, value in entries.items()}
    except OSError:
        raise
    except Exception as error:  # damaged pickles end in exceptions of every kind
        raise InputError(f"Expected a CIFAR python file in {path}, which can't be read: {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(key, str | bytes) for key in entries):
        raise InputError(f"Expected a dictionary in {path}, received {type(entries).__name__}.")
    return {_text(key): value for key, value in entries.items()}


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _unwrap(value: Any) -> Any:
    return value.value() if isinstance(value, _PickledArray) else value


class _PickledType:
    """Stands in for numpy.dtype: plain numbers only."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        code = _text(code)
        if code not in _TYPE_CODES:
            raise pickle.UnpicklingError(f"arrays of type {code!r} are not allowed")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        order = _text(state[1])
        if order not in "<>|=":
            raise pickle.UnpicklingError(f"byte order {order!r} is not allowed")
        self.dtype = self.dtype.newbyteorder(order)


class _PickledArray:
    """Stands in for numpy.ndarray."""

    def __init__(self, *_: Any) -> None:
        self._array: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, in_columns, content = state
        self._fill(content, kind, shape, "F" if in_columns else "C")

    def _fill(self, content: Any, kind: _PickledType, shape: tuple, order: str) -> None:
        if not isinstance(kind, _PickledType):
            raise pickle.UnpicklingError("an array's type is missing")
        self._array = np.frombuffer(content, kind.dtype).reshape(shape, order=order)

    def value(self) -> np.ndarray:
        if self._array is None:
            raise pickle.UnpicklingError("an array's content is missing")
        return self._array


def _array_from_buffer(content: Any, kind: _PickledType, shape: tuple, order: str) -> _PickledArray:
    array = _PickledArray()
    array._fill(content, kind, shape, order)
    return array


def _number(kind: _PickledType, content: bytes) -> int | float:
    return np.frombuffer(content, kind.dtype)[0].item()


def _encode(text: str, encoding: str | bytes) -> bytes:
    if _text(encoding) not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not allowed")
    return text.encode("latin1")


# What a pickle may name, under NumPy's old and new module names, and what it gets instead.
_STAND_INS: dict[tuple[str, str], Any] = {("_codecs", "encode"): _encode}
for _core in ("numpy.core", "numpy._core"):
    _STAND_INS[f"{_core}.multiarray", "_reconstruct"] = _PickledArray
    _STAND_INS[f"{_core}.multiarray", "scalar"] = _number
    _STAND_INS[f"{_core}.numeric", "_frombuffer"] = _array_from_buffer
_STAND_INS["numpy", "ndarray"] = _PickledArray
_STAND_INS["numpy", "dtype"] = _PickledType


class _CifarUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return _STAND_INS[module, name]
