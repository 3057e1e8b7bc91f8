"""Kill `keras-lite quantize`, `export` and `finetune --quantize` at random moments, and run them again.

    python tools/kill_test.py [NAME ...] [--kills 20] [--seed 0] [--cache_dir DIR]

NAME is quantize (without fine-tuning) or export, of a small network of random weights; or quantize-trained or finetune,
which are quantize with fine-tuning and finetune --quantize, killed while they fine-tune or later. Without any it is all
of them. Each run is a process that gets SIGKILL: of the first two one half after a random part of the time that an
undisturbed run takes, the other half at a random one of the moments at which an undisturbed run opens, renames or
removes a file; the last two after a random part of the time from the first step of fine-tuning to the end. Then no file
may be half written under its final name, and the same command, given again, must leave the same files as an undisturbed
run: `.tflite` files and class names equal to the byte, the same figures of each epoch of fine-tuning, nothing more and
nothing less beside them.

What is finished is kept in the cache until code of the package changes. One line a kill; a fault is an error.
"""

import collections
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np
from absl import flags
from PIL import Image

from checks.subjects import code_hash
from keras_lite.cli import command_line, export, finetune, quantize
from keras_lite.data import ModelInfo, Preprocessing, write_model_info
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_json

FLAGS = command_line.new_flags()
flags.DEFINE_integer("kills", 20, "Of each command.", 1, flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Of the moments.", 0, flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/kill-test", "Where finished kills are kept.", flag_values=FLAGS)


@dataclasses.dataclass(frozen=True)
class Command:
    """What is killed.

    Args:
        module: The command's.
        options: Its flags besides those that say what it works on.
        phase: A file of its folder that is there from the moment on from which it may be killed. None: at any moment.
        on_model: Whether it takes a model; else it makes one in a run folder.
    """

    module: Any
    options: tuple[str, ...]
    _: dataclasses.KW_ONLY
    phase: str | None = None
    on_model: bool = True

    def arguments(self, folder: Path, material: Path) -> list[str]:
        """Return its command line, for a folder to work in and the folder of the model and the photos."""
        given = ["--data_dir", str(material / "photos"), *self.options]
        return [str(folder / "model.keras"), *given] if self.on_model else ["--output_dir", str(folder), *given]


_STATE = "quantized/finetune.npz"
COMMANDS = {
    "quantize": Command(quantize, ("--epochs", "0", "--calibration_images", "16")),
    "export": Command(export, ("--precision", "int8", "--images", "8")),
    "quantize-trained": Command(
        quantize, ("--epochs", "40", "--learning_rate", "1e-3", "--calibration_images", "16"), phase=_STATE
    ),
    "finetune": Command(
        finetune,
        (
            "--model=cifar_resnet", "--options=depth=8", "--weights=none", "--image_size=16", "--epochs=1",
            "--quantize", "--quantize_epochs=40",
        ),
        phase=_STATE,
        on_model=False,
    ),
}  # fmt: skip
_ROOMS = (
    "applications", "cli", "data", "export", "files.py", "graph", "inference", "litert", "pipelines", "quantization",
    "runtime", "training",
)  # fmt: skip
_PACKAGES = ("keras", "ai-edge-litert")
_SIZE = 16
_CLASSES = ("circle", "square")
_PHOTOS = 64  # of each class: enough to hold some out of fine-tuning
_SAME = (".tflite", ".txt")  # files without a time in them
_RESULT = "result.json"
_PARTIAL = ".partial-"
# What Python tells of before it is done to a file.
_EVENTS = ("open", "os.rename", "os.remove")


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Kill the named commands, or all."""
    if unknown := [name for name in positional if name not in COMMANDS]:
        raise InputError(f"Expected commands out of {', '.join(COMMANDS)}; received {unknown[0]!r}.")
    cache, faults = Path(values.cache_dir).resolve(), []
    key = hashlib.sha256(json.dumps([values.seed, code_hash(_ROOMS, _PACKAGES)]).encode()).hexdigest()
    if not (cache / "key.json").is_file() or read_json(cache / "key.json") != key:
        shutil.rmtree(cache, ignore_errors=True)
        _in_child(lambda: _write_material(cache / "material"))
        write_json(cache / "key.json", key)
    for name in positional or COMMANDS:
        seconds, events = _reference(cache, name)
        for number in range(values.kills):
            found = _killed(cache, name, number, seed=values.seed, seconds=seconds, events=events)
            verdict = "; ".join(found["faults"]) or "whole files, and the same ones in the end"
            print(f"{name} {number + 1}/{values.kills}, killed {found['moment']}: {verdict}", flush=True)
            faults += found["faults"]
    if faults:
        raise InputError(f"Expected whole files after each kill, received {len(faults)} faults, above.")


def _write_material(folder: Path) -> None:
    """Write a small network of random weights, and photos of two classes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((_SIZE, _SIZE, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, name="stem")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    folder.mkdir(parents=True, exist_ok=True)
    keras.Model(inputs, keras.layers.Dense(len(_CLASSES), name="predictions")(x)).save(folder / "model.keras")
    info = ModelInfo("small", list(_CLASSES), Preprocessing((_SIZE, _SIZE)), "logits")
    write_model_info(folder / "model.keras", info)
    rng = np.random.default_rng(0)
    for name in _CLASSES:
        (folder / "photos" / name).mkdir(parents=True, exist_ok=True)
        for index in range(_PHOTOS):
            pixels = rng.integers(0, 256, (_SIZE, _SIZE, 3)).astype("uint8")
            Image.fromarray(pixels).save(folder / "photos" / name / f"{index}.png")


def _reference(cache: Path, name: str) -> tuple[float, int]:
    """Return the seconds of an undisturbed run, and how many moments it has at which something is done to a file.

    Of a command that is killed in one phase, they are those from its begin on.
    """
    folder, kept = cache / f"{name}-reference", cache / f"{name}-reference.json"
    if not kept.is_file():
        seconds = _finish(cache, name, folder, count_in=cache / "events.json")
        write_json(kept, [seconds, read_json(cache / "events.json")])
    seconds, events = read_json(kept)
    return seconds, events


def _killed(cache: Path, name: str, number: int, *, seed: int, seconds: float, events: int) -> dict:
    """Return what was found of a kill: the moment, as text, and faults; from the cache if it is there."""
    kept = cache / f"{name}-{number}.json"
    if kept.is_file():
        return read_json(kept)
    rng = np.random.default_rng([seed, number, list(COMMANDS).index(name)])
    folder, reference = cache / "run", cache / f"{name}-reference"
    shutil.rmtree(folder, ignore_errors=True)
    phase = COMMANDS[name].phase
    if phase is None and number % 2:
        event = int(rng.integers(1, events + 1))
        moment = f"at moment {event} of {events} with a file"
        ended, _ = _in_child(lambda: _run(cache, name, folder, die_at=event))
    else:
        after = float(rng.uniform(0, seconds))
        moment = f"after {after:.1f} of {seconds:.1f} s{' of fine-tuning and later' if phase else ''}"
        begin = folder / phase if phase else None
        ended, _ = _in_child(lambda: _run(cache, name, folder), limit=after, begin=begin)
    faults = [] if ended in (0, -signal.SIGKILL) else [f"it ended with {ended}"]
    faults += half_written(folder, reference)
    _finish(cache, name, folder)
    faults += differences(folder, reference)
    found = {"moment": moment if ended else f"{moment}, when it was done", "faults": faults}
    write_json(kept, found)
    return found


def half_written(folder: Path, reference: Path) -> list[str]:
    """Return a text for each file under a final name that is not whole.

    Args:
        folder: What a killed run left.
        reference: What an undisturbed run left.
    """
    faults = []
    for path in _files(folder):
        same = reference / path
        if path.suffix in _SAME and (not same.is_file() or (folder / path).read_bytes() != same.read_bytes()):
            faults.append(f"{path} is another than that of an undisturbed run")
        if path.suffix == ".json":
            try:
                read_json(folder / path)
            except InputError as error:
                faults.append(str(error))
        if not (folder / path).stat().st_size:
            faults.append(f"{path} is empty")
    return faults


def differences(folder: Path, reference: Path) -> list[str]:
    """Return a text for each file that is missing, left over or another than an undisturbed run's.

    Args:
        folder: What a run left that was killed and run again.
        reference: What an undisturbed run left.
    """
    received, expected = (
        collections.Counter(_without_time(path) for path in _files(each, partial=True)) for each in (folder, reference)
    )
    faults = [f"{path} is missing" for path in sorted(expected - received)]
    faults += [f"{path} is left over" for path in sorted(received - expected)]
    for path in sorted(path for path in expected & received if path.name == _RESULT):
        found, wanted = (_fine_tuning(each / path) for each in (folder, reference))
        if found != wanted:
            faults.append(f"{path} tells of another fine-tuning than that of an undisturbed run")
    return faults + half_written(folder, reference)


def _without_time(path: Path) -> Path:
    """Return a path without the time at which TensorBoard's file of that name was begun."""
    return path.with_name(re.sub(r"(tfevents\.)\d+", r"\1TIME", path.name))


def _fine_tuning(path: Path) -> object:
    """Return what each epoch of a fine-tuning gave, which says that it went on exactly; None if there was none."""
    try:
        return read_json(path).get("finetuning")
    except InputError:  # it is half written, which is told of anyway
        return None


def _files(folder: Path, partial: bool = False) -> list[Path]:
    """Return the files of a folder; `partial`: those that are not finished too."""
    paths = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if partial or not path.name.startswith(_PARTIAL)]


def _finish(cache: Path, name: str, folder: Path, count_in: Path | None = None) -> float:
    """Run a command to its end, and return the seconds it took, in its phase if it is killed in one."""
    phase = COMMANDS[name].phase
    begin = folder / phase if phase else None
    code, seconds = _in_child(lambda: _run(cache, name, folder, count_in=count_in), begin=begin)
    if code:
        raise InputError(f"Expected {name} to end with 0, received {code}; what it said stands above.")
    return seconds


def _run(cache: Path, name: str, folder: Path, die_at: int = 0, count_in: Path | None = None) -> None:
    """Run a command on the network in a folder, in this process, which it may kill or count moments in."""
    command, material = COMMANDS[name], cache / "material"
    folder.mkdir(exist_ok=True)
    if command.on_model and not (folder / "model.keras").is_file():
        for path in material.glob("model.*"):
            shutil.copy(path, folder)
    arguments = command.arguments(folder, material)
    moments = [0]

    def told(event: str, details: tuple) -> None:
        if event in _EVENTS and str(folder) in str(details[0]):
            moments[0] += 1
            if moments[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(told)
    try:
        command_line.run(command.module.main, command.module.FLAGS, command.module.__doc__, arguments)
    finally:
        if count_in is not None:
            write_json(count_in, moments[0])


def _in_child(work: Callable[[], None], limit: float | None = None, begin: Path | None = None) -> tuple[int, float]:
    """Do some work in a process of its own; return how it ended and how long that took; what it says shows if it fails.

    The process is forked: what is imported is imported once for all. Nothing may be computed before.

    Args:
        work: What to do.
        limit: Seconds after which it gets SIGKILL.
        begin: A file from whose appearance on seconds count. None: from the start.
    """
    sys.stdout.flush()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _work_and_leave(work, said.fileno())
        ended, seconds = _wait(child, limit, begin)
        if ended not in (0, -signal.SIGKILL):
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
    return ended, seconds


def _work_and_leave(work: Callable[[], None], said: int) -> NoReturn:
    """Do some work, what it says going into an open file, and end the process."""
    code = 1
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        work()
        code = 0
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, limit: float | None, begin: Path | None) -> tuple[int, float]:
    """Wait for a process, which gets SIGKILL after some seconds; return how it ended and the seconds that count."""
    start = time.monotonic() if begin is None else None
    while True:
        if start is None and begin.exists():
            start = time.monotonic()
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if None not in (limit, start) and time.monotonic() >= start + limit:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(status), time.monotonic() - start if start else 0.0
