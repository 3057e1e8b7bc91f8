"""Write one network of each family as a float32 file on TensorFlow, JAX and PyTorch, and compare the bytes.

    python -m checks.same_bytes [FAMILY ...] [--backends tensorflow,jax,torch]

The weights are random ones of a seed, saved once; each backend loads them in a process of its own, lowers the network
and writes it. One line a family with the SHA-256 of its file; another one on another backend is an error.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
from absl import flags

from keras_lite import applications
from keras_lite.checkpoints import load_model, registry
from keras_lite.cli import command_line
from keras_lite.errors import InputError, some
from keras_lite.litert.writer import write
from keras_lite.quantization.lower import lower

FLAGS = command_line.new_flags()
flags.DEFINE_list("backends", ["tensorflow", "jax", "torch"], "Backends of Keras.", flag_values=FLAGS)

_SEED = 0


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
    for name in positional or families:
        found = {backend: of_family[name] for backend, of_family in hashes.items()}
        same = len(set(found.values())) == 1
        print(f"{name}: {next(iter(found.values())) if same else found}", flush=True)
        differing += [] if same else [name]
    if differing:
        raise InputError(f"Expected the same bytes on {', '.join(hashes)}, received others of {some(differing)}.")
    print(f"{len(positional or families)} networks: the same bytes on {', '.join(hashes)}.")


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
    """Return the SHA-256 of each `.keras` file of a folder as a float32 file, from a process on a backend.

    Raises:
        InputError: If that process fails; the message has the last line of its error.
    """
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "checks.same_bytes", folder]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        raise InputError(f"Expected float32 files on {backend}, received: {lines[-1] if lines else ended.returncode}")
    return dict(line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("sha256 "))


def print_hashes(folder: str) -> None:
    """Print the name and SHA-256 of each `.keras` file of a folder as a float32 file, written by this process."""
    for path in sorted(Path(folder).glob("*.keras")):
        content = write(lower(load_model(path)))
        print("sha256", path.stem, hashlib.sha256(content).hexdigest(), flush=True)


if __name__ == "__main__":
    print_hashes(*sys.argv[1:])
