"""The plots of RESULTS.md: training curves, and accuracy against multiply-accumulates."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from keras_lite import published
from keras_lite.files import write_bytes
from ledger.groups import Group
from ledger.tables import TITLES, groups_of

# The tables of one panel; CIFAR-100 with two sets of hyper-parameters has two.
_PANELS = (
    ("sports100",),
    ("cifar10_efficient_resnet",),
    ("cifar100_first",),
    ("cifar100_second", "cifar100_ablation", "cifar100_efficientformer"),
    ("stanford_dogs",),
    ("imagenet",),
    ("vegfru292",),
)
_MARKERS = {"original": "o", "ours": "s", "stem": "^", "downsampling": "v", "efficientformer": "D"}
_COLORS = 256


def draw_curves(path: Path, table: str, groups: Sequence[Group]) -> None:
    """Draw the accuracy after each epoch of every run of a table.

    Args:
        path: The PNG file to write.
        table: Name of the table.
        groups: Runs of its rows; those of one group share a color.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure  # without pyplot no window system is looked for

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = colormaps["tab20"].colors
    for index, group in enumerate(groups):
        departures = ["other flags"] if group.first.changes else []
        if not group.complete:
            departures.append(f"{group.first.epochs} of {group.first.published_epochs} epochs")
        seeds = "1 seed" if len(group.runs) == 1 else f"{len(group.runs)} seeds"
        name = group.first.row.partition("/")[2]
        label = ", ".join([f"{name} ({group.evaluated_on()}, {seeds})", *departures])
        for run in group.runs:
            epochs = range(1, run.epochs + 1)
            accuracies = [100 * share for share in run.epoch_accuracies]
            style = "-" if group.complete else "--"
            axes.plot(epochs, accuracies, style, color=colors[index % len(colors)], linewidth=1, label=label)
            label = None
    axes.set(xlabel="epoch", ylabel="accuracy in %", title=f"{TITLES[table]}: after each epoch")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="x-small")
    _save(figure, path)


def draw_accuracy_against_macs(path: Path, groups: Sequence[Group]) -> None:
    """Draw the accuracy of all published rows (hollow) and of our complete runs (filled) over multiply-accumulates.

    Args:
        path: The PNG file to write.
        groups: All groups; those with fewer epochs than published are left out.
    """
    from matplotlib.figure import Figure

    complete = [group for group in groups if group.complete]
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    *panels, corner = figure.subplots(2, 4).flat
    for axes, tables in zip(panels, _PANELS, strict=True):
        rows = [row for row in published.rows() if row.table in tables]
        models = list(dict.fromkeys(row.id.split("/")[1] for row in rows))
        for row in rows:
            color = f"C{models.index(row.id.split('/')[1])}"
            style = {"marker": _MARKERS[row.variant], "color": color, "linestyle": ""}
            axes.plot(row.exact["macs"] / 1e6, row.published["accuracy"], markerfacecolor="none", **style)
            for group in groups_of(row, complete):
                axes.errorbar(
                    group.first.macs / 1e6,
                    100 * group.mean(lambda run: run.test_accuracy),
                    100 * (group.spread(lambda run: run.test_accuracy) or 0),
                    markeredgecolor="black" if group.departures() else color,
                    **style,
                )
        handles = [axes.plot([], [], color=f"C{index}", label=model)[0] for index, model in enumerate(models)]
        axes.legend(handles=handles, fontsize="xx-small")
        axes.set_title(TITLES[tables[0]], fontsize="small")
        _scale_macs(axes)
        axes.tick_params(which="both", labelsize="x-small")
        axes.grid(alpha=0.3)
    for name, marker in _MARKERS.items():
        corner.plot([], [], marker=marker, color="gray", linestyle="", markerfacecolor="none", label=name)
    corner.plot([], [], "o", color="gray", markerfacecolor="none", label="hollow: published")
    corner.plot([], [], "o", color="gray", label="filled: run here, all epochs")
    corner.plot([], [], "o", color="gray", markeredgecolor="black", label="black edge: departs otherwise")
    corner.legend(loc="center", fontsize="small")
    corner.axis("off")
    figure.supxlabel("million multiply-accumulates")
    figure.supylabel("test accuracy in %")
    _save(figure, path)


def _scale_macs(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    low, high = axes.get_xlim()
    wide = low > 0 and high > 4 * low
    axes.set_xscale("log" if wide else "linear")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _save(figure: Any, path: Path) -> None:
    # With few colors and nothing said of software and date: a small file, the same each time.
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    Image.open(drawn).convert("RGB").quantize(_COLORS, Image.Quantize.FASTOCTREE).save(
        small, format="png", optimize=True
    )
    write_bytes(path, small.getvalue())
