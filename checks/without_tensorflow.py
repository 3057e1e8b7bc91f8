"""Train, export, quantize with fine-tuning and evaluate where TensorFlow is not installed.

    make without-tensorflow [TORCH_INDEX_URL=...] [COMPARED=.venv]
    python tools/without_tensorflow.py [--environments FOLDER] [--compared ENVIRONMENT]

FOLDER holds two environments, `jax` with keras-lite[jax,litert] and `torch` with keras-lite[torch,litert], which
`make` makes once. In each the commands train ResNet-20 for an epoch on the built-in set of shapes, write it as a
float32 and an int8 .tflite file, fine-tune it as an int8 network and evaluate all of these. In the end stand
accuracies, how far fine-tuning came, and the sizes of the environments beside that of ENVIRONMENT, which has
keras-lite[quantization]. Stopped and started again it goes on where it was; once it has ended, the next call trains
anew.
"""

import os
import shutil
import subprocess
from pathlib import Path

from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import read_json
from keras_lite.tables import text_table

BACKENDS = ("jax", "torch")
# What must not be there.
TENSORFLOW = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
DATA = "shapes"
PRECISIONS = ("float32", "int8")
# A network that all backends train in minutes on 2 cores; one epoch does not make it a good one.
FINE_TUNING = ("--epochs", "1", "--image_limit", "1000", "--calibration_images", "64")
TRAINING = ("cifar100_first/resnet20/original", "--epochs", "1", "--batch_size", "32", "--learning_rate", "0.05")

FLAGS = command_line.new_flags()
flags.DEFINE_string("environments", ".without_tensorflow", "The environments jax and torch.", flag_values=FLAGS)
flags.DEFINE_string("compared", None, "An environment with TensorFlow, for its size.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Run the commands in both environments and print the table."""
    command_line.expect(positional)
    folder = Path(values.environments).absolute()
    environments = {backend: folder / backend for backend in BACKENDS}
    for backend, environment in environments.items():
        _check(environment, backend)
    files = (*(f"{precision} file" for precision in PRECISIONS), "quantized")
    rows = [("environment", "Keras model", *files, "divergence", "size")]
    for backend, environment in environments.items():
        run = folder / "runs" / backend
        shares = _run(environment, backend, run)
        trained = _fine_tuning(run)
        rows.append((f"keras-lite[{backend},litert]", *(f"{each:.2%}" for each in shares), trained, _size(environment)))
    if values.compared is not None:
        rows.append(("keras-lite[quantization]", *[""] * (len(rows[0]) - 2), _size(Path(values.compared))))
    print(f"\n{text_table(rows)}")


def _fine_tuning(run: Path) -> str:
    """Return how far the int8 network is from the float one at the start of its fine-tuning, and after each epoch.

    Raises:
        InputError: If it was not fine-tuned.
    """
    found = read_json(run / "quantized" / "result.json")["finetuning"]
    if not (found and found["epochs"]):
        raise InputError(f"Expected a network that was fine-tuned in {run}, received one that was not.")
    return " -> ".join(f"{each['divergence']:.5f}" for each in (found["start"], *found["epochs"]))


def _check(environment: Path, backend: str) -> None:
    """Check that an environment is there and has no TensorFlow.

    Raises:
        InputError: If not.
    """
    python = environment / "bin" / "python"
    if not python.is_file():
        raise InputError(f"Expected a virtual environment in {environment}, which `make without-tensorflow` makes.")
    program = f"from importlib.util import find_spec\nprint(*(name for name in {TENSORFLOW} if find_spec(name)))"
    found = subprocess.run([python, "-P", "-c", program], env=_variables(backend), capture_output=True, text=True)
    if found.returncode or found.stdout.strip():
        received = found.stdout.strip() or found.stderr.strip().rpartition("\n")[2]
        raise InputError(f"Expected an environment without TensorFlow in {environment}, received {received}.")


def _run(environment: Path, backend: str, run: Path) -> list[float]:
    """Return how often the trained model is right, and each of its files."""
    evaluations = [run / f"{name}_evaluation.json" for name in ("model", *PRECISIONS, "quantized")]
    if evaluations[-1].is_file():
        shutil.rmtree(run)
    commands = [
        ["train", *TRAINING, "--data_dir", DATA, "--output_dir", run],
        ["evaluate", run, "--output", evaluations[0]],
    ]
    for precision, evaluation in zip(PRECISIONS, evaluations[1:-1], strict=True):
        file = run / f"model_{precision}.tflite"
        commands.append(["export", run, "--precision", precision, "--output", file])
        commands.append(["evaluate", file, "--data_dir", DATA, "--output", evaluation])
    for command in [*commands, ["quantize", run, *FINE_TUNING]]:
        _call(environment, backend, command)
    name = read_json(run / "quantized" / "result.json")["name"]
    file = run / "quantized" / f"{name}_int8.tflite"
    _call(environment, backend, ["evaluate", file, "--data_dir", DATA, "--output", evaluations[-1]])
    return [read_json(path)["top1"] for path in evaluations]


def _call(environment: Path, backend: str, command: list) -> None:
    text = " ".join(map(str, ["keras-lite", *command]))
    print(f"\n{backend}: {text}", flush=True)
    finished = subprocess.run([environment / "bin" / "keras-lite", *command], env=_variables(backend))
    if finished.returncode:
        raise InputError(f"Expected `{text}` to succeed on {backend}, received exit code {finished.returncode}.")


def _variables(backend: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return inherited | {"KERAS_BACKEND": backend}


def _size(environment: Path) -> str:
    used = subprocess.run(["du", "-sk", environment], capture_output=True, text=True)
    if used.returncode:
        raise InputError(f"Expected a virtual environment in {environment}, received: {used.stderr.strip()}.")
    return f"{int(used.stdout.split()[0]) * 1024 / 1e6:,.0f} MB"
