"""Reading and writing PyTorch weights: PyTorch's own files, of any ending, and safetensors, also in shards.

Tensors alone are read, never objects that could run code. PyTorch has had two formats: a zip file, and before version
1.6 a stream of pickles. Both are read without PyTorch; it is needed to write one.
"""

import io
import math
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_lite.checkpoints.contents import (
    STORAGE_TYPES,
    BrokenError,
    Foreign,
    RefusedError,
    Storage,
    Tensor,
    choose_state_dict,
    describe,
)
from keras_lite.checkpoints.other_files import check_is_weights, is_index, is_safetensors, shards
from keras_lite.checkpoints.torch_pickle import Reader
from keras_lite.errors import InputError, import_extra
from keras_lite.files import atomic_path

# What a stream of pickles begins with.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

# What zipfile raises on files that are damaged, or made to damage.
_DAMAGE = (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError, struct.error)


def read_state_dict(path: str | os.PathLike, entry: str | None = None) -> dict[str, np.ndarray]:
    """Read the tensors of a PyTorch file, whatever its ending.

    A state dict inside what a training script saved is found, and what lies beside it (optimizers, arguments, numbers)
    passed over without being run. Of several, the network's own weights are taken rather than their average; one
    printed line says so.

    Args:
        path: A file that `torch.save` wrote (.pt, .pth, .pth.tar, .ckpt, .bin, ...), of any version of PyTorch; a
            .safetensors file (needs safetensors); or the index (.json) of a file in shards.
        entry: What the file calls the state dict that is wanted, such as `"state_dict_ema"`, or what the names of the
            tensors that are wanted begin with, such as `"ema_model"`.

    Returns:
        Name -> array in PyTorch's layout, floats as float32. Arrays may be read-only.

    Raises:
        InputError: If the file does not exist, is damaged, or has no named tensors.
        MissingExtraError: If safetensors is not installed.

    Example:

    ```python
    state_dict = keras_lite.checkpoints.read_state_dict("checkpoint.pth.tar")
    keras_lite.checkpoints.load_torch_state_dict(keras_lite.applications.CARNet18(), state_dict)
    ```
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"Expected a file of PyTorch weights, received the folder {str(path)!r}.")
    if not path.is_file():
        raise InputError(f"Expected a file of PyTorch weights, received {str(path)!r}, which does not exist.")
    check_is_weights(path)
    if is_index(path):
        arrays = {}
        for shard in shards(path):
            arrays |= read_state_dict(shard)
    elif is_safetensors(path):
        arrays = _read_safetensors(path)
    else:
        return _read_pytorch(path, entry)
    return arrays if entry is None else choose_state_dict(arrays, path, entry, np.ndarray)


def write_state_dict(path: str | os.PathLike, state_dict: Mapping[str, np.ndarray]) -> None:
    """Write tensors to a PyTorch file, for `torch.load(path, weights_only=True)` or safetensors.

    Args:
        path: A .pt, .pth or .bin file (needs torch) or a .safetensors file (needs safetensors).
        state_dict: Name -> array in PyTorch's layout.

    Raises:
        InputError: If the file's ending is another.
        MissingExtraError: If torch or safetensors is not installed.
    """
    path = Path(path)
    if path.suffix not in (".pt", ".pth", ".bin", ".safetensors"):
        raise InputError(
            f"Expected a file of PyTorch weights to write (.pt, .pth, .bin, .safetensors), received {str(path)!r}."
        )
    arrays = {name: np.ascontiguousarray(value).reshape(np.shape(value)) for name, value in state_dict.items()}
    if path.suffix == ".safetensors":
        safetensors = import_extra("safetensors.numpy", "safetensors")
        with atomic_path(path) as temporary:
            safetensors.save_file(arrays, temporary)
    else:
        torch = import_extra("torch", "torch")
        with atomic_path(path) as temporary:
            torch.save({name: torch.tensor(value) for name, value in arrays.items()}, temporary)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    safetensors = import_extra("safetensors", "safetensors")
    numpy_files = import_extra("safetensors.numpy", "safetensors")
    try:
        return {name: _widened(array) for name, array in numpy_files.load_file(path).items()}
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"Expected tensors in {path}, which can't be read as safetensors: {_line(error)}") from error


def _read_pytorch(path: Path, entry: str | None) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    try:
        content, storages, left_out = _read_zip(data) if data.startswith(b"PK") else _read_stream(data)
        state_dict = choose_state_dict(content, path, entry, Tensor)
        if state_dict is not None:
            return _arrays(state_dict, storages)
        foreign = _first_foreign(content)
        if refused := foreign.name if foreign else next(iter(left_out), None):
            raise RefusedError(refused)
    except RefusedError as error:
        raise InputError(
            f"Expected tensors alone in {path}, received {error} too. Objects are never loaded, since they can run "
            "code; a whole saved network becomes a state dict in the code that it is from: "
            "torch.save(network.state_dict(), path)"
        ) from error
    except InputError:
        raise
    except (BrokenError, *_DAMAGE) as error:
        raise InputError(f"Expected PyTorch weights in {path}, which can't be read as such: {_line(error)}") from error
    raise InputError(f"Expected a state dict (names and tensors) in {path}, received {describe(content)}.")


def _first_foreign(content) -> Foreign | None:
    """Return the content itself, or what lies directly in it, if it is an object that was not made."""
    inside = content.values() if isinstance(content, dict) else ()
    return next((value for value in (content, *inside) if isinstance(value, Foreign)), None)


def _read_zip(data: bytes) -> tuple[Any, Callable[[Storage], memoryview], list[str]]:
    """Return what a zip file's pickle holds, a function that gives a storage's bytes, and what was left out."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    entries = {entry.filename: entry for entry in archive.infolist()}
    _check_entries(archive.infolist(), len(data))
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise BrokenError(f"a zip file with {len(pickles) or 'no'} data.pkl in its only folder")
    folder = pickles[0].removesuffix("data.pkl")
    order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in entries else b"little"
    _check_byte_order(order == b"little")

    def storage(wanted: Storage) -> memoryview:
        name = f"{folder}data/{wanted.key}"
        if name not in entries:
            raise BrokenError(f"a tensor in the storage {wanted.key[:40]!r}, which is not there")
        return memoryview(archive.read(name))

    reader = Reader()
    return reader.read(io.BytesIO(archive.read(pickles[0]))), storage, reader.left_out


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Raise InputError for what PyTorch never writes: compressed entries, false sizes, double or outside names."""
    if sum(entry.file_size for entry in entries) > size:
        raise BrokenError(f"a zip file of {size:,} bytes whose entries have more")
    if len({entry.filename for entry in entries}) < len(entries):
        raise BrokenError("a zip file with two entries of one name")
    for entry in entries:
        name = entry.filename[:80]
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise BrokenError(f"a zip file with the compressed entry {name!r}")
        if name.startswith(("/", "\\")) or ".." in Path(name).parts:
            raise BrokenError(f"a zip file with the entry {name!r}, outside of its folder")


def _read_stream(data: bytes) -> tuple[Any, Callable[[Storage], memoryview], list[str]]:
    """Return the same as `_read_zip` for the format until PyTorch 1.5: five pickles, then the storages."""
    stream, reader = io.BytesIO(data), Reader()
    if isinstance(first := reader.read(stream), Foreign):
        raise RefusedError(first.name)
    if first != _MAGIC:
        raise BrokenError("a pickle that PyTorch did not write")
    if (protocol := reader.read(stream)) != _PROTOCOL:
        raise BrokenError(f"the protocol {str(protocol)[:20]}")
    system = reader.read(stream)
    _check_byte_order(isinstance(system, dict) and system.get("little_endian") is True)
    content, keys = reader.read(stream), reader.read(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in reader.storages for key in keys):
        raise BrokenError("storages that no tensor is in")
    position, parts = stream.tell(), {}
    for key in keys:
        wanted = reader.storages[key]
        size = int.from_bytes(data[position : position + 8], "little")
        if size != wanted.size:
            raise BrokenError(f"the storage {key[:40]!r} of {size:,} numbers in place of {wanted.size:,}, or cut off")
        length = size * STORAGE_TYPES[wanted.kind].itemsize
        parts[key] = memoryview(data)[position + 8 : position + 8 + length]
        position += 8 + length

    def storage(wanted: Storage) -> memoryview:
        if wanted.key not in parts:
            raise BrokenError(f"a tensor in the storage {wanted.key[:40]!r}, which is not there")
        return parts[wanted.key]

    return content, storage, reader.left_out


def _check_byte_order(little: bool) -> None:
    if not little:
        raise BrokenError("numbers in another byte order than little endian")


def _arrays(tensors: dict[str, Tensor], storages: Callable[[Storage], memoryview]) -> dict[str, np.ndarray]:
    """Return each tensor as a view of its storage, so that no file can ask for more memory than it has bytes."""
    flat = {}
    for tensor in tensors.values():
        if tensor.storage.key not in flat:
            flat[tensor.storage.key] = _numbers(tensor.storage, storages(tensor.storage))
    return {name: _view(tensor, flat[tensor.storage.key], name) for name, tensor in tensors.items()}


def _numbers(storage: Storage, content: memoryview) -> np.ndarray:
    kind = STORAGE_TYPES[storage.kind]
    if len(content) != storage.size * kind.itemsize:
        raise BrokenError(
            f"the storage {storage.key[:40]!r} of {len(content):,} bytes in place of {storage.size * kind.itemsize:,}"
        )
    numbers = np.frombuffer(content, kind)
    if storage.kind == "BFloat16Storage":
        return (numbers.astype("<u4") << 16).view("<f4")  # bfloat16 is the upper half of float32
    return numbers != 0 if storage.kind == "BoolStorage" else _widened(numbers)


def _view(tensor: Tensor, flat: np.ndarray, name: str) -> np.ndarray:
    count = math.prod(tensor.shape)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if count > flat.size or (count and last >= flat.size):
        raise BrokenError(f"{name[:80]} of shape {tensor.shape} in a storage of {flat.size:,} numbers")
    if not count:
        return np.zeros(tensor.shape, flat.dtype)
    steps = [stride * flat.itemsize if n > 1 else 0 for n, stride in zip(tensor.shape, tensor.strides, strict=True)]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps, writeable=False)


def _widened(array: np.ndarray) -> np.ndarray:
    """Return floats of any size as float32."""
    return array.astype("float32", copy=False) if array.dtype.kind not in "iub" else array


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
