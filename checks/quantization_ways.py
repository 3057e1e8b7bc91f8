#!/usr/bin/env python3
"""How close int8 files stay to their float model, by the ways that there are: on photos that set nothing.

    python checks/quantization_ways.py --cifar_dir CIFAR100 --photos_dir PHOTOS [NAME=MODEL.keras ...]
        [--networks resnet20,...] [--ways stock,litert_quantizer,before,post_training,default] [--smoke]
        [--against CHECKOUT] [--litert_quantizer PYTHON]

Networks are three with kept weights (resnet20 and mobilenetv3_large, on CIFAR-100; carnet18, on PHOTOS) and any others
that are named, each with its information file (.json) beside it; their photos are PHOTOS. CIFAR100 is the folder of its
python files, PHOTOS has the folders train, valid and test of photos at any depth.

The way "before" is the post_training of CHECKOUT, an older one of this repository (with TF-MOT); PYTHON is one of an
environment with litert-quantizer 0.11 and ai-edge-litert. Without these flags the two ways are left out.

Each network and way is measured in a process of its own and kept in the cache; the same command goes on where it was.
To measure something anew, remove its .json there; with float.json all of a network is measured anew. The page is
written at the end.

Hardware: any CPU. Expected time: hours; --smoke, with a handful of photos, takes minutes.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checks import ways_page
from checks.int8_figures import made_with
from checks.ways import FULL, FULL_LARGE, KEPT, LARGE, SEED, SMOKE, Subject, kept_by_command, measure, same_start
from checks.ways_page import BEFORE, DEFAULT, FLOAT, LITERT_QUANTIZER, POST_TRAINING, STOCK, TITLES
from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.files import atomic_path, read_json, write_json, write_text
from keras_lite.training.environment import processor

# Way -> the flag that it needs.
_NEEDED = {LITERT_QUANTIZER: "litert_quantizer", BEFORE: "against"}
WAYS = [STOCK, LITERT_QUANTIZER, BEFORE, POST_TRAINING, DEFAULT]

FLAGS = command_line.new_flags()
flags.DEFINE_string("cifar_dir", None, "CIFAR-100's python files.", flag_values=FLAGS)
flags.DEFINE_string("photos_dir", None, "Photos in train, valid and test.", flag_values=FLAGS)
flags.DEFINE_list("networks", None, "Only these. Default: all.", flag_values=FLAGS)
flags.DEFINE_list("ways", WAYS, "Only these.", flag_values=FLAGS)
flags.DEFINE_string("against", None, "Folder of an older checkout.", flag_values=FLAGS)
flags.DEFINE_string("litert_quantizer", None, "Python of an environment with litert-quantizer.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/quantization-ways", "Where what is finished is kept.", flag_values=FLAGS)
flags.DEFINE_string("page", "results/quantization_ways.md", "Page to write. Smoke writes none.", flag_values=FLAGS)
flags.DEFINE_boolean("smoke", False, "A handful of photos: does it run?", flag_values=FLAGS)
flags.DEFINE_string("unit", None, "For its own use: the one network,way to measure.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure what is not in the cache, and write the page."""
    subjects = _subjects(values, positional)
    if unknown := [way for way in values.ways if way not in WAYS]:
        raise InputError(f"Expected --ways out of {', '.join(WAYS)}; received {unknown[0]!r}.")
    if values.unit is not None:
        name, way = values.unit.split(",")
        _measure(next(subject for subject in subjects if subject.name == name), way)
        return
    names = [subject.name for subject in subjects]
    if unknown := [name for name in values.networks or [] if name not in names]:
        raise InputError(f"Expected --networks out of {', '.join(names)}; received {unknown[0]!r}.")
    failed = []
    for subject in [subject for subject in subjects if subject.name in (values.networks or names)]:
        ways = [FLOAT, *(way for way in WAYS if way in values.ways)]
        ways = [way for way in ways if way not in _NEEDED or values[_NEEDED[way]].value is not None]
        for way in ways:
            if _found(subject, way) is None and not _run(subject, way):
                failed.append(f"{subject.name} {way}")
                if way == FLOAT:
                    break
    networks = [network for subject in subjects if (network := _network(subject))]
    text = ways_page.page(networks, _facts(values, positional, subjects))
    print(f"\n{text}")
    # Not before all is measured: a changed page of the repository would make each commit one "with changes".
    if not values.smoke:
        write_text(values.page, text)
    if failed:
        raise InputError(f"Expected every process to end well, received {len(failed)} that did not: {failed}.")


def _subjects(values: flags.FlagValues, positional: list[str]) -> list[Subject]:
    files = dict(argument.partition("=")[::2] for argument in positional)
    if wrong := [name for name, file in files.items() if not file or name in KEPT or not name.isidentifier()]:
        raise InputError(f"Expected NAME=MODEL.keras with a new name, received {wrong[0]!r}.")
    files = dict.fromkeys(KEPT) | files
    subjects = [Subject(name, file, values) for name, file in files.items()]
    for flag, needed in (("cifar_dir", True), ("photos_dir", False)):
        if any(subject.on_cifar == needed for subject in subjects) and not Path(values[flag].value or "").is_dir():
            raise InputError(f"Expected a folder as --{flag}, received {values[flag].value}.")
    return subjects


def _found(subject: Subject, way: str) -> dict[str, Any] | None:
    """Return what is kept of a way: facts, and `outputs`."""
    file = subject.folder / f"{way}.json"
    facts = read_json(file) if file.is_file() else {}
    if facts.get("key") != subject.key:
        return None
    return facts | {"outputs": np.load(file.with_suffix(".outputs.npy"))}


def _measure(subject: Subject, way: str) -> None:
    """Measure one way in this process and keep what is found."""
    subject.folder.mkdir(parents=True, exist_ok=True)
    if way == FLOAT:
        # What was made from an older one goes with it.
        for file in subject.folder.glob("*.json"):
            file.unlink()
    start = time.monotonic()
    outputs, facts = measure(subject, way)
    facts["seconds"] = round(time.monotonic() - start, 1)
    facts["made_with"] = f"{processor()}, {made_with()}"
    facts["without_onednn"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0"
    with atomic_path(subject.folder / f"{way}.outputs.npy") as temporary:
        np.save(temporary, outputs)
    write_json(subject.folder / f"{way}.json", {"key": subject.key, **facts})


def _run(subject: Subject, way: str) -> bool:
    """Measure one way in a process of its own, a second time without oneDNN if that process dies; say how it went."""
    print(f"{time.strftime('%H:%M:%S')} {subject.name} {way} ...", end=" ", flush=True)
    subject.folder.mkdir(parents=True, exist_ok=True)
    log = subject.folder / f"{way}.log"
    command = [sys.executable, __file__, *sys.argv[1:], f"--unit={subject.name},{way}"]
    # Unbuffered: a process that dies leaves what it said.
    here = os.environ | {"PYTHONUNBUFFERED": "1"}
    with log.open("w") as output:
        for variables in (here, here | {"TF_ENABLE_ONEDNN_OPTS": "0"}):
            ended = subprocess.run(command, env=variables, stdout=output, stderr=subprocess.STDOUT, check=False)
            if found := _found(subject, way):
                print(f"{found['seconds']:.0f} s", flush=True)
                return True
            print(f"ended with {ended.returncode}, see {log};", end=" ", flush=True)
    print("not measured", flush=True)
    return False


def _network(subject: Subject) -> ways_page.Network | None:
    """Return what is known of a network, if the float model and `post_training` are."""
    found = {way: facts for way in (FLOAT, *TITLES) if (facts := _found(subject, way))}
    if not {FLOAT, POST_TRAINING} <= set(found):
        return None
    expected, other = found[FLOAT]["outputs"], found[POST_TRAINING]["outputs"]
    default = found.get(DEFAULT)
    return ways_page.Network(
        name=subject.name,
        pixels=found[FLOAT]["pixels"],
        classes=found[FLOAT]["classes"],
        parameters=found[FLOAT]["parameters"],
        ways={
            way: ways_page.closeness(expected, facts["outputs"], other) for way, facts in found.items() if way != FLOAT
        },
        kept=default and kept_by_command(default["result"]),
        same_start=default and same_start(default["result"]["post_training"], found[POST_TRAINING]["post_training"]),
        without_onednn=tuple(way for way, facts in found.items() if facts["without_onednn"]),
    )


def _facts(values: flags.FlagValues, positional: list[str], subjects: list[Subject]) -> dict[str, Any]:
    """Return what the page says of how it was made."""
    others = "".join(f" {name}={name}.keras" for name, _, _ in (each.partition("=") for each in positional))
    found = {(each.name, way): _found(each, way) or {} for each in subjects for way in (FLOAT, *TITLES)}
    made = {facts["made_with"] for facts in found.values() if facts}
    before = {facts["commit"] for (_, way), facts in found.items() if way == BEFORE and facts}
    sizes, large = (SMOKE, SMOKE) if values.smoke else (FULL, FULL_LARGE)
    return {
        "command": f"python checks/quantization_ways.py --cifar_dir CIFAR100 --photos_dir SPORTS100{others}",
        "before": ", ".join(sorted(before)) or "(not measured yet)",
        "calibration": sizes.calibration,
        "given": sizes.calibration + sizes.training,
        "given_large": large.calibration + large.training,
        "large": LARGE,
        "seed": SEED,
        "made_with": "; ".join(sorted(made)),
    }


if __name__ == "__main__":
    command_line.run(main, FLAGS, __doc__)
