"""Write one network of each family as a float32 and an int8 file on TensorFlow, JAX and PyTorch; compare the bytes.

    python -m checks.same_bytes [FAMILY ...] [--backends tensorflow,jax,torch]

The weights are random ones of a seed, saved once; each backend loads them in a process of its own, lowers the network
and writes it. For int8 each takes the ranges from the same images, by itself. One line a file with its SHA-256; another
one on another backend is an error.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
from absl import flags

from keras_lite import applications
from keras_lite.checkpoints import load_model, registry
from keras_lite.cli import command_line
from keras_lite.errors import InputError, some
from keras_lite.litert import Graph, write
from keras_lite.quantization import post_training
from keras_lite.quantization.lower import lower

FLAGS = command_line.new_flags()
flags.DEFINE_list("backends", ["tensorflow", "jax", "torch"], "Backends of Keras.", flag_values=FLAGS)

PRECISIONS = ("float32", "int8")
_SEED = 0
_IMAGES = 16


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare the named families' files, or all."""
    families = {family.name: family for family in registry.families() if family.member is not None}
    if unknown := [name for name in positional if name not in families]:
        raise InputError(f"Expected families, of {', '.join(families)}; received {unknown[0]!r}.")
    with tempfile.TemporaryDirectory() as folder:
        for name in positional or families:
            save(families[name], Path(folder, f"{name}.keras"))
        hashes = {backend: on_backend(backend, folder) for backend in values.backends}
    differing = []
    names = [f"{name} {precision}" for name in positional or families for precision in PRECISIONS]
    for name in names:
        found = {backend: of_files[name] for backend, of_files in hashes.items()}
        same = len(set(found.values())) == 1
        print(f"{name}: {next(iter(found.values())) if same else found}", flush=True)
        differing += [] if same else [name]
    if differing:
        raise InputError(f"Expected the same bytes on {', '.join(hashes)}, received others of {some(differing)}.")
    print(f"{len(names)} files of {len(names) // len(PRECISIONS)} networks: the same bytes on {', '.join(hashes)}.")


def save(family: registry.Family, path: Path) -> None:
    """Save the small network of a family with random weights: statistics and biases, too, are none of a new model's."""
    keras.utils.set_random_seed(_SEED)
    model = applications.create(family.member.network, **family.member.options)
    for index, variable in enumerate(model.weights):
        values = keras.random.uniform(variable.shape, 0.5, 1.5, seed=index)
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(values)
        elif not variable.path.endswith("kernel") and variable.dtype == "float32":
            variable.assign(0.2 * (values - 1.0))
    model.save(path)


def on_backend(backend: str, folder: str) -> dict[str, str]:
    """Return the SHA-256 of the files that a process on a backend writes of each `.keras` file of a folder.

    Returns:
        The hashes by name and precision: `{"carnet int8": "0c1b...", ...}`.

    Raises:
        InputError: If that process fails; the message has the last line of its error.
    """
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "checks.same_bytes", folder]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        raise InputError(f"Expected files from {backend}, received: {lines[-1] if lines else ended.returncode}")
    found = (line.split() for line in ended.stdout.splitlines() if line.startswith("sha256 "))
    return {f"{name} {precision}": digest for _, name, precision, digest in found}


def print_hashes(folder: str) -> None:
    """Print name, precision and SHA-256 of the files that this process writes of each `.keras` file of a folder."""
    for path in sorted(Path(folder).glob("*.keras")):
        for precision, graph in graphs(load_model(path)).items():
            print("sha256", path.stem, precision, hashlib.sha256(write(graph)).hexdigest(), flush=True)


def graphs(model: keras.Model) -> dict[str, Graph]:
    """Return what the files of a model compute, by `PRECISIONS`; int8 is quantized with random images of a seed."""
    images = np.random.default_rng(_SEED).normal(size=(_IMAGES, *model.inputs[0].shape[1:])).astype("float32")
    return dict(zip(PRECISIONS, (lower(model), post_training(model, images)[0].graph), strict=True))


if __name__ == "__main__":
    print_hashes(*sys.argv[1:])
