"""What is measured of a network, way by way: the photos, and all calls of the package."""

import dataclasses
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import flags
from PIL import Image

from checks.ways_page import BEFORE, DEFAULT, FLOAT, LITERT_QUANTIZER, POST_TRAINING, STOCK
from keras_lite import published
from keras_lite.applications import list_weights
from keras_lite.checkpoints import load_model
from keras_lite.data import (
    ArraySource,
    ModelInfo,
    Preprocessing,
    Source,
    open_cifar,
    read_image,
    read_model_info,
    write_model_info,
)
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.export.verification import Thresholds
from keras_lite.files import atomic_path, read_json
from keras_lite.graph import flatten
from keras_lite.inference.samples import sample
from keras_lite.pipelines.quantize import QuantizationOptions
from keras_lite.profiling import profile
from keras_lite.quantization import post_training
from keras_lite.runtime import run_in_subprocess
from keras_lite.training.splits import divide, with_validation

SEED = 0
LARGE = 200  # pixels from which on there are fewer photos
# Name -> published row whose kept weights it takes.
KEPT = {
    "carnet18": "sports100/carnet18/ours",
    "resnet20": "cifar100_first/resnet20/ours",
    "mobilenetv3_large": "cifar100_second/mobilenetv3_large/ours",
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many photos are used for what, and how long is trained.

    Args:
        calibration: Photos that set ranges and biases, and judge `post_training`'s candidates.
        training: Others to train with.
        measured: Photos of the test to measure on.
    """

    calibration: int
    training: int
    measured: int


FULL, FULL_LARGE, SMOKE = Sizes(512, 1000, 1000), Sizes(512, 288, 500), Sizes(16, 64, 16)


class Subject:
    """One network with its folder in the cache, where all that is measured of it lies.

    Args:
        name: Its name.
        file: Its `.keras` file; `None`: it has kept weights.
        values: The command line.
    """

    def __init__(self, name: str, file: str | None, values: flags.FlagValues):
        self.name = name
        self.values = values
        self.folder = Path(values.cache_dir, "smoke" if values.smoke else "full", name)
        self.kept = None if file else next(kept for kept in list_weights() if kept.row == KEPT[name])
        self.file = Path(file).resolve() if file else self.folder / "network" / "model.keras"
        if self.kept is None:
            self.info = read_model_info(self.file)
        else:
            preprocessing = Preprocessing(**self.kept.preprocessing)
            self.info = ModelInfo(name, self.kept.class_names, preprocessing, "logits")
        if self.info.output not in ("logits", "probabilities"):
            raise InputError(
                f"Expected logits or probabilities as the network's output, received {self.info.output}: {self.file}."
            )
        self.pixels = self.info.preprocessing.image_size[0]
        self.sizes = SMOKE if values.smoke else FULL_LARGE if self.pixels >= LARGE else FULL

    @functools.cached_property
    def key(self) -> dict[str, Any]:
        """Return what a figure of it depends on besides the code, whose commit stands beside each."""
        weights = self.kept.sha256 if self.kept is not None else hashlib.sha256(self.file.read_bytes()).hexdigest()
        preprocessing = self.info.preprocessing.to_dict()
        return {"weights": weights, "preprocessing": preprocessing, "seed": SEED, **dataclasses.asdict(self.sizes)}

    @property
    def on_cifar(self) -> bool:
        """Whether its photos are CIFAR-100's."""
        return self.kept is not None and self.kept.name == "cifar100"

    def logits_model(self) -> keras.Model:
        """Return the network, with logits as its output."""
        if self.kept is not None:
            shape = tuple(self.kept.input_shape)
            return published.get(self.kept.row).build(
                classifier_activation=None, input_shape=shape, weights=self.kept.name
            )
        model = flatten(load_model(self.file))
        if self.info.output == "probabilities":
            last = model.outputs[0]._keras_history.operation
            if getattr(last, "activation", None) is not keras.activations.softmax:
                raise InputError(f"Expected a softmax as the last activation in {self.file}, received {last.name}.")
            last.activation = keras.activations.linear
        return model

    def images(self, name: str) -> np.ndarray:
        """Return photos that `measure_float` chose: `"given"` to the command, or `"measured"`; uint8."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    def split(self) -> tuple[Source, np.ndarray]:
        """Return what the command trains with of the photos it is given, and what it takes for post-training.

        The photos that it holds out are in neither. Whether this is still what the command does shows on the page as
        the same start.
        """
        given = np.asarray(self.images("given"))
        source = ArraySource(given, np.zeros(len(given), "int64"), self.info.class_names)
        train = with_validation({"train": source}, 0.1, SEED)["train"]
        judges = min(QuantizationOptions().judge_images, len(train) // 5)
        _, train = divide(train, judges, SEED)
        return train, sample(train, self.info.preprocessing, self.sizes.calibration, SEED)


def choose_photos(subject: Subject) -> None:
    """Write the photos of a network: those given to the command, as files too, and those measured on."""
    sizes, values = subject.sizes, subject.values
    rng = np.random.default_rng(SEED)
    geometry = subject.info.preprocessing.geometry
    folder = subject.folder / "photos"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = sizes.calibration + sizes.training
    if subject.on_cifar:
        data = open_cifar(values.cifar_dir)
        given, measured = (
            data[split].images(rng.permutation(len(data[split]))[:number])
            for split, number in (("train", count), ("test", sizes.measured))
        )
        for index, image in enumerate(given):
            Image.fromarray(image).save(folder / f"{index:05d}.png")
    else:
        train, test, valid = (
            [paths[index] for index in rng.permutation(len(paths))]
            for paths in (find_photos(Path(values.photos_dir, split)) for split in ("train", "test", "valid"))
        )
        given = np.stack([read_image(path, geometry) for path in train[:count]])
        measured = np.stack([read_image(path, geometry) for path in [*test, *valid][: sizes.measured]])
        for index, path in enumerate(train[:count]):
            (folder / f"{index:05d}{path.suffix}").symlink_to(path.resolve())
    for name, images, wanted in (("given", given, count), ("measured", measured, sizes.measured)):
        if len(images) < wanted:
            raise InputError(f"Expected {wanted} photos for {subject.name}, found {len(images)}.")
        with atomic_path(subject.folder / f"{name}.npy") as temporary:
            np.save(temporary, images)


# The ways. Each function measures one: it returns the outputs and what else is worth knowing.


def measure(subject: Subject, way: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Measure one way.

    Args:
        subject: The network.
        way: `"float"`, which comes first; `"stock"`, `"litert_quantizer"`, `"before"`, `"post_training"` or
            `"default"`.

    Returns:
        The logits of the photos to measure on, and what else is worth knowing, ready for JSON.
    """
    functions = {
        FLOAT: measure_float, STOCK: measure_stock, POST_TRAINING: measure_post_training, DEFAULT: measure_default,
        BEFORE: measure_before, LITERT_QUANTIZER: measure_litert_quantizer,
    }  # fmt: skip
    return functions[way](subject)


def measure_float(subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """Choose the photos, and return the float model's outputs for those to measure on."""
    choose_photos(subject)
    model = subject.logits_model()
    if subject.kept is not None:
        subject.file.parent.mkdir(exist_ok=True)
        model.save(subject.file)
        write_model_info(subject.file, subject.info)
    outputs = model.predict(subject.info.preprocessing(subject.images("measured")), batch_size=16, verbose=0)
    size = profile(model)
    return outputs, {"parameters": size.parameters, "classes": int(outputs.shape[1]), "pixels": subject.pixels}


def measure_stock(subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """Convert as TensorFlow's converter does by itself."""
    _, calibration = subject.split()
    return _outputs_of_file(subject, STOCK, subject.logits_model(), calibration=calibration), {}


def measure_before(subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """Quantize as an older checkout's `post_training` does."""
    folder = Path(subject.values.against).resolve()
    environment = os.environ | {"PYTHONPATH": str(folder)}
    git = ["git", "-C", str(folder), "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    outputs = _quantized_once(subject, BEFORE, POST_TRAINING, sys.executable, _logits_file(subject), environment)
    return outputs, {"commit": commit}


def measure_litert_quantizer(subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """Quantize the float file as LiteRT's own quantizer does."""
    model, file = subject.logits_model(), subject.folder / "float32.tflite"
    to_tflite(model, file, samples=subject.info.preprocessing(subject.images("given")[:16]))
    python = subject.values.litert_quantizer
    return _quantized_once(subject, LITERT_QUANTIZER, LITERT_QUANTIZER, python, file, dict(os.environ)), {}


def _logits_file(subject: Subject) -> Path:
    """Write the network with logits as its output, and return its file."""
    file = subject.folder / "logits.keras"
    subject.logits_model().save(file)
    return file


def _quantized_once(
    subject: Subject, way: str, what: str, python: str, model: Path, environment: dict[str, str]
) -> np.ndarray:
    """Return the outputs of the file that `quantize_once.py` writes in a process of its own."""
    _, calibration = subject.split()
    photos, file = subject.folder / "calibration.npy", subject.folder / f"{way}.tflite"
    np.save(photos, calibration)
    script = Path(__file__).resolve().with_name("quantize_once.py")
    command = [python, "-P", str(script), what, str(model), str(photos), str(file)]
    code = subprocess.run(command, env=environment, check=False).returncode
    photos.unlink()
    if code:
        raise InputError(f"Expected {way} to write {file}; its process ended with {code}.")
    return _litert(subject, file)


def measure_post_training(subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """Quantize without training."""
    _, calibration = subject.split()
    model, preprocessing = subject.logits_model(), subject.info.preprocessing
    quantized, report = post_training(model, calibration, preprocessing=preprocessing)
    return _outputs_of_file(subject, POST_TRAINING, quantized), {"post_training": report.to_dict()}


def measure_default(subject: Subject) -> tuple[np.ndarray, dict[str, Any]]:
    """Run the command that users run, with its defaults."""
    folder = subject.folder / "command"
    command = [sys.executable, "-m", "keras_lite", "quantize", str(subject.file)]
    command += [f"--unlabeled_dir={subject.folder / 'photos'}", f"--output_dir={folder}"]
    if subject.values.smoke:
        command += [f"--calibration_images={subject.sizes.calibration}", "--epochs=1"]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise InputError(f"Expected {' '.join(command[1:3])} to end well; it ended with {code}.")
    [file] = folder.glob("*_int8.tflite")
    return _litert(subject, file), {"result": read_json(folder / "result.json")}


def kept_by_command(result: dict[str, Any]) -> str:
    """Return what the default command kept, in a few words, from its result.json."""
    chosen, tuned = result["post_training"]["chosen"], result["finetuning"]
    steps = [f"ranges: {chosen['ranges']}"]
    steps += [name for name in ("equalization", "bias_correction", "by_effect", "one_range") if chosen[name]]
    words = ", ".join(steps).replace("_", " ")
    if tuned is None:
        return f"{words}; no fine-tuning, as that was close enough"
    kept = f"epoch {tuned['kept']} of {len(tuned['epochs'])}" if tuned["kept"] else "the start"
    judged = ", ".join(f"{each['divergence']:.5f}" for each in [tuned["start"], *tuned["epochs"]] if each)
    return f"{words}; {kept} (start and epochs, {tuned['judges']} judges: {judged})"


def same_start(command: dict[str, Any], post_training_alone: dict[str, Any]) -> bool:
    """Return whether two reports of `post_training` have the same figures, but for rounding."""
    tried = [
        np.array([candidate["closeness"]["divergence"] for candidate in report["tried"]])
        for report in (command, post_training_alone)
    ]
    return tried[0].shape == tried[1].shape and bool(np.allclose(*tried, rtol=1e-3, atol=0))


def _outputs_of_file(subject: Subject, way: str, model: Any, calibration: np.ndarray | None = None) -> np.ndarray:
    """Write a model's int8 file, of whatever closeness, and return its outputs."""
    file = subject.folder / f"{way}.tflite"
    samples = subject.info.preprocessing(subject.images("given")[:16])
    stock = way == STOCK
    to_tflite(model, file, "int8", calibration=calibration, samples=samples, thresholds=Thresholds(), stock=stock)
    return _litert(subject, file)


def _litert(subject: Subject, file: Path) -> np.ndarray:
    return run_in_subprocess(file, subject.info.preprocessing(subject.images("measured")), os.cpu_count() or 1)
