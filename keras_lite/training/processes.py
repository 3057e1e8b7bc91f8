"""Training one model in several processes of JAX, of which the first one writes.

Every process takes each step of a run and enters each save, since a step or a copy to the devices that one of them
leaves out keeps the others waiting for ever. The first alone writes to the run folder; the others write to a folder of
their own that goes with them.
"""

import atexit
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from keras_lite.errors import InputError

# Keras' own variables, see `keras.distribution.initialize`.
ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
INDEX = "KERAS_DISTRIBUTION_PROCESS_ID"

_folders: list[tempfile.TemporaryDirectory] = []


def asked_for() -> bool:
    """Return whether the environment speaks of several processes."""
    return any(os.environ.get(name) for name in (ADDRESSES, COUNT, INDEX))


def start(seed: int) -> None:
    """Join the other processes that the environment names, if it names any; before anything runs on a device.

    Args:
        seed: The run's seed, the same in all processes.

    Raises:
        InputError: If a variable is missing or makes no sense.
    """
    import jax

    if not asked_for() or jax.distributed.is_initialized():
        return
    addresses, count, index = (os.environ.get(name, "") for name in (ADDRESSES, COUNT, INDEX))
    host, _, port = addresses.partition(",")[0].rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"Expected {ADDRESSES} to be the HOST:PORT of the first process, received {addresses!r}.")
    if not count.isdecimal() or int(count) < 1:
        raise InputError(f"Expected {COUNT} to be 1 or more, received {count!r}.")
    if not index.isdecimal() or int(index) >= int(count):
        raise InputError(f"Expected {INDEX} to be from 0 to {int(count) - 1}, received {index!r}.")
    # Without a seed Keras would have the processes agree on one.
    keras.utils.set_random_seed(seed)
    keras.distribution.initialize(addresses, int(count), int(index))


def count() -> int:
    """Return the number of processes."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return jax.process_count() if jax.distributed.is_initialized() else 1


def is_first() -> bool:
    """Return whether this is the process that writes the run's files."""
    if count() == 1:
        return True
    import jax

    return jax.process_index() == 0


def on_first(function: Callable[[], Any]) -> Any:
    """Call a function in the first process; return in all what it returned there, or raise the `InputError`.

    Args:
        function: Returns something that JSON can hold.
    """
    if count() == 1:
        return function()
    answer = {}
    if is_first():
        try:
            answer = {"value": function()}
        except InputError as error:
            answer = {"error": str(error)}
    answer = json.loads(_from_first(json.dumps(answer).encode()))
    if "error" in answer:
        raise InputError(answer["error"])
    return answer["value"]


def own_folder(path: str | os.PathLike) -> Path:
    """Return where this process writes: the first one to the run folder, another to a folder that goes with it."""
    if is_first():
        return Path(path)
    _folders.append(tempfile.TemporaryDirectory(prefix="keras-lite-"))
    return Path(_folders[-1].name)


def share_file(path: Path) -> None:
    """Give the other processes the first one's file, if there is one.

    Args:
        path: The file, in the folder from `own_folder`.
    """
    if count() == 1 or not on_first(path.exists):
        return
    content = _from_first(path.read_bytes() if is_first() else b"")
    if not is_first():
        path.write_bytes(content)


@contextlib.contextmanager
def taking_part() -> Iterator[None]:
    """End this process at once when something raises in the block, or another process has ended.

    JAX would wait at the end for all processes, and those that wait for this one's share of a step would never end.
    """
    try:
        yield
    except BaseException as error:
        if count() == 1:
            raise
        # Runs before what JAX has registered, and after the error has been said.
        atexit.register(_leave, 130 if isinstance(error, KeyboardInterrupt) else 1)
        if "Gloo" in str(error):
            raise InputError(f"Expected all {count()} processes to go on, but one has ended.") from error
        raise


def _leave(code: int) -> None:
    for folder in _folders:
        folder.cleanup()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _from_first(content: bytes) -> bytes:
    import numpy as np
    from jax.experimental.multihost_utils import broadcast_one_to_all

    size = int(broadcast_one_to_all(np.array(len(content))))
    mine = np.frombuffer(content, "uint8") if is_first() else np.zeros(size, "uint8")
    return np.asarray(broadcast_one_to_all(mine)).tobytes()
