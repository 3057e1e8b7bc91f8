"""Measure what one call on the way to a file takes: seconds and memory of the first call in a fresh process.

    python tools/benchmark_export.py [--call float32] [--network ROW] [--images 32] [--repeats 5] [--against CHECKOUT]

`to_tflite` is the whole call with its verification on --images images, `lower` lowering and writing alone, `convert`
TensorFlow's conversion alone; of int8 files, whose ranges are known before, `write_int8` is the making and writing of
the int8 graph. `post_training` sets ranges on --images images, `answers` runs an `IntegerModel` on them (an older one
is made of the file and its Keras model, which it reads before the clock starts). --against is the folder of another
checkout of this repository, whose call takes turns with this one's. Packages are imported before the clock starts.
Seconds are medians; memory is the most that the process and those it started hold at a time, from /proc (pages that
they share count for each), after what was there before the call.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path

from absl import flags

from checks.checkouts import HERE, MemoryPeak, checkouts, tree_memory
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.tables import text_table
from keras_lite.training.environment import processor

FLAGS = command_line.new_flags()
flags.DEFINE_enum("call", "float32", ["float32", "int8", "post_training", "answers"], "What runs.", flag_values=FLAGS)
flags.DEFINE_string("network", "imagenet/mobilenetv3_large/ours", "Published row, or a .keras file.", flag_values=FLAGS)
flags.DEFINE_integer("images", 32, "Images that the call gets.", 1, flag_values=FLAGS)
flags.DEFINE_string(
    "photos", None, "They, in a .npy file as the network takes them; otherwise noise.", flag_values=FLAGS
)
flags.DEFINE_integer("repeats", 5, "Fresh processes of each kind, in turns.", 1, flag_values=FLAGS)
flags.DEFINE_string("against", None, "Folder of another checkout.", flag_values=FLAGS)

_SCRIPT = Path(__file__).resolve().with_name("export_once.py")
_KINDS = {
    "float32": ("to_tflite", "lower", "convert"),
    "int8": ("to_tflite_int8", "write_int8", "convert_int8"),
    "post_training": ("post_training",),
    "answers": ("answers",),
}
_MEGABYTE = 1e6


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one call took.

    Args:
        seconds: Its time.
        before: Bytes of memory before it.
        peak: The most bytes of memory during it.
    """

    seconds: float
    before: int
    peak: int


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure and print a table."""
    command_line.expect(positional)
    kinds = {what: (what, HERE) for what in _KINDS[values.call]}
    whole = next(iter(kinds))
    if (before := checkouts(values.against).get("before")) is not None:
        kinds = {f"{whole} before": (whole, before), **kinds}
    costs: dict[str, list[Cost]] = {name: [] for name in kinds}
    for number in range(1, values.repeats + 1):
        for name, (what, folder) in kinds.items():
            costs[name].append(measure(what, values.network, values.images, folder, values.photos))
            last = costs[name][-1]
            print(f"{number}/{values.repeats} {name}: {last.seconds:.2f} s, {last.peak / _MEGABYTE:.0f} MB", flush=True)
    print(f"\n{values.network}, {values.call}, {values.images} images, {processor()}\n{table(costs)}")


def measure(what: str, network: str, images: int, folder: Path, photos: str | None = None) -> Cost:
    """Run `export_once.py` in a process of its own.

    Args:
        what: Its action.
        network: The published row, or a `.keras` file.
        images: How many it gets.
        folder: The checkout whose keras_lite it uses.
        photos: A `.npy` file of them. None: noise.

    Raises:
        InputError: If it fails; the message has the last line of its error.
    """
    command = [sys.executable, "-P", str(_SCRIPT), what, network, str(images), *([photos] if photos else [])]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, cwd=folder, **pipes) as process:
        # Read all along: a full pipe would stop the process.
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.extend(process.stderr))
        reader.start()
        found = {}
        for line in process.stdout:
            if line.strip() == "ready":
                found["before"] = tree_memory(process.pid)
                with MemoryPeak(process.pid) as peak:
                    process.stdin.write("\n")
                    process.stdin.flush()
                    line = next((line for line in process.stdout if line.startswith("seconds ")), "")
                if line:
                    found |= {"seconds": float(line.split()[1]), "peak": peak.bytes}
        reader.join()
    if process.returncode or "seconds" not in found:
        said = [line.strip() for line in errors if line.strip()]
        raise InputError(f"Expected an export by {what} of {folder}, received: {said[-1] if said else 'no message'}")
    return Cost(**found)


def table(costs: dict[str, list[Cost]]) -> str:
    """Return medians as a table: name -> what its calls took."""
    rows = [("", "seconds", "least", "most", "MB before", "MB at most", "MB more")]
    for name, found in costs.items():
        seconds = [each.seconds for each in found]
        before, peak = (statistics.median(getattr(each, field) for each in found) for field in ("before", "peak"))
        more = statistics.median(each.peak - each.before for each in found)
        rows.append((
            name,
            *(f"{value:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds))),
            *(f"{value / _MEGABYTE:.0f}" for value in (before, peak, more)),
        ))  # fmt: skip
    return text_table(rows)
