"""This checkout and another one, whose commands take turns in processes of their own; what they take."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from keras_lite.errors import InputError

HERE = Path(__file__).resolve().parents[1]
_INTERVAL = 0.02


def checkouts(against: str | None) -> dict[str, Path]:
    """Return the folders of the checkouts that take turns, by name: "before", if there is another, and "here".

    Args:
        against: The other one's folder.

    Raises:
        InputError: If it is none of this repository.
    """
    if against is None:
        return {"here": HERE}
    if not (Path(against) / "keras_lite").is_dir():
        raise InputError(f"Expected a checkout of this repository as --against, received {against}.")
    return {"before": Path(against).resolve(), "here": HERE}


def watched(command: list[str], checkout: Path) -> tuple[float, int]:
    """Return the seconds that a command of Python takes in a process of its own, and the most bytes of memory.

    Args:
        command: What the interpreter is given: a script, with flags before and after it.
        checkout: The one whose keras_lite it uses.

    Raises:
        InputError: If it fails; the message has the last line that it said.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        start = time.monotonic()
        with (
            subprocess.Popen(
                [sys.executable, *command],
                env=os.environ | {"PYTHONPATH": str(checkout)},
                cwd=checkout,
                stdout=log,
                stderr=log,
            ) as process,
            MemoryPeak(process.pid) as peak,
        ):
            process.wait()
        seconds = time.monotonic() - start
        log.seek(0)
        said = [line.strip() for line in log if line.strip()]
    if process.returncode:
        what = next(Path(each).name for each in command if each.endswith(".py"))
        raise InputError(f"Expected {what} of {checkout} to end well, received: {said[-1] if said else 'no message'}")
    return seconds, peak.bytes


class MemoryPeak:
    """The most memory that a process and those it started have had within the block.

    Args:
        pid: The process.

    Attributes:
        bytes: The figure.
    """

    def __init__(self, pid: int):
        self.bytes = tree_memory(pid)
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "MemoryPeak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self.bytes = max(self.bytes, tree_memory(self._pid))


def tree_memory(pid: int) -> int:
    """Return the resident bytes of a process and of all that it started, by Linux' /proc; what has ended has none."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (text := _read(folder / "stat")):
            # "123 (name of any kind) S 122 ..."
            parents[int(folder.name)] = int(text.rpartition(")")[2].split()[1])
    tree, pending = [], [pid]
    while pending:
        tree.append(pending.pop())
        pending += [child for child, parent in parents.items() if parent == tree[-1]]
    pages = sum(int(text.split()[1]) for each in tree if (text := _read(Path("/proc", str(each), "statm"))))
    return pages * os.sysconf("SC_PAGE_SIZE")


def _read(path: Path) -> str:
    """Return what a file of /proc says; nothing if its process has ended."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
