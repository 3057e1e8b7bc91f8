"""Measure what a user waits for before anything happens, and the most memory that training at 224 pixels takes.

    python checks/start_cost.py --data_dir PHOTOS [--against CHECKOUT] [--repeats 5] [--nomemory]
        [--page results/start_cost.md]

PHOTOS has a folder of photos for each class, or train, valid and test with such folders. Each figure is of a fresh
process; this checkout and CHECKOUT take turns. Imports: seconds of the interpreter with `import keras`, and with
`import keras_lite`. First lines: seconds until a command says its first line, the frameworks' own log apart; then it is
ended. Memory: the most that `tools/finetune.py` and a recipe's process, with those it started, hold at a time (Linux),
for an epoch at 224 pixels.
"""

import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from absl import flags

from checks.checkouts import checkouts, watched
from keras_lite.applications import create
from keras_lite.cli import command_line
from keras_lite.data import ModelInfo, Preprocessing, write_model_info
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError
from keras_lite.files import write_text
from keras_lite.tables import markdown_table
from keras_lite.training.environment import environment, processor

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The photos.", flag_values=FLAGS)
flags.DEFINE_string("against", None, "Folder of another checkout.", flag_values=FLAGS)
flags.DEFINE_integer("repeats", 5, "Processes of each kind.", 1, flag_values=FLAGS)
flags.DEFINE_boolean("memory", True, "Whether to measure memory, which takes some minutes.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Page to write, such as results/start_cost.md.", flag_values=FLAGS)

_LOG = re.compile(r"[IWEF]\d{4} |WARNING: All log messages|To enable the following|INFO: ")
_SIZE = 32


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure, and print or write the page."""
    command_line.expect(positional)
    if values.data_dir is None or not Path(values.data_dir).is_dir():
        raise InputError(f"Expected --data_dir with the folder of the photos, received {values.data_dir}.")
    folders = checkouts(values.against)
    photos = str(Path(values.data_dir).resolve())
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.keras")
        _write_model(model)
        [photo, *_] = (str(path.resolve()) for path in itertools.islice(find_photos(photos), 1))
        tables = [_imports(folders, values.repeats), _first_lines(folders, values.repeats, photos, model, photo)]
        tables += [_memory(folders, photos)] if values.memory else []
    text = page(tables, values.repeats)
    print(text)
    if values.page is not None:
        write_text(values.page, text)


def _write_model(path: Path) -> None:
    """Write a small model for the commands that take one."""
    names = ["one", "other"]
    model = create("cifar_resnet", depth=8, classes=len(names), classifier_activation=None)
    model.save(path)
    write_model_info(path, ModelInfo("small", names, Preprocessing((_SIZE, _SIZE)), "logits"))


def _in_turns(folders: dict[str, Path], repeats: int, measure: Callable[[Path], float]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in folders}
    for _ in range(repeats):
        for name, folder in folders.items():
            found[name].append(measure(folder))
    return found


def _imports(folders: dict[str, Path], repeats: int) -> list[tuple[str, ...]]:
    found = {"keras": _in_turns({"here": folders["here"]}, repeats, lambda folder: _import("keras", folder))["here"]}
    found |= {
        f"keras_lite, {name}": spent
        for name, spent in _in_turns(folders, repeats, lambda folder: _import("keras_lite", folder)).items()
    }
    least = statistics.median(found["keras"])
    rows = [("import", "seconds", "least", "most", "beyond keras")]
    return rows + [
        (name, *_spread(spent), "" if name == "keras" else f"{statistics.median(spent) - least:+.2f}")
        for name, spent in found.items()
    ]


def _import(name: str, folder: Path) -> float:
    start = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-c", f"import {name}"], env=environment, cwd=folder, check=True, **_QUIET)
    return time.monotonic() - start


_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _first_lines(folders: dict[str, Path], repeats: int, photos: str, model: Path, photo: str) -> list[tuple[str, ...]]:
    commands = {
        "tools/finetune.py": [f"--data_dir={photos}", "--weights=none", f"--image_size={_SIZE}"],
        "recipes/sports100_carnet.py": [f"--data_dir={photos}", f"--image_size={_SIZE}"],
        "tools/quantize.py": [str(model), f"--data_dir={photos}"],
        "tools/predict.py": [str(model), photo],
        "tools/profile_model.py": ["cifar100_first/resnet20/ours"],
    }
    rows = [("command", *(f"{name}: {what}" for name in folders for what in ("seconds", "least", "most", "line")))]
    for script, arguments in commands.items():
        said: dict[Path, str] = {}

        def measure(folder: Path, script: str = script, arguments: list = arguments, said: dict = said) -> float:
            seconds, said[folder] = first_line(script, arguments, folder)
            return seconds

        found = _in_turns(folders, repeats, measure)
        cells = [cell for name, folder in folders.items() for cell in (*_spread(found[name]), said[folder])]
        rows.append((f"`{script}`", *cells))
    return rows


def first_line(script: str, arguments: list[str], folder: Path) -> tuple[float, str]:
    """Return the seconds until a script says its first line, and the line without the paths in it.

    Args:
        script: The script, relative to the checkout.
        arguments: Its arguments.
        folder: The checkout.

    Raises:
        InputError: If it ends without one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}
        start = time.monotonic()
        with subprocess.Popen(
            [sys.executable, str(folder / script), *arguments],
            env=environment,
            cwd=temporary,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                for line in process.stdout:
                    if line.strip() and not _LOG.match(line):
                        return time.monotonic() - start, re.sub(r"\S*/", "", line.strip())
            finally:
                process.kill()
    raise InputError(f"Expected {script} to say a line, received none.")


def _memory(folders: dict[str, Path], photos: str) -> list[tuple[str, ...]]:
    given = [f"--data_dir={photos}", "--image_size=224", "--epochs=1", "--seed=0"]
    commands = {
        "tools/finetune.py": [*given, "--model=mobilenet_v3_large", "--weights=none", "--quantize"],
        "recipes/sports100_carnet.py": given,
    }
    rows = [("command", *(f"{name}: {what}" for name in folders for what in ("MB at most", "seconds")))]
    for script, arguments in commands.items():
        cells = []
        for folder in folders.values():
            with tempfile.TemporaryDirectory() as temporary:
                command = [str(folder / script), *arguments, f"--output_dir={temporary}/run"]
                seconds, most = watched(command, folder)
            cells += [f"{most / 1e6:.0f}", f"{seconds:.0f}"]
        rows.append((f"`{script}`", *cells))
    return rows


def _spread(spent: list[float]) -> tuple[str, str, str]:
    return tuple(f"{value:.2f}" for value in (statistics.median(spent), min(spent), max(spent)))


def page(tables: list[list[tuple[str, ...]]], repeats: int) -> str:
    """Return the Markdown page of the tables: imports, first lines, and memory where it was measured."""
    here = environment()
    versions = ", ".join(f"{name} {here['versions'][name]}" for name in ("keras", "tensorflow"))
    titles = (
        ("Imports", "Seconds of a fresh interpreter that imports one of them."),
        ("First lines", "Seconds until a command says its first line, the frameworks' own log apart."),
        ("Memory", "The most that the process and those it started hold at a time: an epoch at 224 pixels."),
    )
    parts = [
        "# What a user waits for before anything happens",
        "Written by `python checks/start_cost.py --data_dir PHOTOS --against CHECKOUT --page results/start_cost.md`.",
        f"Medians of {repeats} processes in turns, the least and the most; memory once. {processor()}, "
        f"{os.cpu_count()} processors, {versions}, commit {(here['commit'] or 'unknown')[:10]}.",
    ]
    for (title, text), table in zip(titles, tables, strict=False):
        left = [index for index, name in enumerate(table[0]) if name in ("import", "command") or name.endswith("line")]
        parts += [f"## {title}", text, markdown_table(table, left)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
