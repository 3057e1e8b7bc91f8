"""Writing files so that a reader finds the old content or the new, never a part of it."""

import contextlib
import dataclasses
import json
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from keras_lite.errors import InputError


def shipped_folder(path: str) -> Path:
    """Return a folder that comes with the package: the wheel has it within, the repository beside it.

    Args:
        path: Of the folder, in either of them.
    """
    package = Path(__file__).resolve().parent
    return (package if (package / path).is_dir() else package.parent) / path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` when the block ends without an error.

    The temporary name keeps the whole ending of the wanted one (`.weights.h5`), by which Keras chooses a format.
    If the block raises, the temporary file is removed and `path` stays as it was.

    Example:

    ```python
    with atomic_path("model.keras") as temporary:
        model.save(temporary)
    ```
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # One fixed name: what a killed process left is overwritten by the next attempt.
    temporary = path.with_name(f".partial-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write a binary file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: If the file does not exist or is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a JSON file at {path}, which does not exist.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"Expected JSON in {path}, which can't be read as such: {error}") from error


class Record:
    """What a frozen dataclass derives from to be written as JSON, and read back with all its types.

    Fields may be numbers, texts, truth values, other dataclasses, and lists, tuples and dicts of these; `Any` stays as
    JSON gives it.

    Example:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Size(Record):
    ...     shape: tuple[int, ...]
    >>> Size((2, 3)).to_dict()
    {'shape': [2, 3]}
    >>> Size.from_dict({"shape": [2, 3]})
    Size(shape=(2, 3))
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON gives them back: lists for tuples, texts for the keys of dicts."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, entries: Any, place: str = "a record") -> Self:
        """Build from what `to_dict` returned.

        Args:
            entries: The fields.
            place: Where they are from, for the message.

        Raises:
            InputError: If a field is missing, unknown or of another type.
        """
        return _typed(cls, entries, "", place)

    def write(self, path: str | os.PathLike) -> None:
        """Write the record as a JSON file."""
        write_json(path, self.to_dict())

    @classmethod
    def read(cls, path: str | os.PathLike) -> Self:
        """Read what `write` wrote.

        Raises:
            InputError: If the file does not exist or holds something else; the message names it.
        """
        entries = read_json(path)
        try:
            return cls.from_dict(entries, str(path))
        except InputError as error:
            raise InputError(f"{error} If another version of keras_lite wrote it, remove it and run again.") from error


def _typed(kind: Any, value: Any, name: str, place: str) -> Any:
    """Return a value that JSON gave as one of a type; `name` is that of the entry, with the entries it is in."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        kinds = [each for each in inner if each is not types.NoneType]
        return None if value is None and len(kinds) < len(inner) else _typed(kinds[0], value, name, place)
    if dataclasses.is_dataclass(kind):
        return _typed_fields(kind, value, name, place)
    expected = {tuple: list, float: int | float}.get(origin or kind, origin or kind)
    # JSON's true is a number for Python.
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        wanted = getattr(origin or kind, "__name__", kind)
        raise InputError(f"Expected {name} in {place} to be of type {wanted}, received {value!r:.60}.")
    if origin is dict:
        # JSON has texts alone as keys.
        return {_key(inner[0], key, name, place): _typed(inner[1], value[key], f"{name}.{key}", place) for key in value}
    if origin in (list, tuple):
        return origin(_typed(inner[0], each, f"{name}[{index}]", place) for index, each in enumerate(value))
    return kind(value)


def _key(kind: type, key: str, name: str, place: str) -> Any:
    try:
        return kind(key)
    except ValueError as error:
        raise InputError(f"Expected keys of type {kind.__name__} for {name} in {place}, received {key!r}.") from error


def _typed_fields(kind: Any, value: Any, name: str, place: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"Expected {name or 'the entries'} of a {kind.__name__} in {place}, received {value!r:.60}.")
    fields, within = typing.get_type_hints(kind), f"{name}." if name else ""
    for entry in fields:
        if entry not in value:
            raise InputError(f"Expected the entry {within}{entry} in {place}, which has none.")
    for entry in value:
        if entry not in fields:
            raise InputError(f"Expected no entry {within}{entry} in {place}, which has one: another version wrote it.")
    return kind(**{entry: _typed(each, value[entry], within + entry, place) for entry, each in fields.items()})
