"""The published tables as data: every printed figure beside the exact counts of the network behind it."""

import dataclasses
import functools
import json
from importlib import resources

from keras_lite.errors import InputError


@dataclasses.dataclass(frozen=True)
class Row:
    """One published row.

    Attributes:
        id: `table/model/variant`, for example `"sports100/carnet18/ours"`.
        model: The name that the table prints.
        input: Height, width and channels of the input.
        classes: Number of classes.
        published: The figures as printed: `params`, `flops`, `accuracy` (percent); `None` where a table has none.
        exact: The counts of the network behind the row: `params` (trainable), `macs`, and
            `flops_by_published_counter` where the counter is known.
    """

    id: str
    model: str
    input: tuple[int, int, int]
    classes: int
    published: dict
    exact: dict


@functools.cache
def _rows() -> dict[str, Row]:
    tables = json.loads(resources.files(__name__).joinpath("tables.json").read_text(encoding="utf-8"))
    names = [field.name for field in dataclasses.fields(Row)]
    rows = [Row(**{name: row[name] for name in names} | {"input": tuple(row["input"])}) for row in tables["rows"]]
    return {row.id: row for row in rows}


def rows() -> list[Row]:
    """Return all published rows, in the order of their tables."""
    return list(_rows().values())


def get(row_id: str) -> Row:
    """Return one published row.

    Args:
        row_id: `table/model/variant`.

    Raises:
        InputError: If there is no such row.

    Example:

    >>> keras_lite.published.get("sports100/carnet18/ours").exact["params"]
    653376
    """
    if row_id not in _rows():
        raise InputError(f"Expected the id of a published row, such as {next(iter(_rows()))!r}; received {row_id!r}.")
    return _rows()[row_id]
