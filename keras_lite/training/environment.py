"""Where a run ran: versions, commit and machine."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras

import keras_lite

_PACKAGES = ("keras", "numpy", "h5py", "Pillow", "tensorflow", "jax", "jaxlib", "torch")


def environment() -> dict[str, Any]:
    """Return versions, commit and machine, on which a result depends besides its flags, ready for JSON.

    Returns:
        Dictionary of `keras_lite` (version), `commit` (of the checkout, else `None`), `commit_modified` (whether the
        checkout differs from it), `backend`, `devices`, `python`, `versions` (of the packages that are installed)
        and `machine`.
    """
    commit, modified = _commit(Path(keras_lite.__file__).resolve().parent.parent)
    return {
        "keras_lite": keras_lite.__version__,
        "commit": commit,
        "commit_modified": modified,
        "backend": keras.backend.backend(),
        "devices": devices(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        },
    }


def peak_memory() -> int | None:
    """Return the most memory in bytes that this process has had: of its GPU, or where it has none, of the machine.

    None where the system does not tell (Windows).
    """
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        statistics = jax.local_devices()[0].memory_stats()
        if statistics and "peak_bytes_in_use" in statistics:
            return statistics["peak_bytes_in_use"]
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated()
    if backend == "tensorflow":
        import tensorflow as tf

        if tf.config.list_logical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        import resource
    except ImportError:
        return None
    # Kilobytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def devices() -> list[str]:
    """Return the devices that the backend computes on, such as `"cpu:0"` or `"gpu: NVIDIA H100"`."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]
    if backend == "torch":
        import torch

        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return [f"gpu: {name}" for name in names] or ["cpu"]
    return [str(device) for device in keras.distribution.list_devices()]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(folder: Path) -> tuple[str | None, bool | None]:
    if not (folder / ".git").exists():
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None, None
    return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """Return the name of this machine's processor, or else its architecture."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
