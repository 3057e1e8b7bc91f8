"""Rows with all their epochs: how far from the published figure, and whether ours is above the original."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from keras_lite import published
from keras_lite.tables import markdown_table
from ledger.groups import Group
from ledger.results import RunResult

_OURS, _ORIGINAL = "/ours", "/original"
# Standard errors that a difference must be away from zero to count as one.
_ENOUGH = 2


@dataclasses.dataclass(frozen=True)
class Difference:
    """A difference of two accuracies, in points of percent.

    Attributes:
        points: The difference of the means over the seeds.
        error: Its standard error, from the spread over the seeds; `None` where a side has one seed.
    """

    points: float
    error: float | None

    def __str__(self) -> str:
        return f"{self.points:+.2f}" + ("" if self.error is None else f" ± {self.error:.2f}")

    @property
    def verdict(self) -> str:
        """`"above"`, `"below"` or `"can't tell"`: whether it is more than two standard errors from zero."""
        if self.error is None or abs(self.points) <= _ENOUGH * self.error:
            return "can't tell"
        return "above" if self.points > 0 else "below"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A network of a published table against the one it was made from, both with all their epochs.

    Attributes:
        network: The row's id without its last part.
        published: The published difference, in points.
        last: The difference of the last epochs, which is the result.
        best: The difference of the best epochs.
        seeds: Number of seeds of ours and of the original.
        single: Standard deviation of the difference that one seed of each shows, from the spread over the seeds;
            `None` where a side has one seed.
        images: Standard deviation that drawing the test images anew would give the difference of two networks.
    """

    network: str
    published: float
    last: Difference
    best: Difference
    seeds: tuple[int, int]
    single: float | None
    images: float

    @property
    def seeds_needed(self) -> int | None:
        """Seeds of each for the published difference to be two standard errors; `None` where the spread is unknown."""
        if not self.single or not self.published:
            return None
        return math.ceil((_ENOUGH * self.single / self.published) ** 2)


def comparisons(groups: Sequence[Group]) -> list[Comparison]:
    """Return ours against the original for each network of which both ran as published, with all their epochs.

    Args:
        groups: The runs, from `ledger.groups.group_runs`.
    """
    published_runs = _as_published(groups)
    found = []
    for row, ours in published_runs.items():
        original = published_runs.get(row.removesuffix(_OURS) + _ORIGINAL)
        if not row.endswith(_OURS) or original is None or ours.first.protocol != original.first.protocol:
            continue
        spreads = [group.spread(_last) for group in (ours, original)]
        printed = [published.get(group.first.row).published["accuracy"] for group in (ours, original)]
        variances = [_variance(group) for group in (ours, original)]
        found.append(
            Comparison(
                network=row.removesuffix(_OURS),
                published=printed[0] - printed[1],
                last=_difference(ours, original, _last),
                best=_difference(ours, original, _best),
                seeds=(len(ours.runs), len(original.runs)),
                single=None if None in spreads else 100 * math.hypot(*spreads),
                images=100 * math.sqrt(sum(variances)),
            )
        )
    return found


def comparisons_markdown(groups: Sequence[Group]) -> list[str]:
    """Return the section on rows with all their epochs in parts; empty if there is none.

    Args:
        groups: The runs, from `ledger.groups.group_runs`.
    """
    rows = _as_published(groups)
    if not rows:
        return []
    head = ("row", "published", "last epoch", "best epoch", "seeds")
    lines = [
        (
            f"`{row}`",
            f"{published.get(row).published['accuracy']:.2f}",
            str(_to_published(group, _last)),
            f"{_to_published(group, _best)} {group.evaluated_on()}",
            str(len(group.runs)),
        )
        for row, group in rows.items()
    ]
    parts = [
        "## Rows with all their epochs",
        "Points above or below the published accuracy, which the published scripts take from the best epoch on the "
        "test images where they say which. ± is the standard error over the seeds.",
        markdown_table([head, *lines]),
    ]
    if pairs := comparisons(groups):
        head = ("ours - original", "published", "last epoch", "ours is", "best epoch", "seeds", "one seed of each")
        lines = [
            (
                f"`{pair.network}`",
                f"{pair.published:+.2f}",
                str(pair.last),
                pair.last.verdict,
                str(pair.best),
                f"{pair.seeds[0]} and {pair.seeds[1]}",
                _single(pair),
            )
            for pair in pairs
        ]
        parts += [
            "Is ours above the original? **above** or **below** needs two standard errors. **One seed of each**: the "
            "standard deviation of the difference that one run of each shows, what the choice of the test images alone "
            "would give two networks that err independently, and the seeds that the published difference needs.",
            markdown_table([head, *lines], left=(0, 3, 6)),
        ]
    return parts


def _as_published(groups: Sequence[Group]) -> dict[str, Group]:
    """Return the groups that ran as published, by row; of several the one with most seeds."""
    found: dict[str, Group] = {}
    for group in groups:
        row = group.first.row
        if row is None or not group.complete or group.departures():
            continue
        if row not in found or len(group.runs) > len(found[row].runs):
            found[row] = group
    return found


def _last(run: RunResult) -> float:
    return run.test_accuracy


def _best(run: RunResult) -> float:
    return run.best_accuracy


def _to_published(group: Group, value: Callable[[RunResult], float]) -> Difference:
    points = 100 * group.mean(value) - published.get(group.first.row).published["accuracy"]
    spread = group.spread(value)
    return Difference(points, None if spread is None else 100 * spread / math.sqrt(len(group.runs)))


def _difference(ours: Group, original: Group, value: Callable[[RunResult], float]) -> Difference:
    spreads = [group.spread(value) for group in (ours, original)]
    points = 100 * (ours.mean(value) - original.mean(value))
    if None in spreads:
        return Difference(points, None)
    errors = [spread / math.sqrt(len(group.runs)) for spread, group in zip(spreads, (ours, original), strict=True)]
    return Difference(points, 100 * math.hypot(*errors))


def _variance(group: Group) -> float:
    share = group.mean(_last)
    return share * (1 - share) / group.first.images["test"]


def _single(pair: Comparison) -> str:
    spread = "unknown" if pair.single is None else f"{pair.single:.2f}"
    needed = "" if pair.seeds_needed is None else f"; {pair.seeds_needed} seeds"
    return f"{spread}; images alone {pair.images:.2f}{needed}"
