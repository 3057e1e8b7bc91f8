"""The published tables as data: every printed figure, the exact counts of the network behind it, and the network."""

import dataclasses
import functools
import inspect
import json
from importlib import resources

import keras

from keras_lite.errors import InputError
from keras_lite.published import networks
from keras_lite.published import remarks as _remarks


@dataclasses.dataclass(frozen=True)
class Row:
    """One published row.

    Attributes:
        id: `table/model/variant`, for example `"sports100/carnet18/ours"`.
        table: Its first part.
        model: The name that the table prints.
        variant: Its last part: `"original"`, `"stem"`, `"downsampling"`, `"ours"` or `"efficientformer"`.
        dataset: The data set: `"sports100"`, `"cifar10"`, `"cifar100"`, `"stanford_dogs"`, `"imagenet"` or
            `"vegfru292"`.
        input: Height, width and channels of the input.
        classes: Number of classes.
        published: The figures as printed: `params`, `flops`, `accuracy` (percent); `None` where a table has none.
        exact: The counts of the network behind the row: `params` (trainable), `macs`; where the counter is known
            `flops_by_published_counter` and, if it finds fewer, `params_by_published_counter`; `unused_params` where
            the published network carries some that it never uses, and that ours does not have.
        counter: The counter that gave the published FLOPs, one of `keras_lite.profiling.COUNTERS`, or `None`.
        network: A name for the network behind the row; rows of several tables may share one.
    """

    id: str
    table: str
    model: str
    variant: str
    dataset: str
    input: tuple[int, int, int]
    classes: int
    published: dict
    exact: dict
    counter: str | None
    network: str

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is inconsistent about the row as published, one sentence each."""
        return _remarks.find(self.id, self.exact, self.published["params"])

    def build(self, **options) -> keras.Model:
        """Build the network behind the row.

        Args:
            **options: Arguments of its function, such as `classifier_activation=None` for logits, in place of the
                row's.

        Returns:
            A functional `keras.Model`.

        Example:

        >>> keras_lite.published.get("cifar100_second/mobilenetv3_large/ours").build().output_shape
        (None, 100)
        """
        function, arguments = networks.find(self.id)
        return function(**({"input_shape": self.input, "classes": self.classes} | arguments | options))

    def options(self) -> set[str]:
        """Return the names of the arguments that `build` takes."""
        return set(inspect.signature(networks.find(self.id)[0]).parameters)


@dataclasses.dataclass(frozen=True)
class Latency:
    """One row of the published latency table: one image of 224 x 224 pixels.

    Attributes:
        id: `latency/model/variant`.
        row: The row whose network was timed.
        milliseconds: Device -> milliseconds for one image.
    """

    id: str
    row: Row
    milliseconds: dict[str, float]


@functools.cache
def _tables() -> dict:
    return json.loads(resources.files(__name__).joinpath("tables.json").read_text(encoding="utf-8"))


@functools.cache
def _rows() -> dict[str, Row]:
    rows = [
        Row(
            id=row["id"],
            table=row["table"],
            model=row["model"],
            variant=row["variant"],
            dataset=networks.DATASETS[row["table"]],
            input=tuple(row["input"]),
            classes=row["classes"],
            published=row["published"],
            exact=row["exact"],
            counter=row.get("counter"),
            network=row["golden"],
        )
        for row in _tables()["rows"]
    ]
    return {row.id: row for row in rows}


def rows() -> list[Row]:
    """Return all published rows, in the order of their tables."""
    return list(_rows().values())


def latencies() -> list[Latency]:
    """Return the rows of the published latency table."""
    return [
        Latency(row["id"], get(row["id"].replace("latency/", "vegfru292/")), row["published_ms"])
        for row in _tables()["latency"]
    ]


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
