"""Write networks as int8 files twice, without TensorFlow's converter and with it, and compare both to the bit.

    python tools/verify_graph.py [SUBJECT ...] [--image_size 32] [--random_models 200]

SUBJECT is the network of a published row; keras.applications/NAME for a model that comes with Keras, and
keras.applications for all that are known to work; random/SEED for a small random model, and random for --random_models
of them. Without any it is all of these. Weights are known random ones; ranges come from some images.

The new file must give the same outputs on other images, equal to the bit, and have the same kernels, scales of kernels
and biases. Where the converter leaves operators in float, or gives a file that can't run, it need only run. What is
finished is kept in the cache until code of the package changes. One line a subject; one that differs is an error.
"""

import dataclasses
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

from checks.float_files import Subject, choose
from checks.subjects import code_hash
from keras_lite.cli import command_line
from keras_lite.data.open_data import SHAPES
from keras_lite.errors import InputError
from keras_lite.export.conversion import convert
from keras_lite.export.tflite import check_tf_mot
from keras_lite.files import read_json, write_json
from keras_lite.litert import write
from keras_lite.quantization import calibrate, quantize_aware
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.runtime.inspection import Examination, FileKernel, examine

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", SHAPES, "Where images come from.", flag_values=FLAGS)
flags.DEFINE_string("cache_dir", "build/verify-graph", "Where finished subjects are kept.", flag_values=FLAGS)
flags.DEFINE_integer(
    "image_size", None, "Largest height and width. Default: each network's own.", 32, flag_values=FLAGS
)
flags.DEFINE_integer("calibration_images", 16, "Images that set the ranges.", 1, flag_values=FLAGS)
flags.DEFINE_integer("images", 8, "Other images, to compare.", 1, flag_values=FLAGS)
flags.DEFINE_integer("random_models", 200, "How many `random` stands for.", 1, flag_values=FLAGS)

# Where the code is that a result depends on.
_ROOMS = ("applications", "export", "graph", "layers", "litert", "published", "quantization", "runtime")
_PACKAGES = ("keras", "tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class Pair:
    """What was found of the two int8 files of a model.

    Args:
        subject: The model's name.
        outputs: Outputs that were compared.
        outputs_differing: Those that are not equal to the bit.
        kernels: Numbers of kernels in the new file.
        kernels_differing: Those that are others in the converter's, and all of a kernel that it does not have.
        scales_differing: Scales of kernels, likewise.
        biases_differing: Biases, likewise.
        seconds: To write the new file.
        converter_seconds: To convert.
        converter_fault: Why the converter's file says nothing, or None.
        fault: Why there is no new file that runs, or None.
    """

    subject: str
    _: dataclasses.KW_ONLY
    outputs: int = 0
    outputs_differing: int = 0
    kernels: int = 0
    kernels_differing: int = 0
    scales_differing: int = 0
    biases_differing: int = 0
    seconds: float = 0.0
    converter_seconds: float = 0.0
    converter_fault: str | None = None
    fault: str | None = None

    def shortcomings(self) -> list[str]:
        """Return one text for each demand that the new file misses."""
        if self.fault is not None:
            # What neither can do is no difference.
            return [self.fault] if self.converter_fault is None else []
        counts = {
            f"outputs of {self.outputs:,}": self.outputs_differing,
            f"kernel numbers of {self.kernels:,}": self.kernels_differing,
            "kernel scales": self.scales_differing,
            "biases": self.biases_differing,
        }
        return [f"{count:,} {what} differ" for what, count in counts.items() if count]

    def verdict(self) -> str:
        """Return one line."""
        missed = self.shortcomings()
        text = f"differs: {'; '.join(missed)}" if missed else "equal"
        if self.converter_fault is not None:
            text = f"{self.fault or 'runs'}; the converter's: {self.converter_fault}"
        return f"{text} ({self.seconds:.2f} s, converter {self.converter_seconds:.1f} s)"


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare the named subjects' files, or all."""
    check_tf_mot()
    subjects = choose(positional, values)
    code, failed = code_hash(_ROOMS, _PACKAGES), []
    for number, subject in enumerate(subjects, start=1):
        try:
            pair = _pair(subject, values, code)
            missed, verdict = pair.shortcomings(), pair.verdict()
        # Whatever a subject raises, the others are checked too.
        except Exception as error:
            missed = [f"{type(error).__name__}: {' '.join(str(error).split())}"]
            verdict = missed[0]
        failed += [subject.name] if missed else []
        print(f"{number}/{len(subjects)} {subject.name}: {verdict}", flush=True)
    print(f"{len(subjects) - len(failed)} of {len(subjects)} subjects have equal files; {len(failed)} differ.")
    if failed:
        raise InputError(f"Expected equal int8 files, received {len(failed)} subjects with others, above.")


def compare_pair(name: str, model: keras.Model, images: np.ndarray, others: np.ndarray) -> Pair:
    """Quantize a model, write its int8 file in both ways, and compare them.

    Args:
        name: The model's name.
        model: A float Keras model.
        images: Preprocessed images that set the ranges.
        others: Preprocessed images to compare.

    Raises:
        InputError: If the model can't be quantized.
    """
    quantized = quantize_aware(model, engine="tf_mot")
    calibrate(quantized, images)
    return compare_files(name, quantized, others)


def compare_files(name: str, quantized: Any, others: np.ndarray) -> Pair:
    """Write a quantized model's int8 file in both ways, and compare them.

    Args:
        name: The model's name.
        quantized: What `keras_lite.quantization.quantize_aware` returned, with ranges.
        others: Preprocessed images to compare.
    """
    received, seconds, fault = _made(lambda: write(read_quantized(quantized)), others)
    expected, converter_seconds, converter_fault = _made(lambda: convert(quantized, "int8"), others)
    pair = Pair(
        name, seconds=seconds, converter_seconds=converter_seconds, converter_fault=converter_fault, fault=fault
    )
    if fault is not None or converter_fault is not None:
        return pair
    kernels, scales, biases = _differing(received.kernels, expected.kernels)
    return dataclasses.replace(
        pair,
        outputs=received.outputs.size,
        outputs_differing=int((received.outputs != expected.outputs).sum()),
        kernels=sum(each.values.size for each in received.kernels),
        kernels_differing=int(kernels),
        scales_differing=int(scales),
        biases_differing=int(biases),
    )


def _made(make: Callable[[], bytes], others: np.ndarray) -> tuple[Examination | None, float, str | None]:
    """Return what a new file shows, the seconds that it took to make, and why it does not run in int8, or None."""
    start = time.monotonic()
    try:
        content = make()
    # TensorFlow's converter raises what it will.
    except Exception as error:
        return None, time.monotonic() - start, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    seconds = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.tflite")
        path.write_bytes(content)
        try:
            found = examine(path, images=others, with_kernels=True, stop_at_bad_scales=True)
        except InputError as error:
            return None, seconds, str(error)
    if found.inspection.bad_scales:
        return None, seconds, f"a scale that XNNPACK can't run: {found.inspection.bad_scales[0]}"
    return found, seconds, None if found.inspection.int8_only else "operators in float"


def _differing(received: list[FileKernel], expected: list[FileKernel]) -> np.ndarray:
    """Return how many numbers, scales and biases differ from those of the most similar kernels of another file."""
    left, counts = list(expected), np.zeros(3, "int64")
    for kernel in received:
        found = [
            (*_differences(kernel, other), at)
            for at, other in enumerate(left)
            if other.values.shape == kernel.values.shape
        ]
        if found:
            *differing, at = min(found)
            del left[at]
        else:
            differing = [part.size for part in kernel]
        counts += differing
    return counts


def _differences(first: FileKernel, second: FileKernel) -> tuple[int, int, int]:
    """Return how many numbers, scales and biases of two kernels differ; a bias that is not there is zero."""
    scales = [np.broadcast_to(each.steps, max(first.steps.shape, second.steps.shape)) for each in (first, second)]
    biases = [each.bias if each.bias.size else np.zeros(1, "int32") for each in (first, second)]
    pairs = ((first.values, second.values), scales, biases)
    return tuple(int(np.not_equal(one, other).sum()) for one, other in pairs)


def _pair(subject: Subject, values: flags.FlagValues, code: str) -> Pair:
    """Return what was found of a subject, from the cache if it is there."""
    counts = [values.calibration_images, values.images]
    settings = [subject.name, subject.key, values.data_dir, *counts, keras.backend.backend(), code]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()
    cached = Path(values.cache_dir, f"{subject.name}.json")
    found = read_json(cached) if cached.is_file() else {}
    if found.get("key") == key:
        return Pair(**found["pair"])
    images = subject.read(values.data_dir, sum(counts))
    calibration, others = np.split(images, counts[:1])
    pair = compare_pair(subject.name, subject.build(images), calibration, others)
    write_json(cached, {"key": key, "pair": dataclasses.asdict(pair)})
    keras.backend.clear_session()
    gc.collect()
    return pair
