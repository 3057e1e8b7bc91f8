"""MATLAB files of version 5 to 7, as far as lists of texts and numbers go.

Every length is checked against what is there, and compressed parts may not swell without limit.

Source: The MathWorks, "MAT-File Format" (the description of level 5 files).
"""

import math
import os
import zlib
from pathlib import Path

import numpy as np

from keras_lite.errors import InputError

_HEADER_BYTES = 128
_LARGEST = 256 * 2**20  # bytes of a decompressed variable
_MATRIX, _COMPRESSED = 14, 15
# Data types of numbers, and of characters.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CHARACTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
# Classes of arrays.
_CELL, _TEXT = 1, 4
_NUMERIC = range(6, 16)
_COMPLEX = 0x0800

Value = str | np.ndarray | list


def read_mat(path: str | os.PathLike) -> dict[str, Value]:
    """Read a MATLAB file: texts, real numbers, and cell arrays of them.

    Args:
        path: The file, as MATLAB's `save` writes it without `-v7.3`.

    Returns:
        Each variable by its name: a text, an array of numbers in its shape, or for a cell array the list of its
        values in MATLAB's order (column after column).

    Raises:
        InputError: If the file is missing, damaged, of another version, or holds anything else; the message names it.

    Example:

    ```python
    read_mat("lists/train_list.mat")["file_list"][0]  # "n02085620-Chihuahua/n02085620_5927.jpg"
    ```
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a MATLAB file at {path}, which does not exist.")
    try:
        return _read(path.read_bytes())
    except (ValueError, zlib.error) as error:  # UnicodeDecodeError is one of them
        raise InputError(f"Expected a MATLAB file of version 5 in {path}, which can't be read: {error}") from error


def _read(content: bytes) -> dict[str, Value]:
    orders = {b"IM": "<", b"MI": ">"}
    if len(content) < _HEADER_BYTES or content[126:128] not in orders:
        raise ValueError("its header is no MATLAB header")
    order = orders[content[126:128]]
    version = int.from_bytes(content[124:126], "little" if order == "<" else "big")
    if version != 0x0100:
        raise ValueError(f"it is of version {version >> 8:#x} (save it with -v7)")
    variables = {}
    elements = _Elements(content[_HEADER_BYTES:], order)
    while not elements.at_end():
        kind, data = elements.next()
        if kind == _COMPRESSED:
            kind, data = _Elements(_decompress(data), order).next()
        if kind != _MATRIX:
            raise ValueError(f"data of type {kind} stands where a variable should")
        name, value = _read_array(data, order)
        variables[name] = value
    return variables


class _Elements:
    """Data elements one after another, each a type and its bytes."""

    def __init__(self, content: bytes, order: str) -> None:
        self._content = content
        self._order = order
        self._place = 0

    def at_end(self) -> bool:
        return self._place >= len(self._content)

    def next(self) -> tuple[int, bytes]:
        kind, length = (int(number) for number in np.frombuffer(self._take(8), f"{self._order}u4"))
        if kind >> 16:  # a small element: its length in the upper half, its data in the place of the length
            length, kind = kind >> 16, kind & 0xFFFF
            self._place -= 4
            return kind, self._take(4)[:length]
        data = self._take(length)
        if kind != _COMPRESSED:
            self._place += -length % 8
        return kind, data

    def expect(self, kinds: dict[int, str]) -> np.ndarray:
        """Return the numbers of the next element, which must be of one of these types."""
        kind, data = self.next()
        if kind not in kinds:
            raise ValueError(f"data of type {kind} stands where another should")
        return np.frombuffer(data, np.dtype(kinds[kind]).newbyteorder(self._order))

    def _take(self, length: int) -> bytes:
        data = self._content[self._place : self._place + length]
        if len(data) < length:
            raise ValueError("it is cut off")
        self._place += length
        return data


def _decompress(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(data, _LARGEST)
    if not stream.eof:
        raise ValueError("a compressed variable is too large" if stream.unconsumed_tail else "it is cut off")
    return content


def _read_array(data: bytes, order: str, inside_cell: bool = False) -> tuple[str, Value]:
    if not data and inside_cell:
        return "", np.empty((0, 0))  # MATLAB's way to write an empty cell
    elements = _Elements(data, order)
    flags = elements.expect({6: "u4"})
    shape = tuple(elements.expect({5: "i4"}).tolist())
    name = elements.expect({1: "u1"}).tobytes().decode("ascii")
    if len(flags) != 2 or len(shape) < 2 or min(shape) < 0:
        raise ValueError("the description of an array is wrong")
    kind, count = int(flags[0]) & 0xFF, math.prod(shape)
    if kind == _CELL and not inside_cell:
        if count > len(data):
            raise ValueError("it is cut off")
        return name, [_read_cell(elements, order) for _ in range(count)]
    if kind == _TEXT and (count == 0 or shape == (1, count)):
        return name, _read_text(elements, order)
    if kind in _NUMERIC and not int(flags[0]) & _COMPLEX:
        return name, elements.expect(_NUMBERS).reshape(shape, order="F")
    raise ValueError(f"the variable {name!r} is no line of text, no real numbers and no list of them")


def _read_cell(elements: _Elements, order: str) -> Value:
    kind, data = elements.next()
    if kind != _MATRIX:
        raise ValueError(f"data of type {kind} stands where a cell should")
    return _read_array(data, order, inside_cell=True)[1]


def _read_text(elements: _Elements, order: str) -> str:
    kind, data = elements.next()
    if kind not in _CHARACTERS:
        raise ValueError(f"data of type {kind} stands where characters should")
    encoding = _CHARACTERS[kind]
    if encoding == "utf-16":
        encoding = "utf-16-le" if order == "<" else "utf-16-be"
    return data.decode(encoding)
