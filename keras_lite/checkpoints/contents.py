"""What a PyTorch file holds, before its numbers are read, and which part of that is the network's state dict."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from keras_lite.errors import InputError, warn

Value = TypeVar("Value")

# PyTorch's name of a storage -> the type of its numbers in the file; bfloat16 has no type in NumPy.
STORAGE_TYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("u1"),
}

# What training scripts call the state dict, the surest first.
_NAMES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module")

# What has tensors and is no network.
_NO_NETWORK = re.compile(r"optim|sched|scaler|rng|criterion|loss", re.IGNORECASE)
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?|shadow)($|[._])", re.IGNORECASE)
_DEPTH = 4


class RefusedError(Exception):
    """Raised if a file holds an object where only tensors and plain containers are allowed; the message names it."""


class BrokenError(Exception):
    """Raised if a file contradicts itself; the message says how."""


@dataclasses.dataclass(frozen=True)
class Storage:
    """The numbers of tensors, not read yet.

    Attributes:
        key: What the file calls it.
        kind: A key of `STORAGE_TYPES`.
        size: How many numbers it has.
    """

    key: str
    kind: str
    size: int


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor whose numbers are not read yet; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Foreign:
    """Placeholder for an object that is neither a tensor nor a plain container."""

    name: str


def is_averaged(name: str) -> bool:
    """Return whether a name speaks of averaged weights, such as `state_dict_ema` or `ema_model.module.`."""
    return _AVERAGED.search(name) is not None


def choose_state_dict(content: Any, path: Path, entry: str | None, kind: type[Value]) -> dict[str, Value] | None:
    """Return the tensors of the network in what a file holds, or `None` if there are no named tensors.

    Of several state dicts the one that training scripts name so is taken, else the largest; averaged weights are taken
    where there are no others, or only a few loose tensors. A warning says what was taken, if others are as large.

    Args:
        content: What the file holds.
        path: The file, for messages.
        entry: Which state dict is wanted, or what the wanted names begin with; `None` for the choice above.
        kind: The class of a tensor.

    Raises:
        InputError: If there is no such entry.
        RefusedError: If a tensor of the state dict is of a kind that can't be read.
    """
    found = {".".join(keys): (keys, tensors) for keys, tensors in _state_dicts(content, kind)}
    if not found:
        return None
    if entry is not None:
        return _entry(found, entry.rstrip("."), path)
    most = max(len(tensors) for _, tensors in found.values())
    plain = [name for name, (_, tensors) in found.items() if not is_averaged(name) and 2 * len(tensors) >= most]
    chosen = min(plain or found, key=lambda name: _rank(*found[name]))
    others = [name for name in found if name != chosen and 2 * len(found[name][1]) >= len(found[chosen][1])]
    if others:
        warn(
            f"{path}: {chosen or 'the outermost state dict'} was taken; there are also {', '.join(others)} "
            f"(entry={others[0]!r}, or --entry {others[0]}, takes that)"
        )
    return found[chosen][1]


def _state_dicts(content: Any, kind: type) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Yield each dict with tensors once, and the keys that lead to it."""
    seen, waiting = set(), [((), content)]
    while waiting:
        keys, value = waiting.pop(0)
        if not isinstance(value, dict) or id(value) in seen or len(keys) > _DEPTH:
            continue
        seen.add(id(value))
        named = {name: part for name, part in value.items() if isinstance(name, str)}
        tensors = {name: part for name, part in named.items() if isinstance(part, kind)}
        if tensors:
            for name, part in named.items():
                if isinstance(part, Foreign) and part.name.startswith("torch._utils._rebuild"):
                    raise RefusedError(f"{name} as {part.name}")
            yield keys, tensors
        waiting += [((*keys, name), part) for name, part in named.items() if not _NO_NETWORK.search(name)]


def _rank(keys: tuple[str, ...], tensors: dict) -> tuple[int, int, int]:
    """Return a sort key, least for the network: by the name, the number of tensors and the depth."""
    named = keys[-1] in _NAMES if keys else False
    return (_NAMES.index(keys[-1]) if named else len(_NAMES), -len(tensors), len(keys))


def _entry(found: dict[str, tuple], entry: str, path: Path) -> dict:
    if entry in found:
        return found[entry][1]
    for _, tensors in found.values():
        below = {
            name.removeprefix(f"{entry}."): value for name, value in tensors.items() if name.startswith(f"{entry}.")
        }
        if below:
            return below
    first = sorted({name.partition(".")[0] for _, tensors in found.values() for name in tensors})
    names = ", ".join([*filter(None, found), *first][:12])
    raise InputError(f"Expected an entry of {path}, such as {names}; received {entry!r}.")


def describe(content: Any) -> str:
    """Return a description of a file that has no tensors."""
    if isinstance(content, dict):
        return f"a dict with {', '.join(str(name)[:40] for name in list(content)[:8]) or 'nothing'}"
    return type(content).__name__
