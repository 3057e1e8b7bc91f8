"""The process that a TFLite file is opened in while it is not known whether XNNPACK survives it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from keras_lite.errors import InputError, import_extra
from keras_lite.runtime import litert_worker


class LiteRTError(InputError):
    """Raised if LiteRT can't run a file; the message is one line that says how it failed."""


def call_worker(action: str, path: str | os.PathLike, **arguments: Any) -> dict[str, Any]:
    """Run an action of `litert_worker` in another process and return what it found.

    Args:
        action: The action.
        path: The `.tflite` file.
        **arguments: Its flags: a value, a list of values for a flag that may be repeated, or True and False for a flag
            without one. One that is None is left out.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        LiteRTError: If the process failed or died; the message names the stage that it died in.
        MissingExtraError: If LiteRT is not installed.
    """
    path = check_tflite(path)
    command = [sys.executable, "-P", litert_worker.__file__, action, str(path)]
    for name, value in arguments.items():
        if value is True:
            command.append(f"--{name}")
        elif value is not None and value is not False:
            command += [f"--{name}={each}" for each in (value if isinstance(value, list) else [value])]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise LiteRTError(f"LiteRT can't run {path.name.removeprefix('.partial-')}: {_reason(result)}")
    return json.loads(result.stdout.splitlines()[-1])


def check_tflite(path: str | os.PathLike) -> Path:
    """Return the path of a TFLite file.

    Raises:
        InputError: If the file does not exist or is no TFLite file.
        MissingExtraError: If LiteRT is not installed.
    """
    import_extra("ai_edge_litert.interpreter", "litert")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Expected a .tflite file, received {path}, which is not a file.")
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            raise InputError(f"Expected a .tflite file, received {path}, whose content is something else.")
    return path


def _reason(result: subprocess.CompletedProcess) -> str:
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip() and not line.startswith("INFO:")]
    last = lines[-1] if lines else "no message"
    if result.returncode >= 0:
        return last
    begun = [line for line in result.stdout.splitlines() if line.startswith(litert_worker.STAGE)]
    stage = f" while {begun[-1].removeprefix(litert_worker.STAGE)}" if begun else ""
    return f"its process died of {signal.Signals(-result.returncode).name}{stage} ({last})"
