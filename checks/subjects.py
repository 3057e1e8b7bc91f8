"""Networks that the checks go through, their images, and what finished figures of them depend on."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from checks.known_weights import set_known_weights
from keras_lite import published
from keras_lite.applications.kept_weights import KeptWeights
from keras_lite.data import ModelInfo, Preprocessing, make_shapes
from keras_lite.data.cifar import find_cifar
from keras_lite.data.open_data import SHAPES
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError
from keras_lite.export import to_tflite
from keras_lite.inference.samples import read_samples
from keras_lite.litert import QuantizedGraph
from keras_lite.quantization import post_training

_CALIBRATION_IMAGES = 64
_SHAPES_PIXELS = 160


def published_networks() -> dict[str, published.Row]:
    """Return the networks behind the published rows: name -> the first row that has it."""
    rows: dict[str, published.Row] = {}
    for row in published.rows():
        rows.setdefault(row.network, row)
    return rows


def build_published(row: published.Row, images: np.ndarray, kept: KeptWeights | None = None) -> keras.Model:
    """Return a row's network, whose output are logits, for images of a size.

    Args:
        row: The published row.
        images: Preprocessed images; statistics of known random weights are taken of them.
        kept: The network's weights; by default known random ones.
    """
    if kept is not None:
        return row.build(classifier_activation=None, input_shape=tuple(kept.input_shape), weights=kept.name)
    model = row.build(classifier_activation=None, input_shape=images.shape[1:])
    set_known_weights(model, images)
    return model


def export_int8(
    row: published.Row, kept: KeptWeights | None, folder: Path, ends: str = "int8"
) -> tuple[Path, ModelInfo, QuantizedGraph]:
    """Write the int8 file of a row's network, as `to_tflite` makes it.

    Args:
        row: The published row.
        kept: The network's weights; by default known random ones.
        folder: Where to.
        ends: The type of the file's input and output.

    Returns:
        The file, what it takes and outputs, and its int8 graph.
    """
    name, info, images, model = _exported(row, kept, "int8")
    calibrated, _ = post_training(model, images, info.preprocessing, info.output)
    path = folder / f"{name}.tflite"
    to_tflite(calibrated, path, "int8", samples=images, info=info, reference=model, ends=ends)
    return path, info, calibrated.graph


def export_float(row: published.Row, kept: KeptWeights | None, folder: Path) -> tuple[Path, ModelInfo]:
    """Write the float32 file of a row's network.

    Args:
        row: The published row.
        kept: The network's weights; by default known random ones.
        folder: Where to.

    Returns:
        The file, and what it takes and outputs.
    """
    name, info, images, model = _exported(row, kept, "float32")
    path = folder / f"{name}.tflite"
    to_tflite(model, path, "float32", samples=images, info=info)
    return path, info


def _exported(
    row: published.Row, kept: KeptWeights | None, precision: str
) -> tuple[str, ModelInfo, np.ndarray, keras.Model]:
    """Return a name for a row's files, what its network takes and outputs, images, and the network."""
    name = row.id.replace("/", "-")
    print(f"Exporting {name} to {precision} ...", flush=True)
    preprocessing = Preprocessing(row.input[:2]) if kept is None else Preprocessing(**kept.preprocessing)
    class_names = list(map(str, range(row.classes))) if kept is None else kept.class_names
    info = ModelInfo(name, class_names, preprocessing, "logits")
    images = read_samples(SHAPES, info.preprocessing, _CALIBRATION_IMAGES, seed=1)
    return name, info, images, build_published(row, images, kept)


def read_images(data_dir: str, preprocessing: Preprocessing, count: int) -> np.ndarray:
    """Return preprocessed images; CIFAR's are scaled.

    Args:
        data_dir: `"shapes"`, a folder of images, or one with CIFAR's python files.
        preprocessing: Their size and normalization.
        count: How many.

    Raises:
        InputError: If there are fewer.
    """
    size = preprocessing.image_size
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


def write_photos(data_dir: str, count: int, folder: Path) -> list[Path]:
    """Return files of photos, at equal distances in the order of their names; shapes are written.

    Args:
        data_dir: `"shapes"`, or a folder of photos, at any depth.
        count: How many.
        folder: Where shapes are written.

    Raises:
        InputError: If there are fewer.
    """
    if data_dir != SHAPES:
        found = find_photos(data_dir)
        if len(found) < count:
            raise InputError(f"Expected {count} photos in {data_dir}, found {len(found)}.")
        return [found[index] for index in np.linspace(0, len(found) - 1, count).astype(int)]
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(count)]
    for path, image in zip(paths, make_shapes(count, 0, _SHAPES_PIXELS).images(np.arange(count)), strict=True):
        Image.fromarray(image).save(path)
    return paths


def code_hash(rooms: Iterable[str], packages: Iterable[str], files: Iterable[Path] = ()) -> str:
    """Return a hash of what results depend on.

    Args:
        rooms: Rooms of keras_lite, for their code and tables.
        packages: Packages, for their versions.
        files: Files beside those.
    """
    root = Path(published.__file__).parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.suffix in (".py", ".json") and parts[0] in rooms and path.name != "kept_weights.json":
            total.update("/".join(parts).encode() + b"\0" + path.read_bytes())
    for path in sorted(files):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    total.update(json.dumps({name: importlib.metadata.version(name) for name in packages}).encode())
    return total.hexdigest()
