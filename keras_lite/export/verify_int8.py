"""Convert every published network to int8 and check the files, without any training.

    python -m keras_lite.export.verify_int8 [NETWORK ...] [--data_dir DATA] [--cache_dir DIR]

Each network gets known random weights, so that nothing need be trained or downloaded; ranges come from some images,
and others are compared. DATA is a folder with images, a folder with CIFAR's python files (scaled to the network's
size), or `shapes`. A finished network is kept in the cache and not converted again until its code changes. One line a
network, then a table; a network that falls short is an error.
"""

import dataclasses
import gc
import hashlib
import importlib.metadata
import json
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np
from absl import flags
from PIL import Image

from keras_lite import command_line, published
from keras_lite.checkpoints import load_torch_state_dict, to_torch_state_dict
from keras_lite.data import Preprocessing, make_shapes
from keras_lite.data.cifar import find_cifar
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputError, import_extra
from keras_lite.export.conversion import convert
from keras_lite.export.inspection import inspect
from keras_lite.export.runner import run_in_subprocess
from keras_lite.export.samples import read_samples
from keras_lite.export.verification import compare
from keras_lite.files import read_json, write_json
from keras_lite.graph import flatten
from keras_lite.profiling import format_table
from keras_lite.quantization import calibrate, quantize_aware

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Where images come from.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/verify-int8", "Where finished networks are kept.", flag_values=FLAGS)
flags.DEFINE_integer("calibration_images", 256, "Images that set the ranges.", 1, flag_values=FLAGS)
flags.DEFINE_integer("images", 64, "Other images, to compare.", 2, flag_values=FLAGS)

# Code that a result does not depend on.
_OTHER_ROOMS = ("data", "ledger", "training")
# Images that batch normalisation's statistics are taken of.
_STATISTICS = 64
_PACKAGES = ("keras", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was found of one network's int8 file.

    Args:
        network: The network, `keras_lite.published.Row.network`.
        int8_only: Whether every operator takes and gives int8 alone.
        partitions: Parts that XNNPACK runs.
        not_delegated: Names of the operators outside of those, each once.
        deviation: Median over the classes of a logit's standard deviation over the images, in quantisation steps.
        range_ratio: Width of the output's range, as a multiple of the span of the float model's logits.
        within_one: Share of logits at most one step away from the fake-quantised model's.
        correlation: With the float model, of the deviations from the mean answer.
        fake_correlation: The fake-quantised model's with the float model: what 8 bits cost, whoever computes them.
        shaken_within_one: As `within_one`, of the fake-quantised model's own logits when one in a thousand numbers of
            its input moves by a step: about as many as differ behind a file's first operator, where a sum lies between
            two steps. Where depth makes much of it, no file can be closer.
        seconds: What it took.
    """

    network: str
    int8_only: bool
    partitions: int
    not_delegated: list[str]
    deviation: float
    range_ratio: float
    within_one: float
    correlation: float
    fake_correlation: float
    shaken_within_one: float
    seconds: float

    def shortcomings(self, attention: bool = False) -> list[str]:
        """Return one text for each demand that the file misses.

        Args:
            attention: Whether the network has attention, which XNNPACK does not run in int8 as a whole.
        """
        demands = {
            "not int8 only": self.int8_only,
            f"{self.partitions} partitions": attention or (self.partitions == 1 and not self.not_delegated),
            f"logits spread over {self.deviation:.1f} < 8 steps": self.deviation >= 8,
            f"output range {self.range_ratio:.2f} > 1.5 times the logits": self.range_ratio <= 1.5,
            f"{self.within_one:.1%} < 99% within a step": self.within_one >= 0.99,
            f"correlation {self.correlation:.3f} < 0.98": self.correlation >= 0.98,
        }
        return [text for text, met in demands.items() if not met]

    def shared_with_control(self) -> list[str]:
        """Return those of `shortcomings` that are the random network's, not the file's: a control has them too.

        A deep network of random weights blows up every rounding. The control for the correlation is the fake-quantised
        model, computed in floats; for the share within a step that model against itself, its input shaken; for the
        spread a range that is no wider than the logits.
        """
        shared = {
            f"{self.within_one:.1%} < 99% within a step": self.within_one >= self.shaken_within_one - 0.05,
            f"correlation {self.correlation:.3f} < 0.98": self.correlation >= max(0.3, self.fake_correlation - 0.05),
            f"logits spread over {self.deviation:.1f} < 8 steps": self.deviation > 1 and self.range_ratio <= 1.5,
        }
        return [text for text in self.shortcomings() if shared.get(text)]


def verify(row: published.Row, images: np.ndarray, others: np.ndarray) -> Figures:
    """Convert a row's network, with known random weights, and compare its int8 file.

    Args:
        row: The published row.
        images: Preprocessed images that set the ranges.
        others: Preprocessed images to compare.

    Raises:
        InputError: If it can't be converted or run.
        MissingExtraError: If the quantization extra is not installed.
    """
    start = time.monotonic()
    model = row.build(classifier_activation=None)
    set_known_weights(model, images[:_STATISTICS])
    quantized = quantize_aware(model)
    calibrate(quantized, images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{row.network}.tflite")
        path.write_bytes(convert(quantized, "int8"))
        if scales := inspect(path, delegates=False).bad_scales:
            raise InputError(f"Expected scales that XNNPACK can run in {row.network}, received {scales[0]}.")
        found = inspect(path)
        received = run_in_subprocess(path, others)
    expected = np.asarray(model.predict(others, verbose=0))
    fake = np.asarray(quantized.predict(others, verbose=0))
    shaken = np.asarray(quantized.predict(_shake(others, found.input["scale"]), verbose=0))
    return measure(row.network, found, expected, fake, shaken, received, time.monotonic() - start)


def measure(
    network: str,
    found: Any,
    expected: np.ndarray,
    fake: np.ndarray,
    shaken: np.ndarray,
    received: np.ndarray,
    seconds: float = 0.0,
) -> Figures:
    """Return the figures of a file from its inspection and the logits, of shape `(images, classes)`.

    Args:
        network: The network's name.
        found: The file's `keras_lite.export.Inspection`.
        expected: The float model's logits.
        fake: The fake-quantised model's.
        shaken: The same model's, on shaken images.
        received: The file's.
        seconds: What it took.
    """
    step = found.output["scale"]
    return Figures(
        network=network,
        int8_only=found.int8_only,
        partitions=found.partitions,
        not_delegated=sorted(set(found.not_delegated)),
        deviation=float(np.median(received.std(axis=0)) / step),
        range_ratio=float(255 * step / (expected.max() - expected.min())),
        # Both are whole numbers of steps, but for rounding.
        within_one=float((np.abs(received - fake) <= 1.5 * step).mean()),
        shaken_within_one=float((np.abs(shaken - fake) <= 1.5 * step).mean()),
        correlation=compare(expected, received).correlation,
        fake_correlation=compare(expected, fake).correlation,
        seconds=round(seconds, 1),
    )


def _shake(images: np.ndarray, step: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    moved = rng.random(images.shape) < 1e-3
    return images + (moved * step * rng.choice((-1.0, 1.0), images.shape)).astype("float32")


def set_known_weights(model: keras.Model, images: np.ndarray) -> None:
    """Draw every weight of a network of `keras_lite.applications` from a seed made of the weight's PyTorch name.

    Batch normalisation's statistics are those of images, as they would be in a trained network: with others the
    activations grow from layer to layer.

    Args:
        model: The network.
        images: Preprocessed images.
    """
    state = {
        name: values for name, values in to_torch_state_dict(model).items() if not name.endswith(".num_batches_tracked")
    }
    norms = {name.rpartition(".")[0] for name in state if name.endswith(".running_mean")}
    for name, values in state.items():
        if values.dtype.kind == "f" and not name.endswith((".running_mean", ".running_var")):
            module, _, parameter = name.rpartition(".")
            state[name] = _draw(name, values.shape, parameter, module in norms)
    load_torch_state_dict(model, state)
    flat = flatten(model)
    for layer in flat.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = 0.0
    flat(images, training=True)
    statistics = to_torch_state_dict(flat)
    load_torch_state_dict(model, {**state, **{name: statistics[name] for name in state if ".running_" in name}})


def _draw(name: str, shape: tuple[int, ...], parameter: str, norm: bool) -> np.ndarray:
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if norm and parameter == "weight":
        values = rng.uniform(0.6, 1.4, shape)
    elif norm:
        values = 0.2 * rng.standard_normal(shape)
    elif parameter == "weight":
        values = rng.standard_normal(shape) * np.sqrt(1.5 / np.prod(shape[1:]))
    elif parameter == "bias":
        values = 0.1 * rng.standard_normal(shape)
    else:
        values = 0.5 * rng.standard_normal(shape)
    return values.astype("float32")


def read_images(data_dir: str, size: tuple[int, int], count: int) -> np.ndarray:
    """Return preprocessed images of a size; CIFAR's are scaled.

    Args:
        data_dir: `"shapes"`, a folder of images, or one with CIFAR's python files.
        size: Height and width in pixels.
        count: How many.

    Raises:
        InputError: If there are fewer.
    """
    preprocessing = Preprocessing(size)
    if data_dir == SHAPES:
        return preprocessing(make_shapes(count, 0, size[0]).images(np.arange(count)))
    if not (Path(data_dir).is_dir() and find_cifar(Path(data_dir))):
        images = read_samples(data_dir, preprocessing, count)
    else:
        pixel = Preprocessing((32, 32), (0.0,) * 3, (1.0,) * 3)
        pixels = np.rint(255 * read_samples(data_dir, pixel, count)).astype("uint8")
        scaled = [np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)) for image in pixels]
        images = preprocessing(np.stack(scaled))
    if len(images) < count:
        raise InputError(f"Expected {count} images in {data_dir}, found {len(images)}.")
    return images


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Check the named networks, or all."""
    for module in ("tf_keras", "tensorflow_model_optimization", "ai_edge_litert.interpreter"):
        import_extra(module, "quantization")
    rows: dict[str, published.Row] = {}
    for row in published.rows():
        rows.setdefault(row.network, row)
    if unknown := [name for name in positional if name not in rows]:
        raise InputError(f"Expected networks out of: {', '.join(rows)}; received {unknown[0]!r}.")
    chosen = {name: rows[name] for name in positional or rows}
    code = _code_hash()
    images: dict[tuple[int, int], np.ndarray] = {}
    table, passed, failed = [_HEAD], 0, []
    for number, (name, row) in enumerate(chosen.items(), start=1):
        settings = [name, row.id, values.data_dir, values.calibration_images, values.images, code]
        key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
        cached = Path(values.cache_dir, f"{name}.json")
        found = read_json(cached) if cached.is_file() else {}
        if found.get("key") != key:
            size = row.input[:2]
            if size not in images:
                images = {size: read_images(values.data_dir, size, values.calibration_images + values.images)}
            calibration, others = np.split(images[size], [values.calibration_images])
            found = {"key": key, "figures": dataclasses.asdict(verify(row, calibration, others))}
            write_json(cached, found)
            keras.backend.clear_session()
            gc.collect()
        figures = Figures(**found["figures"])
        missed = figures.shortcomings(row.variant == "efficientformer")
        shared = figures.shared_with_control()
        alone = [text for text in missed if text not in shared]
        verdict = f"falls short: {', '.join(alone)}" if alone else "passes" if not missed else "as good as the control"
        if shared:
            verdict += f"; the control too: {', '.join(shared)}"
        print(f"{number}/{len(chosen)} {name}: {verdict} ({figures.seconds:.0f} s)", flush=True)
        table.append(_line(figures))
        passed += not missed
        failed += [name] if alone else []
    print(f"\n{format_table(table)}\n{passed} of {len(chosen)} networks meet every demand; {len(failed)} fall short.")
    if failed:
        raise InputError(f"Expected every int8 file to pass, received {len(failed)} that fall short, above.")


_HEAD = ("network", "int8", "partitions", "std", "range", "within 1", "shaken", "correlation", "fake", "outside")


def _line(figures: Figures) -> tuple[str, ...]:
    return (
        figures.network,
        "yes" if figures.int8_only else "no",
        str(figures.partitions),
        f"{figures.deviation:.1f}",
        f"{figures.range_ratio:.2f}",
        f"{figures.within_one:.1%}",
        f"{figures.shaken_within_one:.1%}",
        f"{figures.correlation:.4f}",
        f"{figures.fake_correlation:.4f}",
        ", ".join(figures.not_delegated),
    )


def _code_hash() -> str:
    """Return a hash of what the results depend on: code, tables and versions."""
    root = Path(published.__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix in (".py", ".json") and not (len(parts) > 1 and parts[0] in _OTHER_ROOMS):
            total.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    total.update(json.dumps({name: importlib.metadata.version(name) for name in _PACKAGES}).encode())
    return total.hexdigest()


def cli() -> NoReturn:
    """Run the tool as the command line says."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
