"""Measure the training of published rows beside PyTorch's and an older checkout's, and what bounds a step.

    python checks/training_step.py [ROW ...] [--against CHECKOUT] [--turns 2] [--rounds 3] [--keep RUNS.json]
        [--page results/training_step.md]

For each row `tools/benchmark_training.py` of this checkout and of CHECKOUT run in turns, each in a fresh process: the
images a second that `model.fit` trains, and those of the same network's whole step in PyTorch (eager, channels last)
and with `torch.compile`. Figures are medians over all rounds of all turns. Then a step of this checkout is profiled by
TensorFlow: milliseconds of each operator, of all threads together, with what the profiler itself costs. With --keep
figures stay in a file, and rows that are in it are not measured again.
"""

import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from absl import flags

from checks.checkouts import HERE, checkouts
from keras_lite.cli import command_line
from keras_lite.errors import InputError, import_extra
from keras_lite.files import read_json, write_json, write_text
from keras_lite.tables import markdown_table
from keras_lite.training import Options
from keras_lite.training.benchmark import TrainingRun
from keras_lite.training.environment import environment, processor
from recipes import places

ROWS = (
    "cifar100_first/resnet20/original",
    "cifar100_second/mobilenetv3_large/ours",
    "cifar100_second/ghostnet/ours",
    "cifar100_second/shufflenetv2/ours",
    "cifar10_efficient_resnet/efficient_resnet/ours",
)
# Ours at least so many times PyTorch's.
GOALS = dict(zip(ROWS, (1.2, 1.6, 1.5, 1.5, 1.2), strict=True))

FLAGS = command_line.new_flags()
flags.DEFINE_string("against", None, "Folder of another checkout.", flag_values=FLAGS)
flags.DEFINE_integer("turns", 2, "Processes of each checkout.", 1, flag_values=FLAGS)
flags.DEFINE_integer("rounds", 3, "Rounds in each.", 1, flag_values=FLAGS)
flags.DEFINE_integer("steps", 10, "Steps in a round.", 1, flag_values=FLAGS)
flags.DEFINE_string("keep", None, "A JSON file that takes the figures, and gives those it has.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Page to write, such as results/training_step.md.", flag_values=FLAGS)
flags.DEFINE_string("profile", None, "For its own use: the row to profile.", flag_values=FLAGS)

_PROFILED_STEPS, _OPERATORS = 5, 10
# Events around operators, or of other threads that run for one.
_NOT_OPERATORS = {"ParallelFor", "FunctionRun", "ExecutorDoneCallback", "Process", "Run"}


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure the rows, and print or write the page."""
    if values.profile is not None:
        print(json.dumps(profile_step(values.profile)))
        return
    rows = positional or list(ROWS)
    if unknown := [row for row in rows if row not in places()]:
        raise InputError(f"Expected ids of published rows, received {unknown[0]!r}.")
    folders = checkouts(values.against)
    kept = Path(values.keep) if values.keep is not None else None
    found = read_json(kept) if kept is not None and kept.is_file() else {}
    for row in rows:
        if row in found:
            continue
        found[row] = _measure(row, folders, values)
        if kept is not None:
            write_json(kept, found)
    text = page({row: found[row] for row in rows}, _facts(values))
    print(text)
    if values.page is not None:
        write_text(values.page, text)


def _measure(row: str, folders: dict[str, Path], values: flags.FlagValues) -> dict[str, Any]:
    """Return the figures of a row."""
    speeds: dict[str, list[float]] = collections.defaultdict(list)
    for turn in range(values.turns):
        for name, folder in folders.items():
            given = [f"--rounds={values.rounds}", f"--steps={values.steps}", "--pytorch"]
            # Compiling takes minutes, so it is done once.
            given += ["--torch_compile"] if name == "here" and turn == 0 else []
            with tempfile.TemporaryDirectory() as temporary:
                output = Path(temporary, "speeds.json")
                tool = folder / "tools" / "benchmark_training.py"
                _run([str(tool), row, *given, f"--output={output}"], folder)
                [speed] = read_json(output)["speeds"]
            speeds[name] += speed["rounds"]["fit"]
            speeds["pytorch"] += speed["rounds"]["pytorch"]
            speeds["torch_compile"] += speed["rounds"].get("torch_compile", [])
            batch = speed["batch_size"]
        print(f"{row}, turn {turn + 1}: " + ", ".join(map(_said, speeds.items())), flush=True)
    operators = json.loads(_run([str(Path(__file__).resolve()), f"--profile={row}"], HERE).splitlines()[-1])
    return {"batch_size": batch, "speeds": dict(speeds), "operators": operators}


def _said(kind: tuple[str, list[float]]) -> str:
    name, speeds = kind
    return f"{name} {statistics.median(speeds):.0f} images/s"


def _run(command: list[str], folder: Path) -> str:
    """Run a script of a checkout, and return what it printed."""
    ended = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = (ended.stderr.strip() or ended.stdout.strip() or "no message").splitlines()[-1]
        raise InputError(f"Expected {' '.join(command)} to end well, received: {said}")
    return ended.stdout


def profile_step(row: str) -> dict[str, list[float]]:
    """Return what the operators of a row's training step take: name -> how many there are, and milliseconds.

    Args:
        row: Id of the published row. The backend must be TensorFlow.
    """
    tensorflow = import_extra("tensorflow", "tensorflow")
    place = places()[row]
    options = Options.of(place.recipe, model=place.model)
    profiler = tensorflow.profiler.experimental
    with ThreadPoolExecutor(1) as pool, tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(place.recipe, options, _PROFILED_STEPS, pool=pool)
        run.step()
        profiler.start(folder)
        run.step()
        profiler.stop()
        [file] = Path(folder).rglob("*.xplane.pb")
        return operators_of(file.read_bytes())


def operators_of(profile: bytes) -> dict[str, list[float]]:
    """Return the operators in a profile of some steps, per step, the longest first.

    Args:
        profile: What TensorFlow's profiler wrote (`.xplane.pb`).
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(profile)
    found: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    for plane in space.planes:
        names = {key: metadata.name for key, metadata in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                # Operators are named by their place in the graph, then by their kind.
                place, _, kind = names[event.metadata_id].rpartition(":")
                if place and kind.isidentifier() and kind not in _NOT_OPERATORS:
                    found[kind][0] += 1
                    found[kind][1] += event.duration_ps / 1e9
    each = {kind: [spent / _PROFILED_STEPS for spent in both] for kind, both in found.items()}
    return dict(sorted(each.items(), key=lambda item: -item[1][1]))


def _facts(values: flags.FlagValues) -> dict[str, str]:
    here = environment()
    versions = ", ".join(
        f"{name} {here['versions'][name]}" for name in ("keras", "tensorflow", "torch") if name in here["versions"]
    )
    return {
        "machine": f"{processor()}, {os.cpu_count()} processors",
        "made_with": f"{versions}, commit {(here['commit'] or 'unknown')[:10]}",
        "rounds": f"turns of each: {values.turns}, of {values.rounds} rounds of {values.steps} steps",
        "before": "none" if values.against is None else _commit(Path(values.against)),
    }


def _commit(folder: Path) -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    )
    return said.stdout.strip()


def page(found: dict[str, dict[str, Any]], facts: dict[str, str]) -> str:
    """Return the Markdown page.

    Args:
        found: Row -> batch size, speeds (kind -> images a second of each round) and operators.
        facts: Machine, versions, rounds, the other checkout.
    """
    head = ("row", "batch", "images/s", "rounds", facts["before"], "PyTorch", "ratio", "goal", "torch.compile", "ratio")
    rows = [head]
    for row, figures in found.items():
        speeds = figures["speeds"]
        medians = {kind: statistics.median(values) for kind, values in speeds.items() if values}
        ours = medians["here"]
        rows.append(
            (
                f"`{row}`",
                str(figures["batch_size"]),
                f"{ours:.0f}",
                f"{min(speeds['here']):.0f} to {max(speeds['here']):.0f}",
                f"{medians['before']:.0f}" if "before" in medians else "-",
                f"{medians['pytorch']:.0f}",
                f"{ours / medians['pytorch']:.2f}",
                f"{GOALS[row]:.1f}" if row in GOALS else "-",
                f"{medians['torch_compile']:.0f}" if "torch_compile" in medians else "-",
                f"{ours / medians['torch_compile']:.2f}" if "torch_compile" in medians else "-",
            )
        )
    parts = [
        "# A training step beside PyTorch's",
        "Written by `python checks/training_step.py --against CHECKOUT --page results/training_step.md`.",
        "Images a second that `model.fit` trains; those that the same network trains in PyTorch, its batch at hand: "
        f"eager, channels last, and with `torch.compile`. float32, {facts['rounds']}, each in a fresh process and in "
        "turns; medians. Ratio: ours to that beside it.",
        markdown_table(rows, [0]),
        f"{facts['machine']}; {facts['made_with']}.",
        "## What a step consists of",
        "TensorFlow's profile of a step: milliseconds of the operators, how many there are, and their share. Two "
        "operators can run at a time, so the sum may be more than the step takes. `Start` and `ExecuteAsyncOnStream` "
        "are what XLA compiled, one within the other: they count twice.",
    ]
    for row, figures in found.items():
        operators = figures["operators"]
        whole = sum(milliseconds for _, milliseconds in operators.values())
        lines = [("operator", "count", "ms", "share")]
        for name, (count, milliseconds) in list(operators.items())[:_OPERATORS]:
            lines.append((f"`{name}`", f"{count:.0f}", f"{milliseconds:.1f}", f"{milliseconds / whole:.0%}"))
        others = [spent for _, spent in list(operators.values())[_OPERATORS:]]
        lines.append((f"{len(others)} others", "", f"{sum(others):.1f}", f"{sum(others) / whole:.0%}"))
        parts += [f"### `{row}`", markdown_table(lines, [0])]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
