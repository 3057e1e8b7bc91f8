"""The networks that checks of fine-tuning take, with their photos."""

import dataclasses
from pathlib import Path

import keras

from keras_lite import applications, published
from keras_lite.checkpoints import load_model
from keras_lite.data import Preprocessing, Source, open_data, read_model_info
from keras_lite.errors import InputError

# Name -> published row whose kept weights it takes, and whether its photos are CIFAR-100's.
KEPT = {
    "resnet20": ("cifar100_first/resnet20/ours", True),
    "mobilenetv3_large": ("cifar100_second/mobilenetv3_large/ours", True),
    "carnet18": ("sports100/carnet18/ours", False),
}


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network and its photos.

    Args:
        name: Its name.
        model: The network.
        output: What it answers, as `keras_lite.data.ModelInfo.output` names it.
        preprocessing: What makes its images of pixels.
        train: Photos to train with.
        test: Photos to measure on.
        labeled: Whether the photos' classes are the network's.
    """

    name: str
    model: keras.Model
    output: str
    preprocessing: Preprocessing
    train: Source
    test: Source
    labeled: bool


def open_subject(network: str, cifar_dir: str | None, photos_dir: str | None) -> Subject:
    """Open a network and its photos.

    Args:
        network: One of `KEPT`, or a Keras file with its information file; its photos are those of `photos_dir`.
        cifar_dir: The folder of CIFAR-100's python files.
        photos_dir: A folder of photos in train, valid and test.

    Raises:
        InputError: If the folder that is needed is not given.
    """
    if network in KEPT:
        row, on_cifar = KEPT[network]
        [kept] = [each for each in applications.list_weights() if each.row == row]
        built = {"classifier_activation": None, "input_shape": tuple(kept.input_shape), "weights": kept.name}
        model, output = published.get(row).build(**built), "logits"
        preprocessing = Preprocessing.from_dict(kept.preprocessing)
    else:
        info, on_cifar = read_model_info(network), False
        model, output, preprocessing = load_model(network), info.output, info.preprocessing
    folder = cifar_dir if on_cifar else photos_dir
    if folder is None:
        raise InputError(f"Expected --{'cifar' if on_cifar else 'photos'}_dir for {network}, received none.")
    data = open_data(folder, preprocessing.geometry)
    return Subject(Path(network).stem, model, output, preprocessing, data["train"], data["test"], network in KEPT)
