"""Reading pickles of PyTorch without running them: only tensors and plain containers are made.

Pickle is a language for a stack machine; its `REDUCE` and `BUILD` call whatever a file names. The machine here knows
the operations that a checkpoint is made of, and the few names below. In place of every other object stands a
`Foreign`, which has the name of its class and nothing else: that class is never imported, and nothing is called.
"""

import dataclasses
import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from keras_lite.checkpoints.contents import STORAGE_TYPES, BrokenError, Foreign, RefusedError, Storage, Tensor

# Far above what a file of weights needs (about 25 operations a tensor), and done in seconds.
_MOST_OPERATIONS = 1_000_000
_MOST_AXES = 32  # NumPy's own limit

_PUSHES_ITS_ARGUMENT = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": lambda: Foreign("set"),
}


@dataclasses.dataclass(frozen=True)
class _View:
    """A part of a storage, as files of 2017 have it."""

    storage: Storage
    start: int


@dataclasses.dataclass(frozen=True)
class _Name:
    """A class or function of `_CALLS` or a storage's type."""

    name: str


class Reader:
    """Reader of the pickles of one file.

    Attributes:
        storages: Every storage that was mentioned, by its key.
        left_out: What is not among the values that were read, because dicts can't safely have it as a key.
    """

    def __init__(self):
        self.storages: dict[str, Storage] = {}
        self.left_out: list[str] = []
        self._operations = 0

    def read(self, file: BinaryIO) -> Any:
        """Read one pickle; the file stands behind it afterwards.

        Returns:
            Tensors, numbers, texts and plain containers of these; a `Foreign` in place of anything else.

        Raises:
            RefusedError: If it calls what can't be called, or needs objects from elsewhere.
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

    def _do_frozenset(self, _) -> None:
        self._since_mark()
        self._stack.append(Foreign("frozenset"))

    def _do_additems(self, _) -> None:
        self._since_mark()

    def _do_append(self, _) -> None:
        item = self._stack.pop()
        if not self._is_foreign():
            self._container(list).append(item)

    def _do_appends(self, _) -> None:
        items = self._since_mark()
        if not self._is_foreign():
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

    def _is_foreign(self) -> bool:
        return isinstance(self._stack[-1], Foreign)

    def _set(self, items: list) -> None:
        if self._is_foreign():
            return
        target = self._container(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nothing that hashes by recursion.
            if isinstance(key, str | int | float | bytes | None):
                target[key] = value
            else:
                self.left_out.append(f"a dict with a {type(key).__name__} as key")

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
        known = name in _CALLS or name.removeprefix("torch.") in STORAGE_TYPES
        self._stack.append(_Name(name) if known else Foreign(name[:100]))

    def _do_reduce(self, _) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if isinstance(called, Foreign):
            self._stack.append(Foreign(called.name))
            return
        if not isinstance(called, _Name) or called.name not in _CALLS or type(arguments) is not tuple:
            raise RefusedError("a call of something that is no function")
        self._stack.append(_CALLS[called.name](self, *arguments))

    def _instance(self, kind) -> None:
        """Put a `Foreign` where an object is made by its class, whatever it is made of."""
        if not isinstance(kind, Foreign | _Name):
            raise RefusedError("an object of something that is no class")
        self._stack.append(Foreign(kind.name))

    def _do_newobj(self, _) -> None:
        self._stack.pop()
        self._instance(self._stack.pop())

    def _do_newobj_ex(self, _) -> None:
        self._stack.pop()
        self._do_newobj(_)

    def _do_obj(self, _) -> None:
        self._instance(self._since_mark()[0])

    def _do_inst(self, argument: str) -> None:
        self._since_mark()
        self._instance(Foreign(argument.replace(" ", ".")[:100]))

    def _do_build(self, _) -> None:
        # Of a dict: an OrderedDict's attributes, the versions of PyTorch's modules, which nobody needs here.
        self._stack.pop()
        if not self._is_foreign():
            self._container(dict)

    def _do_binpersid(self, _) -> None:
        identity = self._stack.pop()
        kind, *rest = identity if type(identity) is tuple and identity else (None,)
        if kind == "module" and rest and isinstance(rest[0], Foreign):
            self._stack.append(rest[0])  # the class of a network, with its source, in files before PyTorch 1.6
            return
        if kind != "storage" or len(rest) not in (4, 5):
            raise RefusedError("an object kept outside of the pickle")
        name, key, _, size = rest[:4]
        if isinstance(name, Foreign):  # numbers of a type that nothing here is made of
            self._stack.append(name)
            return
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

    def _default_dict(self, *_) -> dict:
        return {}

    def _tensor(self, view, offset, shape, strides, *_) -> Tensor | Foreign:
        if isinstance(view, Foreign):
            return view
        if not isinstance(view, _View) or type(shape) is not tuple or type(strides) is not tuple:
            raise TypeError("a tensor without storage, shape or strides")
        if len(shape) != len(strides) or len(shape) > _MOST_AXES:
            raise ValueError("a tensor whose shape and strides differ in length")
        if not all(_is_count(number) for number in (offset, *shape, *strides)):
            raise ValueError("a tensor with a negative offset, size or stride")
        return Tensor(view.storage, view.start + offset, shape, strides)

    def _parameter(self, tensor, *_) -> Tensor | Foreign:
        if not isinstance(tensor, Tensor | Foreign):
            raise TypeError("a parameter that is no tensor")
        return tensor


_CALLS: dict[str, Callable] = {
    "collections.OrderedDict": Reader._ordered_dict,
    "collections.defaultdict": Reader._default_dict,
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
