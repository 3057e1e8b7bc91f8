"""What the examples of docstrings and guides use without making it: values by name, files by path."""

import functools
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cifar_files
import dataset_records
import keras
import numpy as np
import pytest
import torch_networks
from keras.src.applications import imagenet_utils
from PIL import Image

from keras_lite import applications
from keras_lite.checkpoints import to_torch_state_dict
from keras_lite.data import ArraySource, Batches, ModelInfo, Preprocessing, open_data, write_model_info
from keras_lite.export import to_tflite
from keras_lite.pipelines import QuantizationOptions, quantize_run
from keras_lite.pipelines.compare import CompareOptions, compare_precisions
from keras_lite.quantization import CalibratedGraph
from keras_lite.quantization.aware.keras_native import trainable
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.ranges import least_error_range
from keras_lite.runtime import benchmark
from keras_lite.training import Options, Recipe, RecipeModel, fit

SIZE = (96, 96)
CLASSES = ["cat", "dog"]
PREPROCESSING = Preprocessing(SIZE)


def build(image_size=SIZE, classes=2, activation=None):
    """Return a network as small as one can be."""
    inputs = keras.Input((*image_size, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(classes, activation=activation, name="predictions")(x))


def pixels(count):
    return np.random.default_rng(count).integers(0, 256, (count, *SIZE, 3), dtype="uint8")


def source(count):
    return ArraySource(pixels(count), np.arange(count) % len(CLASSES), CLASSES)


def compiled():
    model = build(activation="softmax")
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def averaging():
    model = build(activation="softmax")
    model.compile(keras.optimizers.Adam(use_ema=True), "sparse_categorical_crossentropy")
    return model


def aware():
    model = build()
    form = for_int8(lower(model))
    ranges = ranges_from(form, observe(form, PREPROCESSING(pixels(4))), least_error_range)
    return trainable(CalibratedGraph(form, ranges))


def torchvision_network(name):
    return getattr(torch_networks.torchvision_models(), name)()


RECIPE = Recipe(
    name="small",
    models={"small": RecipeModel(build)},
    optimizer=keras.optimizers.Adam,
    learning_rate=1e-3,
    epochs=1,
    batch_size=4,
    image_size=SIZE,
)

# Each is made anew where it is used: examples change what they are given.
VALUES: dict[str, Callable] = {
    "answers": lambda: np.eye(2, dtype="float32")[np.arange(8) % 2],
    "aware": aware,
    "batches": lambda: Batches(source(8), 4, PREPROCESSING),
    "build": lambda: functools.partial(build, activation="softmax"),
    "class_names": lambda: CLASSES,
    "data": lambda: {"train": source(16), "valid": source(8), "test": source(8)},
    "held_out": lambda: PREPROCESSING(pixels(9)),
    "images": lambda: PREPROCESSING(pixels(8)),
    "info": lambda: ModelInfo("small", CLASSES, PREPROCESSING, "probabilities"),
    "keras_model": build,
    "labels": lambda: np.arange(8) % 2,
    "model": functools.partial(build, activation="softmax"),
    "one_hot_labels": lambda: np.eye(2, dtype="float32")[np.arange(8) % 2],
    "options": lambda: Options.of(RECIPE),
    "photos": lambda: pixels(8),
    "pool": lambda: ThreadPoolExecutor(1),
    "preprocessing": lambda: PREPROCESSING,
    "recipe": lambda: RECIPE,
    "RECIPE": lambda: RECIPE,
    "source": lambda: source(16),
    "student": build,
    "teacher": build,
    "validation": lambda: Batches(source(4), 4, PREPROCESSING),
}
# What a name stands for in one example alone.
OWN_VALUES: dict[str, dict[str, Callable]] = {
    "AveragedWeights": {"model": averaging},
    "Batches": {"model": compiled},
    "README.md-1": {"class_names": lambda: list("abcdefghij")},
    "decode_predictions": {"model": lambda: build(classes=1000, activation="softmax")},
}


def photo(path: Path, index: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(index + 1)[0]).save(path)


def photo_folders(root: Path, count: int = 24) -> None:
    for index in range(count):
        photo(root / CLASSES[index % 2] / f"{index}.jpg", index)


def split_folders(root: Path) -> None:
    for split in ("train", "valid", "test"):
        for name in ("air hockey", "ampute football"):
            photo(root / split / name / "1.jpg")


def keras_file(path: Path) -> None:
    VALUES["model"]().save(path)
    write_model_info(path, VALUES["info"]())


def tflite_file(path: Path) -> None:
    to_tflite(VALUES["model"](), path, "float32", samples=VALUES["images"](), info=VALUES["info"]())


def torch_file(path: Path, state_dict: Callable) -> None:
    torch = pytest.importorskip("torch")
    entries = {name: torch.as_tensor(values) for name, values in state_dict().items()}
    torch.save(entries, path)


def torchvision_file(name: str) -> Callable:
    return lambda path: torch_file(path, torchvision_network(name).state_dict)


def carnet_file(path: Path) -> None:
    torch_file(path, lambda: to_torch_state_dict(applications.CARNet18()))


def tiny_file(path: Path) -> None:
    """The weights of the network that the example of `register` describes."""
    shapes = {"tiny_stem.weight": (8, 3, 3, 3), "tiny_stem.bias": (8,), "head.weight": (10, 8), "head.bias": (10,)}
    torch_file(path, lambda: {name: np.zeros(shape, "float32") for name, shape in shapes.items()})


def dogs(root: Path) -> None:
    breeds = ("n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    for split, numbers in (("train", (5927, 5928)), ("test", (5929,))):
        names = [f"{breed}/{breed[:9]}_{number}.jpg" for breed in breeds for number in numbers]
        dog_list(root / "lists" / f"{split}_list.mat", names)
        for name in names:
            photo(root / "Images" / name)


def dog_list(path: Path, names: tuple[str, ...] = ("n02085620-Chihuahua/n02085620_5927.jpg",)) -> None:
    cells = np.array(names, object)[:, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.repeat([1.0, 2.0], len(names) // 2 or 1)[: len(names), None]
    pytest.importorskip("scipy.io").savemat(path, {"file_list": cells, "labels": labels})


def run_folder(path: Path) -> None:
    """A finished run, with what `keras-lite quantize` and `keras-lite compare` leave in it."""
    photo_folders(path.parent / "of-run")
    options = Options.of(RECIPE, data_dir=str(path.parent / "of-run"))
    fit(RECIPE, open_data(options.data_dir, SIZE), options, path)
    model, info, data = VALUES["model"](), VALUES["info"](), VALUES["data"]()
    compared = CompareOptions(("int8",), threads=(1,), calibration_images=8)
    quantized = QuantizationOptions(epochs=0, judge_images=8, calibration_images=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "_ROUNDS", 1)
        compare_precisions(model, info, data, path / "precisions", options=compared)
        quantize_run(model, info, data, path / "quantized", options=quantized)


def cifar(root: Path) -> None:
    root.mkdir()
    cifar_files.write_cifar10(root)


FILES: dict[str, Callable[[Path], None]] = {
    "StanfordDogs": dogs,
    "carnet.pt": carnet_file,
    "cat.jpg": photo,
    "checkpoint.pth.tar": carnet_file,
    "cifar-10-batches-py": cifar,
    "flowers": photo_folders,
    "holidays": photo_folders,
    "keras_model.h5": lambda path: build().save(path),
    "lists/train_list.mat": dog_list,
    "mobilenet_v3_large-5c1a4163.pth": torchvision_file("mobilenet_v3_large"),
    "model.keras": keras_file,
    "model.tflite": tflite_file,
    "model_int8.tflite": tflite_file,
    "net.pth": carnet_file,
    "photo.jpg": photo,
    "photos": photo_folders,
    "resnet18-f37072fd.pth": torchvision_file("resnet18"),
    "runs/flowers": lambda path: (path.mkdir(parents=True), keras_file(path / "model.keras")),
    "runs/photos": run_folder,
    "sports": split_folders,
    "tiny.pth": tiny_file,
}


class Files:
    """Files of examples, each made once and copied to where an example runs."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def copy(self, text: str, folder: Path) -> None:
        """Copy what a text of an example names, if it names a file."""
        for name, make in FILES.items():
            if text != name and not text.startswith(f"{name}/"):
                continue
            made = self._store / name.replace("/", "-") / name
            if not made.exists():
                made.parent.mkdir(parents=True, exist_ok=True)
                make(made)
            shutil.copytree(made.parent, folder / Path(name).parent, dirs_exist_ok=True)


def no_network(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have what fetches something find it here: data sets of Keras and tfds, names of ImageNet, LiteRT.js.

    A server, which would go on until it is interrupted, does not start.
    """
    images = np.zeros((100, 32, 32, 3), "uint8"), np.arange(100)[:, None]
    monkeypatch.setattr(keras.datasets.cifar100, "load_data", lambda: (images, images))
    names = {str(number): [f"n{number:08}", f"class_{number}"] for number in range(1000)}
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", names)
    for module in ("runtime.litert_js", "pipelines.web"):
        monkeypatch.setattr(f"keras_lite.{module}.litert_js", lambda: {"core.js": b""})
    monkeypatch.setattr("keras_lite.pipelines.web.serve_web_page", lambda folder: None)
    folder.mkdir()
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", dataset_records.stand_in("stanford_dogs", folder, ["tfds"]))
