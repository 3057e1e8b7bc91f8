"""Run int8 files on an emulated ARM64 processor and compare their outputs with this machine's.

    python tools/verify_arm64.py [FILE.tflite ...] [--qemu QEMU --python PYTHON --site_packages FOLDER]

Needed are QEMU's user emulation from version 9 on (the program qemu-aarch64), a Python for ARM64 Linux in the folder
usr/bin of its own root, and a folder with NumPy and LiteRT for it. `make arm64` gets all three on Debian and Ubuntu.
Without them nothing is run, and the tool says so. Each FILE has its information file (.json) beside it; without FILEs
the networks with kept weights (weights/) are exported first, as they ship. XNNPACK has other code for each kind of
processor, so several are emulated: one with plain NEON, one with dot products, and one with all that QEMU knows. All
outputs of those networks must be equal; those of a FILE may differ by one step. XNNPACK must run as many parts of
the model as it does here.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from absl import flags

from checks.subjects import export_kept
from keras_lite.applications.kept_weights import list_weights
from keras_lite.cli import command_line
from keras_lite.data import read_model_info
from keras_lite.errors import InputError
from keras_lite.export import VerificationError
from keras_lite.inference.samples import read_samples
from keras_lite.runtime import Inspection, examine, litert_worker
from keras_lite.tables import text_table

ARM64 = Path(__file__).resolve().parents[1] / ".arm64"
FLAGS = command_line.new_flags()
flags.DEFINE_string("qemu", str(ARM64 / "qemu-aarch64"), "QEMU's user emulation.", flag_values=FLAGS)
flags.DEFINE_string("python", str(ARM64 / "root/usr/bin/python3"), "Python in ROOT/usr/bin.", flag_values=FLAGS)
flags.DEFINE_string("site_packages", str(ARM64 / "site-packages"), "NumPy and LiteRT for it.", flag_values=FLAGS)
flags.DEFINE_list("cpus", ["cortex-a53", "cortex-a76", "max"], "Processors, as QEMU names them.", flag_values=FLAGS)
flags.DEFINE_integer("images", 8, "Images to compare outputs on.", 1, flag_values=FLAGS)
flags.DEFINE_list("rows", [], "Of the kept weights those of these rows. Default: all.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare the files on the command line, or those of a few networks."""
    missing = [name for name in ("qemu", "python", "site_packages") if not Path(values[name].value).exists()]
    if any(values[name].present for name in missing):
        raise InputError(f"Expected --{missing[0]} to exist, received {values[missing[0]].value}.")
    if missing:
        print(f"SKIPPED: nothing was run, because {', '.join(values[name].value for name in missing)} is missing.")
        print("`make arm64` gets it on Debian and Ubuntu; --help says what else to do.")
        return
    kept = list_weights()
    if unknown := [row for row in values.rows if row not in {each.row for each in kept}]:
        raise InputError(f"Expected --rows out of {', '.join(each.row for each in kept)}; received {unknown[0]}.")
    infos = [read_model_info(path) for path in positional]
    with tempfile.TemporaryDirectory() as folder:
        paths = list(map(Path, positional))
        allowed = 1 if paths else 0
        if not paths:
            chosen = [each for each in kept if not values.rows or each.row in values.rows]
            paths = [export_kept(each, Path(folder)) for each in chosen]
            infos = [read_model_info(path) for path in paths]
        rows = [("file", "processor", "XNNPACK", "largest difference", "equal", "deviation over images")]
        for path, info in zip(paths, infos, strict=True):
            images = read_samples("shapes", info.preprocessing, values.images)
            rows += _compare(path, images, allowed, values=values, folder=Path(folder))
    print(text_table(rows))
    print("Differences and deviations are in steps of the output.")


def _compare(
    path: Path, images: np.ndarray, allowed: int, *, values: flags.FlagValues, folder: Path
) -> list[tuple[str, ...]]:
    """Return a row of the table for each processor.

    Raises:
        VerificationError: If an output differs by more than `allowed` steps, or XNNPACK splits the model in another
            way.
    """
    examined = examine(path, images=images)
    here = examined.inspection
    if here.output["dtype"] != "int8":
        raise InputError(f"Expected an int8 file, received {path}, whose output is {here.output['dtype']}.")
    expected = _steps(examined.outputs, here)
    np.save(folder / "images.npy", images)
    rows = []
    for cpu in values.cpus:
        print(f"Running {path.name} on {cpu} ...", flush=True)
        found = _run(values, cpu, path, "--images", folder / "images.npy", "--arrays", folder / "arrays.npz")
        parts = found["partitions"]
        with np.load(folder / "arrays.npz") as arrays:
            received = _steps(arrays["outputs"], here)
        difference = np.abs(received - expected)
        if difference.max() > allowed or parts != here.partitions:
            raise VerificationError(
                f"Expected {path.name} on {cpu} to be at most {allowed} steps from this machine's outputs, in "
                f"{here.partitions} XNNPACK partitions, received a difference of {difference.max()} steps and {parts} "
                "partitions."
            )
        deviation = float(np.median(expected.std(0)))
        equal = float((difference == 0).mean())
        rows.append((path.name, cpu, str(parts), str(difference.max()), f"{equal:.2%}", f"{deviation:.1f}"))
    return rows


def _steps(outputs: np.ndarray, inspection: Inspection) -> np.ndarray:
    return np.rint(outputs / inspection.output["scale"]).astype(int)


def _run(values: flags.FlagValues, cpu: str, path: Path, *arguments: str | Path) -> dict:
    """Run `litert_worker` on a file on the emulated processor and return what it printed."""
    python = Path(values.python)
    command = [values.qemu, "-cpu", cpu, "-L", python.parents[2], python, "-P", litert_worker.__file__, "examine", path]
    result = subprocess.run(
        list(map(str, [*command, *arguments])),
        env=os.environ | {"PYTHONPATH": values.site_packages},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise InputError(f"Expected {path.name} to run on {cpu}, received: {lines[-1]}")
    return json.loads(result.stdout.splitlines()[-1])
