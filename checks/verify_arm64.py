"""Run int8 files on an emulated ARM64 processor and compare their outputs with this machine's.

    python tools/verify_arm64.py [FILE.tflite ...] [--qemu QEMU --python PYTHON --site_packages FOLDER]

Needed are QEMU's user emulation from version 9 on (the program qemu-aarch64), a Python for ARM64 Linux in the folder
usr/bin of its own root, and a folder with NumPy and LiteRT for it. `make arm64` gets all three on Debian and Ubuntu.
Without them nothing is run, and the tool says so. Without FILEs the networks with kept weights (weights/) are exported
first, as they ship, and one network of each other family, with known random weights. XNNPACK has other code for each
kind of processor, so several are emulated: one with plain NEON, one with dot products, and one with all that QEMU
knows. All outputs must be those of `IntegerModel(graph, target="arm64")`. Of a FILE, which has its information file
(.json) beside it, the graph is not known: its outputs may be one step from this machine's. XNNPACK must run as many
parts of the model as it does here.
"""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from absl import flags

from checks.arm64_runs import PROCESSORS, Emulator
from checks.subjects import export_int8
from keras_lite import published
from keras_lite.applications.kept_weights import list_weights
from keras_lite.cli import command_line
from keras_lite.data import ModelInfo, read_model_info
from keras_lite.errors import InputError
from keras_lite.export import VerificationError
from keras_lite.files import write_text
from keras_lite.inference.samples import read_samples
from keras_lite.litert import IntegerModel, QuantizedGraph
from keras_lite.runtime import Inspection, examine
from keras_lite.tables import markdown_table, text_table
from keras_lite.training.environment import processor

_MADE = Emulator()
FLAGS = command_line.new_flags()
flags.DEFINE_string("qemu", str(_MADE.qemu), "QEMU's user emulation.", flag_values=FLAGS)
flags.DEFINE_string("python", str(_MADE.python), "Python in ROOT/usr/bin.", flag_values=FLAGS)
flags.DEFINE_string("site_packages", str(_MADE.site_packages), "NumPy and LiteRT for it.", flag_values=FLAGS)
flags.DEFINE_list("cpus", list(PROCESSORS), "Processors, as QEMU names them.", flag_values=FLAGS)
flags.DEFINE_integer("images", 8, "Images to compare outputs on.", 1, flag_values=FLAGS)
flags.DEFINE_list("rows", [], "Published rows, instead of all those networks.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Also write the table here, as Markdown.", flag_values=FLAGS)

_HEADER = ("file", "processor", "XNNPACK", "outputs", "not its model's", "not x86's", "deviation over images")
# One of each family that has no kept weights.
_OTHERS = (
    "cifar10_efficient_resnet/efficient_resnet/ours",
    "cifar100_first/resnet110_bsconvu/ours",
    "cifar100_first/mobilenetv3_large_bsconvs/ours",
    "cifar100_first/wrn40_3/ours",
    "cifar100_second/parc_mobilenetv2/ours",
    "cifar100_second/ghostnet/ours",
    "cifar100_second/shufflenetv2/ours",
)


@dataclasses.dataclass(frozen=True)
class _Subject:
    """A file to run, and what its outputs must be."""

    path: Path
    info: ModelInfo
    graph: QuantizedGraph | None = None


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare the files on the command line, or those of a few networks."""
    emulator = Emulator(Path(values.qemu), Path(values.python), Path(values.site_packages))
    missing = list(emulator.missing())
    if any(values[name].present for name in missing):
        raise InputError(f"Expected --{missing[0]} to exist, received {values[missing[0]].value}.")
    if missing:
        print(f"SKIPPED: nothing was run, because {', '.join(values[name].value for name in missing)} is missing.")
        print("`make arm64` gets it on Debian and Ubuntu; --help says what else to do.")
        return
    kept = {each.row: each for each in list_weights()}
    known = [*kept, *(row for row in _OTHERS if row not in kept)]
    if unknown := [row for row in values.rows if row not in known]:
        raise InputError(f"Expected --rows out of {', '.join(known)}; received {unknown[0]}.")
    given = [_Subject(Path(path), read_model_info(path)) for path in positional]
    with tempfile.TemporaryDirectory() as folder:
        rows = [_HEADER]
        for subject in given or (
            _Subject(*export_int8(published.get(row), kept.get(row), Path(folder))) for row in values.rows or known
        ):
            images = read_samples("shapes", subject.info.preprocessing, values.images)
            rows += _compare(subject, images, emulator, values.cpus, Path(folder))
    print(text_table(rows))
    print("Deviations are in steps of the output.")
    if values.page is not None:
        write_text(values.page, _page(rows, values))


def _compare(
    subject: _Subject, images: np.ndarray, emulator: Emulator, cpus: list[str], folder: Path
) -> list[tuple[str, ...]]:
    """Return a row of the table for each processor.

    Raises:
        VerificationError: If an output is not what it must be, or XNNPACK splits the model in another way.
    """
    path, graph = subject.path, subject.graph
    examined = examine(path, images=images)
    here = examined.inspection
    if here.outputs[0]["dtype"] != "int8":
        raise InputError(f"Expected an int8 file, received {path}, whose output is {here.outputs[0]['dtype']}.")
    x86 = _steps(examined.outputs, here)
    expected = x86 if graph is None else _steps(IntegerModel(graph, "arm64").predict(images), here)
    wanted = "this machine's outputs" if graph is None else "its model's"
    rows = []
    for cpu in cpus:
        outputs, parts = emulator.run(cpu, path, images, folder)
        received = _steps(outputs, here)
        difference = np.abs(received - expected)
        allowed = 1 if graph is None else 0
        if difference.max() > allowed or parts != here.partitions:
            raise VerificationError(
                f"Expected {path.name} on {cpu} to be at most {allowed} steps from {wanted}, in {here.partitions} "
                f"XNNPACK partitions, received a difference of {difference.max()} steps and {parts} partitions."
            )
        counts = (received.size, np.count_nonzero(difference), np.count_nonzero(received != x86))
        rows.append((path.stem, cpu, str(parts), *(f"{count:,}" for count in counts), f"{_deviation(x86):.1f}"))
    return rows


def _page(rows: list[tuple[str, ...]], values: flags.FlagValues) -> str:
    return f"""# Int8 files on ARM64

Written by `python tools/verify_arm64.py --images {values.images} --page FILE` on {processor()}, which emulates
{", ".join(values.cpus)} by QEMU. {values.images} images of shapes for each network, LiteRT with XNNPACK.

{markdown_table(rows, [0, 1])}

- **XNNPACK**: parts that it runs, as many as on x86.
- **not its model's**: outputs that differ from `IntegerModel(graph, target="arm64")`; that must be none.
- **not x86's**: outputs that differ from those of the same file on x86.
- **deviation**: of an output between images, in steps, the median: files that answer alike would prove little.
"""


def _deviation(steps: np.ndarray) -> float:
    """Return how far the outputs of different images are apart, in steps; little would prove little."""
    return float(np.median(steps.std(0)))


def _steps(outputs: np.ndarray, inspection: Inspection) -> np.ndarray:
    return np.rint(outputs / inspection.outputs[0]["scale"]).astype(int)
