"""The page of what was found of float32 files."""

from pathlib import Path

import numpy as np

from checks.float_figures import (
    AT_ONCE,
    DIFFERENCE_FLOOR,
    DIFFERENCE_RATIO,
    LARGEST_DIFFERENCE,
    LATENCY_RATIO,
    TURNS,
    Figures,
    Latency,
    OneFile,
)
from checks.int8_figures import made_with
from keras_lite.tables import markdown_table
from keras_lite.training.environment import processor

_HEAD = (
    "network", "pixels", "off by", "stock", "operators", "stock", "partitions", "stock", "outside XNNPACK",
    "latency", "seconds", "stock", "kB", "stock", "verdict",
)  # fmt: skip
_RANDOM = "random/"


def page(results: list[Figures], failed: dict[str, list[str]], command: str, data_dir: str) -> str:
    """Return the Markdown page of figures; random models that pass share one line, with the worst of each figure.

    Args:
        results: The figures.
        failed: Each subject that falls short, those without figures too -> in what.
        command: The command that found them.
        data_dir: Where the images came from.
    """
    random = [each for each in results if each.network.startswith(_RANDOM) and each.network not in failed]
    lines = [_line(each, failed.get(each.network)) for each in results if each not in random]
    if random:
        lines.append(_worst(random))
    measured = {each.network for each in results}
    lines += [(name, *[""] * 13, "; ".join(missed)) for name, missed in failed.items() if name not in measured]
    total = len(measured | set(failed))
    images = sorted({each.images for each in results})
    compared = " or ".join(map(str, images))
    left = [index for index, name in enumerate(_HEAD) if name in ("network", "outside XNNPACK", "verdict")]
    first, again, last = TURNS
    ratio = LATENCY_RATIO
    limit, floor, times = f"{LARGEST_DIFFERENCE:.0e}", f"{DIFFERENCE_FLOOR:.0e}", f"{DIFFERENCE_RATIO:g}"
    return f"""# Networks as float32 files

Written by `{command}`,
on {processor()}: {compared} images of {Path(data_dir).name} at the size in the table.
{total - len(failed)} of {total} subjects meet every demand.

{markdown_table([_HEAD, *lines], left)}

Files that keras_lite lowers and writes itself; "stock" is the figure before it, of the file that TensorFlow's
converter makes of the same model.

- **off by**: largest difference of an output from Keras' own, as a share of the largest output. Demanded: at most
  {limit}, and at most {times} times the stock file's. For that ratio a difference below {floor},
  some roundings of float32, counts as {floor}.
- **operators**, **partitions** (parts that XNNPACK runs), **outside XNNPACK** (operators, with the stock file's number
  in parentheses). Demanded: no more than in the stock file.
- **latency**: of one image on one thread, LiteRT with XNNPACK, as a multiple of the stock file's: the median ratio of
  {first // AT_ONCE} processes, in which the two files take {first} turns in all. Demanded: at most {ratio}. One above
  that is measured again in {again} turns, then in {last}; all are shown, the last counts.
- **seconds**: from the Keras model to the file's bytes.
- Random models (`checks/random_blocks.py`) that pass share a line, which has the worst of each figure.

{made_with()}.
"""


def _line(found: Figures, missed: list[str] | None) -> tuple[str, ...]:
    new, stock = found.new, found.stock
    return (
        found.network,
        f"{found.input_shape[0]}",
        f"{new.difference:.1e}",
        f"{stock.difference:.1e}",
        f"{sum(new.operators.values())}",
        f"{sum(stock.operators.values())}",
        f"{new.partitions}",
        f"{stock.partitions}",
        _outside(new, stock),
        ", ".join(_ratio(each) for each in found.latencies),
        f"{new.seconds:.2f}",
        f"{stock.seconds:.2f}",
        f"{new.bytes / 1000:,.0f}",
        f"{stock.bytes / 1000:,.0f}",
        "; ".join(missed) if missed else "passes",
    )


def _worst(results: list[Figures]) -> tuple[str, ...]:
    """Return the line of random models: the largest of each figure, and of the latencies that count."""
    new, stock = [each.new for each in results], [each.stock for each in results]
    ratios = [each.latencies[-1].ratio for each in results if each.latencies]
    return (
        f"{len(results)} random models, the worst of each",
        f"{results[0].input_shape[0]}",
        f"{max(each.difference for each in new):.1e}",
        f"{max(each.difference for each in stock):.1e}",
        *(f"{max(sum(each.operators.values()) for each in files)}" for files in (new, stock)),
        *(f"{max(each.partitions for each in files)}" for files in (new, stock)),
        f"{max(len(each.not_delegated) for each in new)} ({max(len(each.not_delegated) for each in stock)})",
        f"{max(ratios):.3f} (median {np.median(ratios):.3f})" if ratios else "",
        *(f"{max(each.seconds for each in files):.2f}" for files in (new, stock)),
        *(f"{max(each.bytes for each in files) / 1000:,.0f}" for files in (new, stock)),
        "passes",
    )


def _outside(new: OneFile, stock: OneFile) -> str:
    names = sorted(set(new.not_delegated))
    return f"{len(new.not_delegated)} ({len(stock.not_delegated)})" + (f" {', '.join(names)}" if names else "")


def _ratio(latency: Latency) -> str:
    return f"{latency.ratio:.3f}" + (f" ({latency.turns} turns)" if latency.turns != TURNS[0] else "")
