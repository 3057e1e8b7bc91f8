"""Convert networks to int8 and check the files, without any training: all published ones, or those that are named.

    python tools/verify_int8.py [NETWORK ...] [--data_dir DATA] [--cache_dir DIR]
    python tools/verify_int8.py carnet --trained --data_dir SPORTS

NETWORK is the network of a published row. Each gets known random weights, so that nothing need be trained or
downloaded, or with --trained those that are kept in weights/, on images like those it was trained with; ranges come
from some images, and others are compared. DATA is a folder with images, a folder with CIFAR's python files (scaled to
the network's size), or `shapes`. A finished network is kept in the cache and not converted again until its code
changes. One line a network, then a table; a network that falls short is an error.
"""

import dataclasses
import functools
import gc
import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags

from checks.int8_figures import Figures, convert_and_measure, made_with
from checks.subjects import build_published, code_hash, published_networks, read_images
from keras_lite import published
from keras_lite.applications.kept_weights import KeptWeights, list_weights
from keras_lite.cli import command_line
from keras_lite.data import Preprocessing
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputError
from keras_lite.export.tflite import check_installed
from keras_lite.files import read_json, write_json, write_text
from keras_lite.tables import markdown_table, text_table
from keras_lite.training.environment import processor

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Where images come from.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/verify-int8", "Where finished networks are kept.", flag_values=FLAGS)
flags.DEFINE_integer("calibration_images", 256, "Images that set the ranges.", 1, flag_values=FLAGS)
flags.DEFINE_string("page", None, "Also write the table here, as Markdown.", flag_values=FLAGS)
flags.DEFINE_boolean("trained", False, "Kept weights instead of random ones.", flag_values=FLAGS)
flags.DEFINE_integer("images", 64, "Other images, to compare.", 2, flag_values=FLAGS)

# Where the code is that a result depends on.
_ROOMS = ("applications", "export", "graph", "layers", "litert", "published", "quantization", "runtime")
_PACKAGES = ("keras", "tensorflow", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class _Subject:
    """A network to check: its name, what else its figures depend on, its input, and the function that checks it.

    `random` says whether its weights are; then what a control falls short of is no fault of the file.
    """

    name: str
    key: Any
    preprocessing: Preprocessing
    _: dataclasses.KW_ONLY
    attention: bool
    random: bool
    verify: Callable[[np.ndarray, np.ndarray], Figures]


def verify(row: published.Row, images: np.ndarray, others: np.ndarray, kept: KeptWeights | None = None) -> Figures:
    """Convert a row's network, and compare its int8 file.

    Args:
        row: The published row.
        images: Preprocessed images that set the ranges.
        others: Preprocessed images to compare.
        kept: The network's weights; by default known random ones.

    Raises:
        InputError: If it can't be converted or run.
        MissingExtraError: If the litert extra is not installed.
    """
    start = time.monotonic()
    model = build_published(row, images, kept)
    with tempfile.TemporaryDirectory() as folder:
        return convert_and_measure(
            row.network, model, images, others=others, path=Path(folder, "int8.tflite"), start=start
        )


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Check the named networks, or all."""
    check_installed("int8")
    chosen = _choose_trained(positional) if values.trained else _choose(positional)
    code = code_hash(_ROOMS, _PACKAGES)
    images: dict[Preprocessing, np.ndarray] = {}
    results, passed, failed = [], 0, []
    for number, subject in enumerate(chosen, start=1):
        settings = [subject.name, subject.key, values.data_dir, values.calibration_images, values.images, code]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        cached = Path(values.cache_dir, f"{subject.name}.json")
        found = read_json(cached) if cached.is_file() else {}
        if found.get("key") != key:
            if subject.preprocessing not in images:
                count = values.calibration_images + values.images
                images = {subject.preprocessing: read_images(values.data_dir, subject.preprocessing, count)}
            calibration, others = np.split(images[subject.preprocessing], [values.calibration_images])
            found = {"key": key, "figures": dataclasses.asdict(subject.verify(calibration, others))}
            write_json(cached, found)
            keras.backend.clear_session()
            gc.collect()
        figures = Figures.from_dict(found["figures"])
        missed = figures.shortcomings(subject.attention)
        shared = figures.shared_with_control() if subject.random else []
        alone = [text for text in missed if text not in shared]
        verdict = f"falls short: {', '.join(alone)}" if alone else "passes" if not missed else "as good as the control"
        if shared:
            verdict += f"; the control too: {', '.join(shared)}"
        print(f"{number}/{len(chosen)} {subject.name}: {verdict} ({figures.seconds:.0f} s)", flush=True)
        results.append(figures)
        passed += not missed
        failed += [subject.name] if alone else []
    table = text_table([_HEAD, *map(_line, results)])
    print(f"\n{table}\n{passed} of {len(chosen)} networks meet every demand; {len(failed)} fall short.")
    if values.page is not None:
        weights = "kept" if values.trained else "random"
        text = published_page(results, weights, values.data_dir, values.calibration_images, values.images)
        write_text(values.page, text)
    if failed:
        raise InputError(f"Expected every int8 file to pass, received {len(failed)} that fall short, above.")


def _choose(names: list[str]) -> list[_Subject]:
    """Return what the command line names: published networks, all if it names none."""
    rows = published_networks()
    if unknown := [name for name in names if name not in rows]:
        raise InputError(f"Expected networks out of: {', '.join(rows)}; received {unknown[0]!r}.")
    return [
        _Subject(
            name,
            rows[name].id,
            Preprocessing(rows[name].input[:2]),
            attention=rows[name].variant == "efficientformer",
            random=True,
            verify=functools.partial(verify, rows[name]),
        )
        for name in names or rows
    ]


def _choose_trained(names: list[str]) -> list[_Subject]:
    """Return what the command line names, or all, of the networks with kept weights."""
    subjects = {}
    for kept in list_weights():
        row = published.get(kept.row)
        check = functools.partial(verify, row, kept=kept)
        preprocessing = Preprocessing(**kept.preprocessing)
        subjects[row.network] = _Subject(
            f"{row.network}-{kept.name}",
            kept.sha256,
            preprocessing,
            attention=row.variant == "efficientformer",
            random=False,
            verify=check,
        )
    if unknown := [name for name in names if name not in subjects]:
        raise InputError(f"Expected networks with kept weights, {', '.join(subjects)}; received {unknown[0]!r}.")
    return [subjects[name] for name in names or subjects]


_HEAD = (
    "network",
    "int8",
    "partitions",
    "std",
    "range",
    "equal",
    "within 1",
    "correlation",
    "fake",
    "outside",
)


def _line(figures: Figures) -> tuple[str, ...]:
    return (
        figures.network,
        "yes" if figures.int8_only else "no",
        str(figures.partitions),
        f"{figures.deviation:.1f}",
        f"{figures.range_ratio:.2f}",
        f"{figures.equal:.1%}",
        f"{figures.within_one:.1%}",
        f"{figures.correlation:.4f}",
        f"{figures.fake_correlation:.4f}",
        ", ".join(figures.not_delegated),
    )


def published_page(
    results: list[Figures], weights: str, data_dir: str, calibration_images: int, compared_images: int
) -> str:
    """Return the Markdown page of what was found of published networks.

    Args:
        results: What `verify` returned.
        weights: Whose weights: `"random"` or `"kept"`.
        data_dir: Where the images came from.
        calibration_images: How many of them set the ranges.
        compared_images: How many others were compared.
    """
    left = [index for index, name in enumerate(_HEAD) if name in ("network", "int8", "outside")]
    table = markdown_table([_HEAD, *map(_line, results)], left)
    return f"""# Published networks as int8 files

Written by `python tools/verify_int8.py --page FILE`, on {processor()}: {weights} weights, no training, images of
{Path(data_dir).name} at each network's size, {calibration_images} to set the ranges and {compared_images} others to
compare.

{table}

- **int8**: whether every operator takes and gives int8 alone. **partitions**: parts that XNNPACK runs; **outside**:
  operators that it does not.
- **std**: the median over the classes of a logit's standard deviation over the images, in steps of the output.
  **range**: the output's range as a multiple of the span of the float model's logits.
- **equal**, **within 1**: logits that are those of the quantized model, or a step from them at most, computed in whole
  numbers (`keras_lite.litert.IntegerModel`).
- **correlation**: of the file's outputs with the float model's, as deviations from their mean over the images.
  **fake**: that of the quantized model, without any file. With random weights what changes from image to image
  is a few steps, and each rounding counts; `--trained` shows networks with weights that are kept of a training.

{made_with()}.
"""
