"""Batches that are computed side by side, each by one thread."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

_MOST = 4
# OpenBLAS in NumPy's own wheels, and as others build it.
_NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads")


def side_by_side(function: Callable[[Any], Any], batches: list[Any]) -> list[Any]:
    """Return what a function answers for each batch, in order.

    NumPy lets threads of Python compute side by side. OpenBLAS would divide each small product of matrices among
    threads of its own as well, and wait for the last of them: where other programs compute too, ten times as long as
    it works. So it has one thread meanwhile.
    """
    with one_blas_thread(), ThreadPoolExecutor(min(_MOST, os.cpu_count() or 1)) as threads:
        return list(threads.map(function, batches))


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let OpenBLAS have one thread; another library as many as it has."""
    found = _blas()
    if found is None:
        yield
        return
    read, write = found
    before = read()
    write(1)
    try:
        yield
    finally:
        write(before)


def _blas() -> tuple[Any, Any] | None:
    """Return what reads and what sets the number of OpenBLAS's threads; None if NumPy has another library."""
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)
        for name in _NAMES:
            with contextlib.suppress(AttributeError):
                return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None
