"""Write networks as float32 files, and check each against Keras and against the file of TensorFlow's converter.

    python tools/verify_floats.py [SUBJECT ...] [--image_size 96] [--skip_latency] [--page FILE.md]
    python tools/verify_floats.py lite=lite.keras [--data_dir PHOTOS]
    python tools/verify_floats.py carnet --trained --data_dir SPORTS

SUBJECT is the network of a published row; keras.applications/NAME for a model that comes with Keras, and
keras.applications for all that are known to work; random/SEED for a small random model, and random for --random_models
of them; or NAME=FILE for a trained Keras model with its information file beside it. Without any it is all published
networks, keras.applications and random. Weights are known random ones, or with --trained those that are kept in
weights/. DATA is a folder of images, one with CIFAR's python files (scaled), or `shapes`.

A new file must give Keras' outputs within 1e-4 of the largest and within twice what the stock file is off by; have no
more operators, parts and operators outside XNNPACK; and take no more than 1.02 times as long. What is finished is kept
in the cache until code of the package changes. One line a subject; one that falls short is an error.
"""

import dataclasses
import functools
import gc
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

from checks import random_blocks
from checks.float_figures import Figures, compare_files
from checks.float_page import page
from checks.other_models import APPLICATIONS, NAMES, other_models
from checks.subjects import build_published, code_hash, published_networks, read_images
from keras_lite import published
from keras_lite.applications.kept_weights import list_weights
from keras_lite.cli import command_line
from keras_lite.data import Preprocessing
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputError, import_extra
from keras_lite.export.trained_model import keras_file, open_trained_model
from keras_lite.files import read_json, write_json, write_text
from keras_lite.graph import in_float32

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Where images come from.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/verify-floats", "Where finished subjects are kept.", flag_values=FLAGS)
flags.DEFINE_integer(
    "image_size", None, "Largest height and width. Default: each network's own.", 32, flag_values=FLAGS
)
flags.DEFINE_integer("images", 16, "Images to compare.", 1, flag_values=FLAGS)
flags.DEFINE_integer("random_models", 200, "How many `random` stands for.", 1, flag_values=FLAGS)
flags.DEFINE_boolean("trained", False, "Kept weights instead of random ones.", flag_values=FLAGS)
flags.DEFINE_boolean("skip_latency", False, "Leave out the latency.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Also write the table here, as Markdown.", flag_values=FLAGS)

RANDOM = "random/"
# The height and width that models of keras.applications have by themselves, where it is not 224; and the least.
_APPLICATION_SIZES, _APPLICATION_SIZE, _LEAST_APPLICATION = {"Xception": 299}, 224, 75
# Where the code is that a result depends on.
_ROOMS = ("applications", "export", "graph", "layers", "litert", "published", "quantization")
_PACKAGES = ("keras", "tensorflow", "tf-keras", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network to check.

    Args:
        name: Its name.
        key: What its figures depend on besides the code and the flags.
        read: From `data_dir` and a number to that many preprocessed images.
        build: From images to the model; they set the statistics of random weights.
    """

    name: str
    key: Any
    read: Callable[[str, int], np.ndarray]
    build: Callable[[np.ndarray], keras.Model]


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Check the named subjects, or all."""
    for module in ("tf_keras", "ai_edge_litert.interpreter"):
        import_extra(module, "quantization")
    subjects = choose_trained(positional) if values.trained else choose(positional, values)
    code, finished, failed = code_hash(_ROOMS, _PACKAGES), [], {}
    for number, subject in enumerate(subjects, start=1):
        try:
            figures = _figures(subject, values, code)
            missed = figures.shortcomings()
            finished.append(figures)
        # Whatever a subject raises, the others are checked too.
        except Exception as error:
            missed = [f"{type(error).__name__}: {' '.join(str(error).split())}"]
        if missed:
            failed[subject.name] = missed
        verdict = f"falls short: {'; '.join(missed)}" if missed else "passes"
        print(f"{number}/{len(subjects)} {subject.name}: {verdict}", flush=True)
    print(f"{len(subjects) - len(failed)} of {len(subjects)} subjects meet every demand; {len(failed)} fall short.")
    if values.page is not None:
        write_text(values.page, page(finished, failed, _command(positional, values), values.data_dir))
    if failed:
        raise InputError(f"Expected every float32 file to pass, received {len(failed)} that fall short, above.")


def choose(names: list[str], values: flags.FlagValues) -> list[Subject]:
    """Return the subjects that the command line names; without any, all but trained ones.

    Raises:
        InputError: If one is unknown.
    """
    rows, limit = published_networks(), values.image_size
    known: dict[str, Callable[[], Subject]] = {
        **{name: functools.partial(_published, row, limit) for name, row in rows.items()},
        **{f"{APPLICATIONS}{name}": functools.partial(_application, name, limit) for name in NAMES},
        **{f"{RANDOM}{seed}": functools.partial(_random, seed) for seed in range(values.random_models)},
    }
    subjects = []
    for name in names or [*rows, APPLICATIONS.rstrip("/"), RANDOM.rstrip("/")]:
        label, assigned, file = name.partition("=")
        if assigned:
            subjects.append(_trained_file(label, file))
        elif name in known:
            subjects.append(known[name]())
        elif f"{name}/" in (APPLICATIONS, RANDOM):
            subjects += [make() for each, make in known.items() if each.startswith(f"{name}/")]
        else:
            raise InputError(
                f"Expected NAME=FILE, keras.applications, random, or one of {', '.join(known)}; received {name!r}."
            )
    return subjects


def choose_trained(names: list[str]) -> list[Subject]:
    """Return what the command line names, or all, of the networks with kept weights.

    Raises:
        InputError: If one is unknown.
    """
    subjects = {}
    for kept in list_weights():
        row = published.get(kept.row)
        subjects[row.network] = Subject(
            f"{row.network}-{kept.name}",
            kept.sha256,
            functools.partial(_read, Preprocessing(**kept.preprocessing)),
            functools.partial(build_published, row, kept=kept),
        )
    if unknown := [name for name in names if name not in subjects]:
        raise InputError(f"Expected networks with kept weights, {', '.join(subjects)}; received {unknown[0]!r}.")
    return [subjects[name] for name in names or subjects]


def _published(row: published.Row, limit: int | None) -> Subject:
    size = tuple(min(pixels, limit or pixels) for pixels in row.input[:2])
    read = functools.partial(_read, Preprocessing(size))
    return Subject(row.network, [row.id, size], read, functools.partial(build_published, row))


def _application(name: str, limit: int | None) -> Subject:
    own = _APPLICATION_SIZES.get(name, _APPLICATION_SIZE)
    size = max(_LEAST_APPLICATION, min(own, limit or own))
    model = other_models()[f"{APPLICATIONS}{name}"]
    return Subject(
        model.name,
        size,
        functools.partial(_read, model.preprocessing(size)),
        lambda images: model.with_known_weights(images),
    )


def _random(seed: int) -> Subject:
    return Subject(
        f"{RANDOM}{seed}",
        hashlib.sha256(Path(random_blocks.__file__).read_bytes()).hexdigest(),
        lambda data_dir, count: random_blocks.random_images(seed, count),
        lambda images: random_blocks.random_model(seed),
    )


def _trained_file(name: str, file: str) -> Subject:
    path, model, info = open_trained_model(keras_file(file))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    read = functools.partial(_read, info.preprocessing)
    return Subject(name, [digest, info.preprocessing.to_dict()], read, lambda images: in_float32(model))


def _read(preprocessing: Preprocessing, data_dir: str, count: int) -> np.ndarray:
    return read_images(data_dir, preprocessing, count)


def _figures(subject: Subject, values: flags.FlagValues, code: str) -> Figures:
    """Return a subject's figures, from the cache if they are there."""
    latency = not values.skip_latency
    settings = [subject.name, subject.key, values.data_dir, values.images, keras.backend.backend(), code]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    cached = Path(values.cache_dir, f"{subject.name}.json")
    found = read_json(cached) if cached.is_file() else {}
    if found.get("key") == key and (found["figures"]["latencies"] or not latency):
        return Figures.from_dict(found["figures"])
    images = subject.read(values.data_dir, values.images)
    figures = compare_files(subject.name, subject.build(images), images, latency)
    write_json(cached, {"key": key, "figures": dataclasses.asdict(figures)})
    keras.backend.clear_session()
    gc.collect()
    return figures


def _command(positional: list[str], values: flags.FlagValues) -> str:
    names = [f"{label}={label}.keras" if file else label for label, _, file in (n.partition("=") for n in positional)]
    given = [f"--{name}" for name in ("trained", "skip_latency") if values[name].value]
    given += [f"--image_size {values.image_size}"] if values.image_size else []
    return " ".join(["python tools/verify_floats.py", *names, *given, f"--images {values.images}", "--page FILE"])
