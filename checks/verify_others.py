"""Convert models of other packages to float32 and int8 files and check them, without training or downloads.

    python tools/verify_others.py [NAME ...] [--image_size 96] [--page FILE.md] [--max_minutes 30]

NAME is a model of `checks.other_models`, keras.applications/MobileNet for one; keras.applications, keras_hub and
keras_cv stand for all of theirs, and so does no name at all. A finished model is kept in the cache with its files
(gigabytes) and not converted again until its code changes; --max_minutes ends the run early, and the page says which
models are left. What a package that is missing holds is left, too. On a busy machine --skip_latency leaves out the
latency; another run measures the files that are there. A file that is not its model's is an error.
"""

import dataclasses
import gc
import hashlib
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

from checks.int8_figures import Figures, FloatFigures, convert_and_measure
from checks.other_models import OtherModel, other_models
from checks.other_models_page import page
from checks.subjects import code_hash, read_images
from keras_lite.cli import command_line
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputError
from keras_lite.export.tflite import check_installed
from keras_lite.files import read_json, write_json, write_text
from keras_lite.litert import write
from keras_lite.profiling import profile
from keras_lite.quantization.lower import lower
from keras_lite.quantization.lower.int8.state import NotInInt8Error
from keras_lite.runtime.benchmark import benchmark_files
from keras_lite.runtime.inspection import inspect
from keras_lite.runtime.runner import run_in_subprocess

FLAGS = command_line.new_flags()
flags.DEFINE_string("cache_dir", "build/verify-others", "Where finished models are kept.", flag_values=FLAGS)
flags.DEFINE_integer("image_size", 96, "Height and width of the images.", 75, flag_values=FLAGS)
flags.DEFINE_integer("images", 16, "Images for the ranges; half as many are compared.", 4, flag_values=FLAGS)
flags.DEFINE_integer("max_minutes", None, "Begin no other model after so long; 0: at all.", 0, flag_values=FLAGS)
flags.DEFINE_boolean("skip_latency", False, "Leave out the latency.", flag_values=FLAGS)
flags.DEFINE_string("page", None, "Also write the table here, as Markdown.", flag_values=FLAGS)

_ROOMS = ("export", "graph", "layers", "litert", "quantization", "runtime")
_PACKAGES = ("keras", "tensorflow", "ai-edge-litert")
_RUNS = 30
# How far a float32 file may be off, as a share of the largest output; a deep network of random weights blows up the
# rounding of float32 so much that Keras itself is farther off, and this many times that is allowed.
_ROUNDING, _KERAS = 1e-4, 2.0


def verify(model: OtherModel, images: np.ndarray, others: np.ndarray, files: list[Path]) -> dict[str, Any]:
    """Convert a model with known random weights and compare its files.

    Args:
        model: The model.
        images: Preprocessed images that set the ranges.
        others: Preprocessed images to compare.
        files: Where to write the float32 file and the int8 one.

    Returns:
        `float32`, the entries of `FloatFigures`, without latencies; `int8`, those of `Figures`, or None; `refused`, why
        there is no int8 file; `seconds`.

    Raises:
        InputError: If it can't be converted to float32, or a file can't be run.
    """
    start = time.monotonic()
    built = model.with_known_weights(images)
    size, ours = profile(built), np.asarray(built.predict(others, verbose=0))
    exact = model.exact_outputs(built, others)
    figures, refused = None, "not tried: a float32 file alone" if model.float_only else None
    files[0].write_bytes(write(lower(built)))
    received = run_in_subprocess(files[0], others)
    try:
        if not model.float_only:
            figures = convert_and_measure(
                model.name, built, images, others=others, path=files[1], start=start, rounded=True
            )
    except NotInInt8Error as error:
        refused = str(error)
    float32 = FloatFigures(
        parameters=size.parameters,
        macs=size.macs,
        difference=float(np.abs(received - exact).max() / np.abs(exact).max()),
        keras_difference=float(np.abs(ours - exact).max() / np.abs(exact).max()),
        partitions=inspect(files[0]).partitions,
        latency_ms=0.0,
        int8_latency_ms=0.0,
    )
    return {
        "float32": dataclasses.asdict(float32),
        "int8": None if figures is None else dataclasses.asdict(figures),
        "refused": refused,
        "seconds": round(time.monotonic() - start, 1),
    }


def latencies(files: list[Path]) -> dict[str, float]:
    """Return the median latency of the float32 file, and of the int8 one if it is given, which take turns."""
    medians = [each.latencies[0].median for each in benchmark_files(files, threads=[1], runs=_RUNS)]
    return dict(zip(("latency_ms", "int8_latency_ms"), medians, strict=False))


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Check the named models, or all."""
    check_installed("int8")
    start, found, left = time.monotonic(), {}, {}
    code = code_hash(_ROOMS, _PACKAGES, [Path(__file__).with_name("other_models.py")])
    chosen = _choose(positional)
    for number, model in enumerate(chosen, start=1):
        settings = [model.name, values.image_size, values.images, code]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        cached = Path(values.cache_dir, f"{model.name.replace('/', '-')}.json")
        files = [cached.with_name(f"{cached.stem}-{precision}.tflite") for precision in ("float32", "int8")]
        result = read_json(cached) if cached.is_file() else {}
        if result.get("key") != key:
            if importlib.util.find_spec(model.package) is None:
                left[model.name] = f"{model.package} is not installed"
                continue
            if values.max_minutes is not None and time.monotonic() - start >= 60 * values.max_minutes:
                left[model.name] = "not run yet"
                continue
            images = read_images(SHAPES, model.preprocessing(values.image_size), values.images * 3 // 2)
            calibration, others = np.split(images, [values.images])
            cached.parent.mkdir(parents=True, exist_ok=True)
            cached.unlink(missing_ok=True)
            result = {"key": key, **verify(model, calibration, others, files)}
            write_json(cached, result)
            keras.backend.clear_session()
            gc.collect()
        if not (values.skip_latency or result["float32"]["latency_ms"]):
            result["float32"] |= latencies(files if result["int8"] else files[:1])
            write_json(cached, result)
        found[model.name] = result
        verdict = ", ".join(shortcomings(result)) or result["refused"] or "passes"
        print(f"{number}/{len(chosen)} {model.name}: {verdict} ({result['seconds']:.0f} s)", flush=True)
        if values.page is not None:
            waiting = {each.name: "not run yet" for each in chosen[number:]}
            write_text(values.page, page(found, {**left, **waiting}, values.image_size, values.images))
    failed = [name for name, result in found.items() if shortcomings(result)]
    print(f"{len(found) - len(failed)} of {len(found)} models pass; {len(left)} left.")
    if failed:
        raise InputError(f"Expected every file to be its model's, received {len(failed)} that are not, above.")


def shortcomings(result: dict[str, Any]) -> list[str]:
    """Return one text for each demand that a result of `verify` misses.

    Quality is not judged: a deep network of random weights blows up every rounding.
    """
    missed, float32 = [], result["float32"]
    limit = max(_ROUNDING, _KERAS * float32["keras_difference"])
    if float32["difference"] > limit:
        missed.append(f"float32 file off by {float32['difference']:.1e} > {limit:.1e}")
    if result["int8"] is not None:
        figures = Figures.from_dict(result["int8"])
        missed += [text for text in figures.shortcomings(attention=True) if "quantized model" in text]
    return missed


def _choose(names: list[str]) -> list[OtherModel]:
    known = other_models()
    chosen: dict[str, OtherModel] = {}
    for name in names or ["keras.applications", "keras_hub", "keras_cv"]:
        some = {each: model for each, model in known.items() if each == name or each.startswith(f"{name}/")}
        if not some:
            raise InputError(f"Expected models out of: {', '.join(known)}; received {name!r}.")
        chosen |= some
    return [model for name, model in known.items() if name in chosen]
