"""Recognizing files that are not PyTorch weights, by their content, and what to do with them."""

import json
import zipfile
from pathlib import Path

from keras_lite.errors import InputError

_SAVE = "torch.save(network.state_dict(), path) in the code that it is from"

# What a file begins with -> what it is, what to do.
_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "a Keras or HDF5 file", "keras_lite.checkpoints.load_model reads whole Keras models"),
    (b"version https://git-lfs", "a Git LFS pointer, which only names the file", "fetch it with: git lfs pull"),
    (b"<", "a page of text, not the file itself", "download it again, by the link to the file"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"GGUF", "a GGUF file", f"use the file of the network's weights in PyTorch: {_SAVE}"),
)


def check_is_weights(path: Path) -> None:
    """Raise InputError if a file is of another known format, which the message names.

    Raises:
        InputError: If it is one; the message says which, and what to do.
    """
    with path.open("rb") as file:
        start = file.read(512)
    found = next(((what, advice) for magic, what, advice in _BEGINNINGS if start.startswith(magic)), None)
    if start[257:262] == b"ustar":
        found = "a tar archive", "unpack it first"
    elif start[4:8] == b"TFL3":
        found = "a TFLite file", "it can't be trained or converted; take the model that it was made from"
    elif start.startswith(b"PK"):
        found = _zip_kind(path)
    elif path.suffix == ".onnx" or _is_onnx(start):
        found = "an ONNX file", f"save the weights instead: {_SAVE}"
    if found:
        what, advice = found
        raise InputError(f"Expected a file of PyTorch weights, received {path}, which is {what}: {advice}.")


def _zip_kind(path: Path) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # damaged: said where it is read
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        return "TorchScript (torch.jit.save)", f"save the state dict instead, with {_SAVE}"
    if "archive_format" in inside or "models/model.json" in inside or "serialized_exported_program.json" in names:
        return "an exported program (torch.export.save)", f"save the state dict instead, with {_SAVE}"
    if {"config.json", "metadata.json"} <= set(names):
        return "a Keras model", "keras_lite.checkpoints.load_model reads it"
    if not any(name.endswith("data.pkl") for name in inside | set(names)):
        files = [name for name in names if name.endswith((".pt", ".pth", ".bin", ".ckpt", ".safetensors"))]
        if files:
            return f"a zip archive with {files[0][:80]}", "unpack it first"
    return None


def _is_onnx(start: bytes) -> bool:
    """Return whether a protocol buffer begins as an ONNX model: with its version, then its producer or a graph."""
    return len(start) > 3 and start[0] == 0x08 and 1 <= start[1] < 32 and start[2] in (0x12, 0x1A, 0x3A, 0x42)


def is_safetensors(path: Path) -> bool:
    """Return whether a file is one of safetensors: by its header, or by its ending if it is broken."""
    with path.open("rb") as file:
        start = file.read(9)
    header = int.from_bytes(start[:8], "little")
    return (start[8:] == b"{" and header <= path.stat().st_size) or path.suffix == ".safetensors"


def is_index(path: Path) -> bool:
    """Return whether a file is a JSON file, such as the index of a file in shards."""
    return path.suffix == ".json"


def shards(path: Path) -> list[Path]:
    """Return the paths of the shards that an index file names; they are in the same folder.

    Raises:
        InputError: If it is no such index, or one of them is not there.
    """
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"Expected the index of weights in shards (with a weight_map) in {path}, received other content."
        ) from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or Path(name).suffix == ".json":
            raise InputError(f"Expected files beside {path} in its weight_map, received {str(name)[:80]!r}.")
        if not (path.parent / name).is_file():
            raise InputError(f"Expected {name} beside {path}, which names it; it does not exist.")
    return [path.parent / name for name in names]
