"""Files on emulated ARM64 processors, by QEMU, with a Python and LiteRT for ARM64."""

import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_lite.errors import InputError
from keras_lite.runtime import litert_worker

_FOLDER = Path(__file__).resolve().parents[1] / ".arm64"
# XNNPACK has other code for each: plain NEON, dot products, and all that QEMU knows.
PROCESSORS = ("cortex-a53", "cortex-a76", "max")


@dataclasses.dataclass(frozen=True)
class Emulator:
    """What runs a file on an emulated processor. By default what `make arm64` gets.

    Args:
        qemu: QEMU's user emulation from version 9 on, the program qemu-aarch64.
        python: A Python for ARM64 Linux in the folder usr/bin of its own root.
        site_packages: A folder with NumPy and LiteRT for it.
    """

    qemu: Path = _FOLDER / "qemu-aarch64"
    python: Path = _FOLDER / "root/usr/bin/python3"
    site_packages: Path = _FOLDER / "site-packages"

    def missing(self) -> Iterator[str]:
        """Yield the name of each part that is not there."""
        for field in dataclasses.fields(self):
            if not getattr(self, field.name).exists():
                yield field.name

    def run(self, cpu: str, path: Path, images: np.ndarray, folder: Path) -> tuple[np.ndarray, int]:
        """Return a file's outputs for images, as floats, and how many parts of it XNNPACK runs.

        Args:
            cpu: The processor, as QEMU names it.
            path: The file, with one input and one output.
            images: Preprocessed images.
            folder: Where files may be written.

        Raises:
            InputError: If the file or the emulator fails.
        """
        inputs, outputs = folder / "images.npy", folder / "arrays.npz"
        np.save(inputs, images)
        command = [self.qemu, "-cpu", cpu, "-L", self.python.parents[2], self.python, "-P", litert_worker.__file__]
        command += ["examine", path, "--images", inputs, "--arrays", outputs]
        print(f"Running {path.name} on {cpu} ...", flush=True)
        finished = subprocess.run(
            list(map(str, command)),
            env=os.environ | {"PYTHONPATH": str(self.site_packages)},
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            lines = finished.stderr.strip().splitlines() or [f"exit code {finished.returncode}"]
            raise InputError(f"Expected {path.name} to run on {cpu}, received: {lines[-1]}")
        with np.load(outputs) as arrays:
            return arrays["output0"], json.loads(finished.stdout.splitlines()[-1])["partitions"]
