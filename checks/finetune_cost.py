"""Measure what `keras-lite finetune` takes by phases, and how good its models get, beside another checkout's.

    python tools/benchmark_finetune.py --data_dir PHOTOS --weights FILE [--against CHECKOUT] [--seeds 0,1,2]
        [--epochs 20] [--noquantize] [--keep RUNS.json] [--page TABLE.md]

For each seed the command runs once with each checkout, in turns, each in a fresh process. Seconds are those of the
clock; those of the processor are of all threads and finished processes together, which other work on the machine
changes less. The test accuracy of the float model, and of the int8 file, is compared seed by seed: below the mean of
the differences stands its standard error. Phases are medians over the seeds; memory is the most that the process and
those it started hold at a time (Linux). With --keep the runs stay in a file: seeds that are in it already don't run
again, and are part of the tables.
"""

import dataclasses
import json
import os
import statistics
import tempfile
from pathlib import Path

from absl import flags

from checks.checkouts import checkouts, watched
from checks.finetune_once import START
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_json, write_text
from keras_lite.tables import markdown_table, text_table
from keras_lite.training.environment import environment, processor

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The photos.", flag_values=FLAGS)
flags.DEFINE_string("weights", "imagenet", "What to start from, as of `keras-lite finetune`.", flag_values=FLAGS)
flags.DEFINE_string("model", "mobilenet_v3_large", "The network.", flag_values=FLAGS)
flags.DEFINE_integer("epochs_head", 5, "Epochs of the head alone.", 0, flag_values=FLAGS)
flags.DEFINE_integer("epochs", 20, "Epochs of all layers.", 1, flag_values=FLAGS)
flags.DEFINE_boolean("quantize", True, "Go on to an int8 file.", flag_values=FLAGS)
flags.DEFINE_list("seeds", ["0", "1", "2"], "A run of each checkout for each.", flag_values=FLAGS)
flags.DEFINE_string("against", None, "Folder of another checkout.", flag_values=FLAGS)
flags.DEFINE_string("keep", None, "A JSON file that takes the runs, and gives those it has.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "A Markdown file to write the tables to.", flag_values=FLAGS)

_SCRIPT = Path(__file__).resolve().with_name("finetune_once.py")
_TOTAL = "all"


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run took and gave.

    Args:
        phases: Phase -> seconds, and the processor's seconds.
        peak: The most bytes of memory.
        accuracy: Test accuracy by kind of model, from 0 to 1.
    """

    phases: dict[str, tuple[float, float]]
    peak: int
    accuracy: dict[str, float]


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Run, and print two tables."""
    command_line.expect(positional)
    if values.data_dir is None:
        raise InputError("Expected --data_dir with the folder of the photos, received none.")
    folders = checkouts(values.against)
    names = ("data_dir", "weights", "model", "epochs_head", "epochs")
    given = [f"--{name}={values[name].value}" for name in names] + (["--quantize"] if values.quantize else [])
    kept = Path(values.keep) if values.keep is not None else None
    found = read_json(kept) if kept is not None and kept.is_file() else {}
    for seed in values.seeds:
        for name, folder in folders.items():
            key = f"{name}, seed {seed}: {' '.join(given)}"
            if key not in found:
                found[key] = dataclasses.asdict(measure(folder, [*given, f"--seed={seed}"]))
                if kept is not None:
                    write_json(kept, found)
            run = Run(**found[key])
            seconds, processors = run.phases[_TOTAL]
            shares = ", ".join(f"{kind} {share:.2%}" for kind, share in run.accuracy.items())
            print(f"seed {seed}, {name}: {seconds:.0f} s, processor {processors:.0f} s; {shares}", flush=True)
    runs = {
        name: [Run(**found[f"{name}, seed {seed}: {' '.join(given)}"]) for seed in values.seeds] for name in folders
    }
    tables = [costs(runs), accuracies(runs, values.seeds)]
    title = (
        f"{values.model}, {' '.join(given[3:])}, seeds {', '.join(values.seeds)}; {processor()}, "
        f"{os.cpu_count()} processors; {_versions()}"
    )
    print("\n\n".join([title, *map(text_table, tables)]))
    if values.page is not None:
        start, end = (f"<!-- {word} of what the command writes -->" for word in ("start", "end"))
        page = Path(values.page)
        text = page.read_text(encoding="utf-8") if page.is_file() else f"{start}\n{end}\n"
        before, _, rest = text.partition(start)
        after = rest.partition(end)[2]
        written = "\n\n".join([start, title + ".", *map(markdown_table, tables), end])
        write_text(page, f"{before}{written}{after}")


def _versions() -> str:
    """Return commit and versions, for the title."""
    here = environment()
    versions = ", ".join(
        f"{name} {here['versions'][name]}" for name in ("keras", "tensorflow") if name in here["versions"]
    )
    return f"commit {(here['commit'] or 'unknown')[:10]}, {versions}"


def measure(folder: Path, arguments: list[str]) -> Run:
    """Run the command of a checkout in a process of its own.

    Args:
        folder: The checkout.
        arguments: Flags of the command.

    Raises:
        InputError: If it fails; the message has the last line of its error.
    """
    with tempfile.TemporaryDirectory() as temporary:
        run, phases = Path(temporary, "run"), Path(temporary, "phases.json")
        command = ["-P", str(_SCRIPT), str(phases), *arguments, f"--output_dir={run}"]
        seconds, peak = watched(command, folder)
        if not phases.is_file():
            raise InputError(f"Expected a fine-tuning by {folder} to write its phases, received none.")
        found = {name: tuple(spent) for name, spent in json.loads(phases.read_text(encoding="utf-8")).items()}
        # What the interpreter took until the clock ran.
        before = seconds - sum(spent[0] for spent in found.values())
        found[START] = (found[START][0] + before, found[START][1])
        total = (seconds, sum(spent[1] for spent in found.values()))
        return Run({**found, _TOTAL: total}, peak, _accuracies(run))


def _accuracies(run: Path) -> dict[str, float]:
    found = {"float": json.loads((run / "result.json").read_text(encoding="utf-8"))["test"]["accuracy"]}
    file = run / "quantized" / "result.json"
    if file.is_file():
        result = json.loads(file.read_text(encoding="utf-8"))
        # An older checkout has the rows at the top, by titles alone.
        for row in result.get("report", result)["rows"]:
            if "int8" in row["title"]:
                found["int8"] = row["top1"]
    return found


def costs(runs: dict[str, list[Run]]) -> list[tuple[str, ...]]:
    """Return the rows of a table: phase by phase, the last two all of them and the memory."""
    names = list(dict.fromkeys(name for found in runs.values() for run in found for name in run.phases))
    names = [*(name for name in names if name != _TOTAL), _TOTAL]
    rows = [("", *(f"{name}: {what}" for name in runs for what in ("seconds", "processor")))]
    for phase in names:
        cells = []
        for found in runs.values():
            spent = [run.phases.get(phase, (0.0, 0.0)) for run in found]
            cells += [f"{statistics.median(each[index] for each in spent):.1f}" for index in (0, 1)]
        rows.append((phase, *cells))
    memory = [f"{statistics.median(run.peak for run in found) / 1e6:.0f} MB" for found in runs.values()]
    rows.append(("memory", *(cell for each in memory for cell in (each, ""))))
    return rows


def accuracies(runs: dict[str, list[Run]], seeds: list[str]) -> list[tuple[str, ...]]:
    """Return the rows of a table: the accuracy of each seed, and of two checkouts what they differ by."""
    kinds = list(next(iter(runs.values()))[0].accuracy)
    compared = ["here - before"] if len(runs) == 2 else []
    rows = [("seed", *(f"{name}: {kind}" for kind in kinds for name in [*runs, *compared]))]
    columns = []
    for kind in kinds:
        each = [[run.accuracy[kind] for run in found] for found in runs.values()]
        columns += each
        if compared:
            columns.append([after - before for before, after in zip(*each, strict=True)])
    rows += [(seed, *(f"{100 * share:.2f}" for share in shares)) for seed, *shares in zip(seeds, *columns, strict=True)]
    rows.append(("mean", *(f"{100 * statistics.fmean(column):.2f}" for column in columns)))
    if len(seeds) > 1:
        errors = [100 * statistics.stdev(column) / len(column) ** 0.5 for column in columns]
        rows.append(("standard error", *(f"{error:.2f}" for error in errors)))
    return rows
