"""Helpers for loading Keras files: a file name that Keras accepts, and the reason of a failure."""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def reason(error: Exception) -> str:
    """Return why Keras could not load a model, in a few words, without the configurations that it quotes."""
    text = str(error).strip() or type(error).__name__
    if unknown := re.search(r"Could not locate class '([^']+)'|Unknown layer: '([^']+)'", text):
        return f"its layer {unknown[1] or unknown[2]} is not known here"
    if "`Lambda` layer" in text:
        return "it has a Lambda layer, whose Python code is not run; write a layer of keras.layers instead"
    if "Only input tensors may be passed" in text:
        return "Keras does not read operations that are no layers, such as x * 2, from .h5; save it as .keras"
    # What went wrong stands behind the configuration in which it did.
    text = re.sub(r"\x1b\[\d*m", "", text.rpartition("Exception encountered:")[2]).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    called = lines[0].startswith("Exception encountered when calling") and len(lines) > 1
    return lines[1 if called else 0][:300].rstrip(".")


@contextlib.contextmanager
def named(path: Path, ending: str) -> Iterator[Path]:
    """Yield a path to a file that ends as Keras expects it."""
    if path.suffix == ending:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copy(path, Path(folder, f"model{ending}")))
