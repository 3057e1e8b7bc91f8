"""Runs of one experiment put together: its seeds, their mean and spread, and where it departs from the publication."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Sequence

from ledger.results import PUBLISHED, RunResult, size_text


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone.

    Args:
        runs: The runs, by seed.
    """

    runs: tuple[RunResult, ...]

    @property
    def first(self) -> RunResult:
        """One of the runs, for what they share."""
        return self.runs[0]

    @property
    def complete(self) -> bool:
        """Whether the runs have at least the recipe's epochs."""
        return self.first.published_epochs is None or self.first.epochs >= self.first.published_epochs

    def departures(self) -> list[str]:
        """Return where the runs depart from the recipe's published values, in words; the protocol is not among them."""
        first, found = self.first, []
        if not self.complete:
            found.append("**fewer epochs**")
        elif first.published_epochs is not None and first.epochs > first.published_epochs:
            found.append("**more epochs**")
        if first.row is not None and first.other_image_size is not None:
            found.append(f"**{size_text(first.image_size)} pixels**")
        return found + [f"`--{name} {_flag_text(value)}`" for name, value in sorted(first.changes.items())]

    def epochs_text(self) -> str:
        """Return the epochs as text: run of published."""
        wanted = self.first.published_epochs
        if wanted is None or wanted == self.first.epochs:
            return f"{self.first.epochs}" if wanted is None else f"{self.first.epochs} of {wanted}"
        return f"**{self.first.epochs} of {wanted}**"

    def seeds_text(self) -> str:
        """Return how many seeds, and which."""
        return f"{len(self.runs)} ({', '.join(str(run.seed) for run in self.runs)})"

    def evaluated_on(self) -> str:
        """Return which images were evaluated after every epoch."""
        return "test" if self.first.protocol == PUBLISHED else "validation"

    def mean(self, value: Callable[[RunResult], float]) -> float:
        """Return the mean over the seeds."""
        return statistics.mean(map(value, self.runs))

    def spread(self, value: Callable[[RunResult], float]) -> float | None:
        """Return the sample standard deviation over the seeds, `None` for a single one."""
        return statistics.stdev(map(value, self.runs)) if len(self.runs) > 1 else None


def group_runs(runs: Sequence[RunResult]) -> list[Group]:
    """Return runs in groups that differ in the seed alone: first those as published, then those with most epochs."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        # Not part of it: where and with which versions it ran.
        key = (run.row, run.recipe, run.model, run.protocol, run.epochs, run.published_epochs)
        key = json.dumps([*key, run.image_size, run.batch_size, run.changes], sort_keys=True)
        groups.setdefault(key, []).append(run)
    found = [Group(tuple(sorted(group, key=lambda run: run.seed))) for group in groups.values()]
    return sorted(
        found,
        key=lambda group: (bool(group.departures()), -group.first.epochs, group.first.file_name),
    )


def _flag_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
