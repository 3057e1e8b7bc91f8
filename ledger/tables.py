"""RESULTS.md: the published tables with the results of the ledger beside them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from keras_lite import published
from keras_lite.published.contradictions import contradictions
from keras_lite.tables import markdown_table
from ledger.claims import carnet_claims
from ledger.comparisons import comparisons_markdown
from ledger.groups import Group, group_runs
from ledger.results import LatencyResult, Result, RunResult, SpeedResult, device_name, size_text

TITLES = {
    "sports100": "CARNet on 100 sports",
    "cifar10_efficient_resnet": "Efficient ResNet on CIFAR-10",
    "cifar100_first": "CIFAR-100, first hyper-parameter set",
    "cifar100_second": "CIFAR-100, second hyper-parameter set",
    "cifar100_ablation": "CIFAR-100, ablation",
    "cifar100_efficientformer": "CIFAR-100, EfficientFormerV2's downsampling",
    "stanford_dogs": "Stanford Dogs",
    "imagenet": "ImageNet",
    "vegfru292": "VegFru292",
}

# Not yet run. (Not printed in the publication: an empty cell.)
OPEN = "\N{EN DASH}"

PLOT = "accuracy_macs.png"

_INTRODUCTION = """\
# Results

The published tables with our own runs beside them. `make report` writes this file from the files in `{folder}/`, one
for each finished run; no result in it is typed by hand.

- **test, last epoch**: accuracy in percent of the last epoch's model on the test images; for several seeds their mean
  ± sample standard deviation. **best epoch**: the best of all epochs, on the images that were evaluated after each.
- **seeds**: how many runs, and their seeds. **epochs**: run of published.
- **protocol**: `held_out`: part of the training images validates, the test images are read once, at the end;
  `published`: all training images train, the test images are evaluated after each epoch, as in the publications.
- **departs by**: what else is not as published. Runs that differ in more than the seed have a line each. A line in
  italics is not the published experiment: it has fewer epochs, or departs otherwise.
- A run of a network that two tables print counts in both.
- {open}: not run. An empty cell: not printed in the publication.

{complete} of {rows} published rows have a run with all epochs, {short} more only shorter ones. {runs}."""


def results_markdown(results: Sequence[Result], folder: str = "results", pages: Mapping[str, str] | None = None) -> str:
    """Return the text of RESULTS.md.

    Args:
        results: The ledger, from `read_results`.
        folder: Path of the ledger's folder, as seen from RESULTS.md.
        pages: Other pages in that folder: file -> title.

    Example:

    ```python
    text = results_markdown(read_results("results"), pages=pages_in("results"))
    ```
    """
    runs = [result for result in results if isinstance(result, RunResult)]
    latencies = [result for result in results if isinstance(result, LatencyResult)]
    speeds = [result for result in results if isinstance(result, SpeedResult)]
    groups = group_runs(runs)
    states = [{group.complete for group in groups_of(row, groups)} for row in published.rows()]
    introduction = _INTRODUCTION.format(
        folder=folder,
        open=OPEN,
        rows=len(states),
        complete=sum(True in state for state in states),
        short=sum(state == {False} for state in states),
        runs="1 run in all" if len(runs) == 1 else f"{len(runs)} runs in all",
    )
    parts = [introduction, "## Accuracy against multiply-accumulates", f"![plot]({folder}/{PLOT})"]
    for table in TITLES:
        parts += _published_table(table, groups, folder)
    parts += comparisons_markdown(groups)
    if others := [group for group in groups if group.first.row is None]:
        parts += ["## Runs without a published row", _other_runs(others)]
    parts += ["## What the CARNet page claims", _claims(runs, speeds)]
    parts += ["## Latency", _latency_table(latencies)]
    if speeds:
        parts += ["## Training speed", _speed_table(speeds)]
    if quantized := [run for run in runs if run.quantized]:
        parts += ["## Int8 files", _quantized_table(quantized)]
    if pages:
        links = "\n".join(f"- [{title}]({folder}/{name})" for name, title in pages.items())
        parts += ["## Other measurements", links]
    parts += ["## What the publications contradict", *(f"**{title}.** {text}" for title, text in contradictions())]
    if runs:
        parts += ["## Every run", _every_run(runs, folder)]
    return "\n\n".join(parts) + "\n"


def pages_in(folder: str | os.PathLike) -> dict[str, str]:
    """Return the Markdown pages in a folder: file -> title, its first line."""
    found = {}
    for path in sorted(Path(folder).glob("*.md")):
        found[path.name] = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return found


def curves_name(table: str) -> str:
    """Return the file name of a table's training curves."""
    return f"curves_{table}.png"


def groups_of(row: published.Row, groups: Iterable[Group]) -> list[Group]:
    """Return the groups that belong to a published row: also those of a row of another table with the same network."""
    return [group for group in groups if group.first.row and published.get(group.first.row).network == row.network]


_OURS = ("test, last epoch", "best epoch", "seeds", "epochs", "protocol", "departs by")


def _published_table(table: str, groups: list[Group], folder: str) -> list[str]:
    head = ("row", "parameters", "FLOPs", "published", *_OURS[:2], "difference", *_OURS[2:])
    found = [(row, groups_of(row, groups)) for row in published.rows() if row.table == table]
    lines = [line for row, ours in found for line in _lines(row, ours)]
    parts = [f"## {TITLES[table]}", markdown_table([head, *lines], left=(0, *range(7, len(head))))]
    if any(ours for _, ours in found):
        parts.append(f"![training curves]({folder}/{curves_name(table)})")
    shown = {run.file_name: run for _, ours in found for group in ours for run in group.runs if run.confusion_matrix}
    parts += [
        f"![confusion matrix of {run.model}, {run.epochs} epochs]({folder}/{run.confusion_matrix})"
        for run in shown.values()
    ]
    notes = [f"- {_name(row)}: {'; '.join(remarks)}." for row, ours in found if (remarks := _remarks(row, ours))]
    return [*parts, "\n".join(notes)] if notes else parts


def _name(row: published.Row) -> str:
    return f"`{row.id.removeprefix(row.table + '/')}`"


def _lines(row: published.Row, groups: list[Group]) -> list[list[str]]:
    """Return the lines of a published row: one for each group, or one with open cells."""
    params, flops, accuracy = (row.published[key] for key in ("params", "flops", "accuracy"))
    printed = [
        _name(row),
        "" if params is None else f"{params:,}",
        "" if flops is None else f"{flops / 1e6:,.1f} M",
        f"{accuracy:.2f}",
    ]
    recipes = {group.first.recipe for group in groups}
    lines = []
    for group in groups:
        test, best, *more, departures = _cells(group)
        if len(recipes) > 1:
            departures = ", ".join(filter(None, [f"recipe `{group.first.recipe}`", departures]))
        line = [*printed, test, best, f"{100 * group.mean(_test) - accuracy:+.2f}", *more, departures]
        lines.append([f"*{cell}*" if cell and group.departures() and "*" not in cell else cell for cell in line])
    return lines or [[*printed, *[OPEN] * (len(_OURS) + 1)]]


def _remarks(row: published.Row, groups: list[Group]) -> list[str]:
    ours = []
    for group in groups:
        seeds: dict[str, list[int]] = {}
        for run in group.runs:
            if run.remark:
                seeds.setdefault(run.remark.rstrip("."), []).append(run.seed)
        for remark, alike in seeds.items():
            ours.append(f"{group.first.epochs} epochs, seed {' and '.join(map(str, alike))}: {remark}")
    return [*row.remarks, *ours]


def _cells(group: Group) -> list[str]:
    best = f"{_percent(group, lambda run: run.best_accuracy)} {group.evaluated_on()}"
    departures = ", ".join(group.departures())
    return [
        _percent(group, _test),
        best,
        group.seeds_text(),
        group.epochs_text(),
        f"`{group.first.protocol}`",
        departures,
    ]


def _test(run: RunResult) -> float:
    return run.test_accuracy


def _percent(group: Group, value: Callable[[RunResult], float]) -> str:
    spread = group.spread(value)
    return f"{100 * group.mean(value):.2f}" + ("" if spread is None else f" ± {100 * spread:.2f}")


def _other_runs(groups: list[Group]) -> str:
    lines = [(f"`{group.first.recipe} --model {group.first.model}`", *_cells(group)) for group in groups]
    return markdown_table([("run", *_OURS), *lines], left=(0, *range(3, 1 + len(_OURS))))


def _latency_table(measured: list[LatencyResult]) -> str:
    text = (
        "Milliseconds for one image, in parentheses as a multiple of the original's. The networks are those of "
        "VegFru-292, at 224 x 224 pixels, unless the row says another table; **stock-int8** is "
        "the int8 file that the stock converter makes."
    )
    latencies = published.latencies()
    printed = {
        f"{device}, published": {latency.id: latency.milliseconds[device] for latency in latencies}
        for device in latencies[0].milliseconds
    }
    parts = [text, _times(printed if measured else {**printed, "measured here": {}})]
    machines: dict[str, list[LatencyResult]] = {}
    for result in measured:
        threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
        machines.setdefault(f"{result.device}, {threads}", []).append(result)
    for machine, results in machines.items():
        remarks = dict.fromkeys(result.remark.rstrip(".") for result in results if result.remark)
        parts.append("; ".join([f"Measured here on {machine}", *remarks]) + ":")
        columns = {result.precision: result.milliseconds for result in results}
        parts.append(_times(columns, _speedups(columns)))
    return "\n\n".join(parts)


def _times(columns: dict[str, dict[str, float]], further: dict[str, dict[str, str]] | None = None) -> str:
    further = further or {}
    rows = dict.fromkeys(
        [*(row.id for row in published.latencies()), *(row for times in columns.values() for row in times)]
    )
    lines = [
        (
            f"`{row.removeprefix('latency/')}`",
            *(_time(row, times) for times in columns.values()),
            *(texts.get(row, OPEN) for texts in further.values()),
        )
        for row in rows
    ]
    return markdown_table([("row", *columns, *further), *lines], left=None)


def _speedups(columns: dict[str, dict[str, float]]) -> dict[str, dict[str, str]]:
    """Return the int8 file's time as a multiple of other files', by column and row."""
    ours = columns.get("int8", {})
    return {
        f"int8 / {name}": {row: f"{ours[row] / times[row]:.2f}" for row in ours if row in times}
        for name, times in columns.items()
        if ours and name in ("float32", "stock-int8")
    }


def _time(row: str, times: dict[str, float]) -> str:
    if row not in times:
        return OPEN
    original = times.get(row.rpartition("/")[0] + "/original")
    return f"{times[row]:.2f}" + ("" if original is None else f" ({times[row] / original:.2f})")


def _speed_table(speeds: list[SpeedResult]) -> str:
    head = ("row", "images/s", "of the step's", "PyTorch", "ratio", "batch", "pixels", "precision", "backend", "device")
    lines = []
    for result in speeds:
        for row, value in result.images_per_second.items():
            theirs = (result.pytorch_images_per_second or {}).get(row)
            lines.append((
                f"`{row}`", f"{value:,.0f}", f"{value / result.step_images_per_second[row]:.0%}",
                OPEN if theirs is None else f"{theirs:,.0f}", OPEN if theirs is None else f"{value / theirs:.2f}",
                f"{result.batch_size}", size_text(result.image_size), result.precision, result.backend, result.device,
            ))  # fmt: skip
    notes = [f"- {result.file_name}: {result.remark.rstrip('.')}." for result in speeds if result.remark]
    text = (
        "Images a second that `model.fit` trains, and how much of the compiled step's alone that is "
        "(`tools/benchmark_training.py`). Only rows of one file were measured in turns, and may be compared. "
        "**PyTorch**: the same network in PyTorch on the same CPU, in turns with it: the whole step in float32, eager, "
        "channels last; **ratio**: ours to that."
    )
    return "\n\n".join(
        [text, markdown_table([head, *lines], left=(0, *range(5, len(head)))), *(["\n".join(notes)] if notes else [])]
    )


def _claims(runs: list[RunResult], speeds: list[SpeedResult]) -> str:
    lines = [(claim.text, f"**{claim.verdict}**", claim.evidence) for claim in carnet_claims(runs, speeds)]
    return markdown_table([("claim", "verdict", "measured here"), *lines], left=None)


def _quantized_table(runs: list[RunResult]) -> str:
    head = ("run", "seed", "epochs", "float32", "int8", "agree", "images", "size", "latency", "fine-tuned")
    lines = []
    for run in runs:
        int8 = run.quantized
        lines.append((
            f"`{run.row or run.model}`", str(run.seed), Group((run,)).epochs_text(),
            f"{int8['float_accuracy']:.2%}", f"{int8['int8_accuracy']:.2%}", f"{int8['agreement']:.2%}",
            f"{int8['images']:,} {int8['split']}", f"{int8['bytes'] / 1000:,.0f} kB",
            f"{int8['latency_ms']:.2f} ms, threads: {int8['threads']}", f"epochs: {int8['epochs']}",
        ))  # fmt: skip
    text = "**agree**: share of the images to which the int8 file gives the class that the float32 model gives."
    return f"{text}\n\n{markdown_table([head, *lines], left=None)}"


def _every_run(runs: list[RunResult], folder: str) -> str:
    head = (
        "file",
        "test, last epoch",
        "best epoch",
        "epochs",
        "pixels",
        "time",
        "images/s",
        "memory",
        "ran on",
        "commit",
    )
    lines = []
    for run in runs:
        group = Group((run,))
        memory = OPEN if run.peak_memory_bytes is None else f"{run.peak_memory_bytes / 1e6:,.0f} MB"
        commit = OPEN if run.commit is None else run.commit[:10] + (", modified" if run.commit_modified else "")
        lines.append((
            f"[{run.file_name.removesuffix('.json')}]({folder}/{run.file_name})", f"{100 * run.test_accuracy:.2f}",
            f"{100 * run.best_accuracy:.2f} {group.evaluated_on()} (epoch {run.best_epoch})", group.epochs_text(),
            size_text(run.image_size), f"{run.seconds / 60:,.1f} min", f"{run.images_per_second:,.0f}",
            memory, f"{device_name(run.hardware)}, {run.backend}", commit,
        ))  # fmt: skip
    return markdown_table([head, *lines], left=None)
