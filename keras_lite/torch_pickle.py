"""Pickles that PyTorch wrote, read without running them: tensors and plain containers come out, all else is refused.

Pickle is a language for a stack machine; its `REDUCE` and `BUILD` call whatever a file names. The machine here knows
the operations that a file of tensors is made of, and the few names below.
"""

import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

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

# Far above what a file of weights needs (about 25 operations a tensor), and done in seconds.
_MOST_OPERATIONS = 1_000_000
_MOST_AXES = 32  # NumPy's own limit

_PUSHES_ITS_ARGUMENT = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class RefusedError(Exception):
    """A pickle holds something that is no tensor and no plain container; the text says what."""


class BrokenError(Exception):
    """A file contradicts itself; the text says how."""


@dataclasses.dataclass(frozen=True)
class Storage:
    """Numbers that tensors are made of, not read yet.

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


@dataclasses.dataclass(frozen=True)
class _View:
    """A part of a storage, as files of 2017 have it."""

    storage: Storage
    start: int


@dataclasses.dataclass(frozen=True)
class _Name:
    """A class or function that a pickle names: never imported."""

    name: str


class Reader:
    """Reads the pickles of one file.

    Attributes:
        storages: Every storage that was mentioned, by its key.
    """

    def __init__(self):
        self.storages: dict[str, Storage] = {}
        self._operations = 0

    def read(self, file: BinaryIO) -> Any:
        """Read one pickle; the file stands behind it afterwards.

        Raises:
            RefusedError: If it holds anything but tensors, numbers, texts and plain containers.
            BrokenError: If it is no valid pickle.
        """
        self._stack: list = []
        self._marks: list[int] = []  # heights of the stack
        self._memo: dict[int, Any] = {}
        try:
            for opcode, argument, _ in pickletools.genops(file):
                self._count(1)
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._do(opcode.name, argument)
        except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
            raise BrokenError(f"a pickle that is none ({' '.join(str(error).split()) or 'it ends early'})") from error
        raise BrokenError("a pickle without an end")

    def _count(self, operations: int) -> None:
        self._operations += operations
        if self._operations > _MOST_OPERATIONS:
            raise BrokenError(f"a pickle of more than {_MOST_OPERATIONS:,} operations")

    def _do(self, name: str, argument) -> None:
        stack = self._stack
        if name in _PUSHES_ITS_ARGUMENT:
            if isinstance(argument, int) and argument.bit_length() > 128:
                raise BrokenError(f"a number of {argument.bit_length()} bits")
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(self._top(_TUPLES[name]))]
        elif method := getattr(self, f"_do_{name.lower()}", None):
            method(argument)
        elif name not in ("PROTO", "FRAME"):
            raise BrokenError(f"a pickle with the operation {name}, which PyTorch does not need")

    def _top(self, count: int) -> list:
        if len(self._stack) < count:
            raise IndexError("too little on the stack")
        return self._stack[-count:]

    def _since_mark(self) -> list:
        position = self._marks.pop()
        items = self._stack[position:]
        del self._stack[position:]
        return items

    def _do_mark(self, _) -> None:
        self._marks.append(len(self._stack))

    def _do_pop(self, _) -> None:
        (self._marks if self._marks[-1:] == [len(self._stack)] else self._stack).pop()

    def _do_pop_mark(self, _) -> None:
        self._since_mark()

    def _do_dup(self, _) -> None:
        self._stack.append(self._stack[-1])

    def _do_tuple(self, _) -> None:
        self._stack.append(tuple(self._since_mark()))

    def _do_list(self, _) -> None:
        self._stack.append(self._since_mark())

    def _do_dict(self, _) -> None:
        items = self._since_mark()
        self._stack.append({})
        self._set(items)

    def _do_append(self, _) -> None:
        item = self._stack.pop()
        self._container(list).append(item)

    def _do_appends(self, _) -> None:
        items = self._since_mark()
        self._container(list).extend(items)

    def _do_setitem(self, _) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _do_setitems(self, _) -> None:
        self._set(self._since_mark())

    def _container(self, kind: type):
        if type(self._stack[-1]) is not kind:
            raise TypeError(f"an operation on a {kind.__name__}, which is none")
        return self._stack[-1]

    def _set(self, items: list) -> None:
        target = self._container(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nothing that hashes by recursion.
            if not isinstance(key, str | int | float | bytes | None):
                raise RefusedError(f"a dict with a {type(key).__name__} as key")
            target[key] = value

    def _do_memoize(self, _) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _do_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _do_binput = _do_long_binput = _do_put
    _do_binget = _do_long_binget = _do_get

    def _do_global(self, argument: str) -> None:
        self._push_name(argument.replace(" ", "."))

    def _do_stack_global(self, _) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._push_name(f"{module}.{name}")

    def _push_name(self, name: str) -> None:
        if name not in _CALLS and name.removeprefix("torch.") not in STORAGE_TYPES:
            raise RefusedError(name[:100])
        self._stack.append(_Name(name))

    def _do_reduce(self, _) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, _Name) or called.name not in _CALLS or type(arguments) is not tuple:
            raise RefusedError("a call of something that is no function")
        self._stack.append(_CALLS[called.name](self, *arguments))

    def _do_build(self, _) -> None:
        # An OrderedDict's attributes: the versions of PyTorch's modules, which nobody needs here.
        self._stack.pop()
        self._container(dict)

    def _do_binpersid(self, _) -> None:
        identity = self._stack.pop()
        kind, *rest = identity if type(identity) is tuple and identity else (None,)
        if kind != "storage" or len(rest) not in (4, 5):
            raise RefusedError(f"a {kind}" if kind == "module" else "an object kept outside of the pickle")
        name, key, _, size = rest[:4]
        if not isinstance(name, _Name) or name.name in _CALLS or not isinstance(key, str) or not _is_count(size):
            raise BrokenError("a storage without type, name or size")
        storage = Storage(key, name.name.removeprefix("torch."), size)
        if self.storages.setdefault(key, storage) != storage:
            raise BrokenError(f"two storages of the name {key[:40]!r}")
        view = rest[4] if len(rest) == 5 else None
        start = 0 if view is None else view[1]
        if not _is_count(start):
            raise BrokenError("a view with a negative start")
        self._stack.append(_View(storage, start))

    def _ordered_dict(self, items=()) -> dict:
        """Python 2 gives its items along, Python 3 sets them afterwards."""
        if type(items) not in (list, tuple):
            raise TypeError("an OrderedDict of something else")
        self._count(len(items))
        self._stack.append({})
        self._set([part for pair in items for part in _exactly(2, pair)])
        return self._stack.pop()

    def _size(self, sizes=()) -> tuple:
        return tuple(sizes[:_MOST_AXES])

    def _tensor(self, view, offset, shape, strides, *_) -> Tensor:
        if not isinstance(view, _View) or type(shape) is not tuple or type(strides) is not tuple:
            raise TypeError("a tensor without storage, shape or strides")
        if len(shape) != len(strides) or len(shape) > _MOST_AXES:
            raise ValueError("a tensor whose shape and strides differ in length")
        if not all(_is_count(number) for number in (offset, *shape, *strides)):
            raise ValueError("a tensor with a negative offset, size or stride")
        return Tensor(view.storage, view.start + offset, shape, strides)

    def _parameter(self, tensor, *_) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise TypeError("a parameter that is no tensor")
        return tensor


_CALLS: dict[str, Callable] = {
    "collections.OrderedDict": Reader._ordered_dict,
    "torch.Size": Reader._size,
    "torch._utils._rebuild_tensor": Reader._tensor,
    "torch._utils._rebuild_tensor_v2": Reader._tensor,
    "torch._utils._rebuild_parameter": Reader._parameter,
}


def _is_count(value) -> bool:
    return isinstance(value, int) and 0 <= value < 2**62


def _exactly(count: int, items) -> tuple | list:
    if type(items) not in (list, tuple) or len(items) != count:
        raise ValueError(f"expected {count} items")
    return items
