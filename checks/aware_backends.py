"""Train int8 networks on TensorFlow, JAX and PyTorch from one start, and compare.

    make verify-aware CIFAR=CIFAR100
    python -m checks.aware_backends --cifar_dir CIFAR100 [--networks resnet20,mobilenetv3_large] [--cache_dir DIR]

CIFAR100 is the folder of its python files. Each network with kept weights is quantized by `post_training` once; what
`quantize_aware` makes of that is saved, and each backend opens it in a process of its own and trains it as `finetune`
does: one step, then 99 more. Demanded are

- of the trained model, that its own forward pass on 64 held-out images gives what its file gives in LiteRT: at least
  99.9% of the outputs equal and none more than a step apart;
- that after one step no weight differs between two backends by more than 1e-5;
- that after 100 steps the divergence from the float model on held-out images is lower than at the start.

What is finished is kept in the cache until code of the package changes. A fault is an error. Expected time: 20 minutes
on 2 cores.
"""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

from checks.aware_subjects import open_subject
from checks.subjects import code_hash
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import atomic_path, read_json, write_json
from keras_lite.litert import write
from keras_lite.quantization import post_training, quantize_aware
from keras_lite.quantization.aware.finetuning import LEARNING_RATE, compile_to_finetune
from keras_lite.quantization.aware.keras_native import read_trained
from keras_lite.quantization.closeness import divergences
from keras_lite.runtime import run_in_subprocess
from keras_lite.tables import text_table

NETWORKS = ("resnet20", "mobilenetv3_large")
BACKENDS = ("tensorflow", "jax", "torch")
STEPS, BATCH, HELD_OUT, COMPARED = 100, 32, 512, 64
EQUAL, MOST_STEPS, AGREE = 0.999, 1, 1e-5
_CALIBRATION = 512
_ROOMS = ("applications", "graph", "layers", "litert", "published", "quantization", "runtime")
_PACKAGES = ("keras", "tensorflow", "jax", "torch", "ai-edge-litert")

FLAGS = command_line.new_flags()
flags.DEFINE_string("cifar_dir", None, "CIFAR-100's python files.", flag_values=FLAGS)
flags.DEFINE_list("networks", list(NETWORKS), "Only these.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/aware-backends", "Where what is finished is kept.", flag_values=FLAGS)
flags.DEFINE_string("unit", None, "For its own use: the network,backend to train.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Train each network on each backend, and compare."""
    command_line.expect(positional)
    cache = Path(values.cache_dir).resolve()
    if values.unit is not None:
        network, backend = values.unit.split(",")
        train(cache / network, backend)
        return
    if unknown := [name for name in values.networks if name not in NETWORKS]:
        raise InputError(f"Expected --networks out of {', '.join(NETWORKS)}; received {unknown[0]!r}.")
    if not Path(values.cifar_dir or "").is_dir():
        raise InputError(
            f"Expected the folder of CIFAR-100's python files as --cifar_dir, received {values.cifar_dir}."
        )
    key = hashlib.sha256(json.dumps([STEPS, BATCH, code_hash(_ROOMS, _PACKAGES)]).encode()).hexdigest()
    if not (cache / "key.json").is_file() or read_json(cache / "key.json") != key:
        shutil.rmtree(cache, ignore_errors=True)
        write_json(cache / "key.json", key)
    faults = []
    for network in values.networks:
        folder = cache / network
        if not (folder / "start.keras").is_file():
            _write_start(folder, network, values.cifar_dir)
        for backend in BACKENDS:
            if not (folder / f"{backend}.json").is_file():
                _run(values, network, backend)
        found = {backend: read_json(folder / f"{backend}.json") for backend in BACKENDS}
        weights = {backend: _arrays(folder / f"{backend}.npz") for backend in BACKENDS}
        apart = {pair: differing(*(weights[each] for each in pair)) for pair in itertools.combinations(BACKENDS, 2)}
        print(f"\n{network}\n{table(found)}")
        print(
            *(f"{' and '.join(pair)} after one step: {apart[pair]:.1e} apart" for pair in apart), sep="\n", flush=True
        )
        faults += [f"{network}: {fault}" for fault in faults_of(found, apart)]
    if faults:
        raise InputError(f"Expected equal files, equal steps and lower divergences, received: {'; '.join(faults)}.")


def _arrays(path: Path) -> list[np.ndarray]:
    with np.load(path) as stored:
        return [stored[name] for name in sorted(stored.files, key=lambda name: int(name.removeprefix("arr_")))]


def _write_start(folder: Path, network: str, cifar_dir: str | None) -> None:
    """Write what all backends start from: the int8 model, photos and the float model's answers."""
    subject = open_subject(network, cifar_dir, None)
    model, given, photos = subject.model, subject.preprocessing, subject.train
    count = STEPS * BATCH + HELD_OUT
    images = given(photos.images(np.random.default_rng(0).permutation(len(photos))[:count]))
    answers = np.asarray(model.predict(images, batch_size=64, verbose=0))
    calibrated, _ = post_training(model, images[:_CALIBRATION], preprocessing=given, output="logits")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "photos.npz", images, answers)
    with atomic_path(folder / "start.keras") as path:
        quantize_aware(calibrated).save(path)


def _run(values: flags.FlagValues, network: str, backend: str) -> None:
    command = [sys.executable, "-m", "checks.aware_backends", f"--cache_dir={Path(values.cache_dir).resolve()}"]
    environment = os.environ | {"KERAS_BACKEND": backend}
    print(f"{network} on {backend} ...", flush=True)
    root = Path(__file__).resolve().parents[1]
    finished = subprocess.run([*command, f"--unit={network},{backend}"], env=environment, cwd=root, check=False)
    if finished.returncode:
        raise InputError(f"Expected {network} to train on {backend}, received exit code {finished.returncode}.")


def train(folder: Path, backend: str) -> None:
    """Train in this process what lies in a folder, and write there what came of it.

    Args:
        folder: It holds `start.keras` and `photos.npz`; it gets BACKEND.npz, the weights after one step, and
            BACKEND.json.
        backend: This process's.
    """
    images, answers = _arrays(folder / "photos.npz")
    held_out, expected = images[-HELD_OUT:], answers[-HELD_OUT:]
    aware = keras.saving.load_model(folder / "start.keras")
    compile_to_finetune(aware, "logits", LEARNING_RATE, STEPS)
    start = divergences("logits", expected, np.asarray(aware.predict(held_out, batch_size=64, verbose=0))).mean()
    ends = read_trained(aware).outputs[0].quantization.dequantize(np.array([-128, 127], "int8"))
    answers = np.clip(answers, *ends).astype("float32")
    for step in range(STEPS):
        at = step * BATCH
        aware.train_on_batch(images[at : at + BATCH], answers[at : at + BATCH])
        if step == 0:
            np.savez(folder / f"{backend}.npz", *aware.get_weights())
    received = np.asarray(aware.predict(held_out, batch_size=64, verbose=0))
    graph = read_trained(aware)
    file = folder / f"{backend}.tflite"
    file.write_bytes(write(graph))
    scale = float(graph.outputs[0].quantization.scale)
    apart = np.rint(np.abs(received[:COMPARED] - run_in_subprocess(file, held_out[:COMPARED], 1)) / scale)
    figures = {
        "equal": float((apart == 0).mean()),
        "most_steps": int(apart.max()),
        "start": float(start),
        "end": float(divergences("logits", expected, received).mean()),
    }
    write_json(folder / f"{backend}.json", figures)


def differing(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Return the largest difference between weights."""
    return max(float(np.abs(one - other).max(initial=0.0)) for one, other in zip(first, second, strict=True))


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return what was found, backend by backend, as text."""
    rows = [("backend", "equal to its file", "most steps apart", "divergence at the start", f"after {STEPS} steps")]
    for backend, each in found.items():
        equal, most = f"{each['equal']:.2%}", str(each["most_steps"])
        rows.append((backend, equal, most, f"{each['start']:.5f}", f"{each['end']:.5f}"))
    return text_table(rows)


def faults_of(found: dict[str, dict[str, Any]], apart: dict[tuple[str, str], float]) -> list[str]:
    """Return a text for each demand that is not met.

    Args:
        found: Of each backend: the share of outputs that are `equal` to its file's, `most_steps` apart, and the
            divergences at the `start` and the `end`.
        apart: Of each two backends: the largest difference of a weight after one step.
    """
    faults = []
    for backend, each in found.items():
        if each["equal"] < EQUAL or each["most_steps"] > MOST_STEPS:
            faults.append(f"{each['equal']:.2%} equal to its file on {backend}, up to {each['most_steps']} steps apart")
        if not each["end"] < each["start"]:
            faults.append(f"a divergence of {each['end']:.5f} after {each['start']:.5f} on {backend}")
    return faults + [
        f"weights {difference:.1e} apart on {' and '.join(pair)}"
        for pair, difference in apart.items()
        if not difference <= AGREE
    ]


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
