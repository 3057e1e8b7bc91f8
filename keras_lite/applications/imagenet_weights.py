"""ImageNet weights that torchvision and timm publish for networks of this package: `weights="imagenet"`.

The files stay where their publishers keep them; they are fetched into Keras' cache and their hashes are checked.
"""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite.applications.structure import structure_of
from keras_lite.checkpoints.registry import CLASSIFIER
from keras_lite.errors import InputError

_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class ImageNetWeights:
    """The published weights of one network, and the preprocessing of photos for it.

    A photo is scaled until its shorter side has `resize_size` pixels, a square of `input_size` is cut from its middle,
    and a pixel from 0 to 255 becomes `(pixel / 255 - mean) / std`.

    Attributes:
        network: The call that makes the network.
        url: Address of the publisher's file.
        sha256: The first digits of the file's SHA-256.
        structure: Digest of the network's layers, see `keras_lite.applications.structure`.
        resize_size: Shorter side of the photo, in pixels.
        input_size: Height and width of the input, in pixels.
        interpolation: How the photo is scaled: `"bilinear"` or `"bicubic"`.
        mean: Mean of each channel (red, green, blue) of pixels scaled to [0, 1].
        std: Standard deviation of each channel of pixels scaled to [0, 1].
    """

    network: str
    _: dataclasses.KW_ONLY
    url: str
    sha256: str
    structure: str
    resize_size: int
    input_size: int = 224
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The fields of `keras_lite.data.Preprocessing` that the published accuracy was measured with."""
        return {
            "image_size": [self.input_size] * 2,
            "mean": list(self.mean),
            "std": list(self.std),
            "resize": [self.resize_size] * 2,
            "interpolation": self.interpolation,
        }

    def path(self) -> Path:
        """Return the file in the cache, fetched if it is not there yet, its hash checked.

        Raises:
            InputError: If it can't be fetched, or is another file; that one is removed.
        """
        folder = cache_folder()
        path = folder / f"imagenet-{self.sha256[:8]}{Path(self.url).suffix}"
        if path.is_file():
            self._check(path)
            return path
        place = {"cache_dir": folder.parents[1], "cache_subdir": "/".join(folder.parts[-2:])}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = Path(keras.utils.get_file(f".partial-{path.name}", self.url, force_download=True, **place))
        except Exception as error:  # what Keras raises
            raise InputError(
                f"Expected to fetch the weights of {self.network}, received: {_line(error)}. "
                "A copy of that file can be given as weights=PATH."
            ) from error
        self._check(partial)
        return partial.rename(path)

    def _check(self, path: Path) -> None:
        received = hashlib.sha256(path.read_bytes()).hexdigest()
        if not received.startswith(self.sha256):
            path.unlink()
            raise InputError(
                f"Expected {self.url} with a SHA-256 that begins with {self.sha256}, received {path}, whose begins "
                f"with {received[: len(self.sha256)]}. That file is removed now; the next attempt fetches it anew."
            )


def _torchvision(network: str, file: str, structure: str, resize_size: int = 256) -> ImageNetWeights:
    """Return what torchvision publishes under a name that ends with the beginning of the file's SHA-256."""
    sha256 = Path(file).stem.rpartition("-")[2]
    return ImageNetWeights(
        network,
        url=f"https://download.pytorch.org/models/{file}",
        sha256=sha256,
        structure=structure,
        resize_size=resize_size,
    )


# The newest of each network, torchvision's `DEFAULT`.
WEIGHTS = (
    _torchvision("MobileNetV3Small()", "mobilenet_v3_small-047dcff4.pth", "46a773c8aacf40ca"),
    _torchvision("MobileNetV3Large()", "mobilenet_v3_large-5c1a4163.pth", "327d4209624fd2e0", 232),
    _torchvision("MobileNetV2(variant='torchvision')", "mobilenet_v2-7ebf99e0.pth", "3faccfbd20b854b9", 232),
    _torchvision("ShuffleNetV2(alpha=0.5)", "shufflenetv2_x0.5-f707e7126e.pth", "87462f702b5fcf9b"),
    _torchvision("ShuffleNetV2()", "shufflenetv2_x1-5666bf0f80.pth", "375de2f4efbcce8a"),
    _torchvision("ShuffleNetV2(alpha=1.5)", "shufflenetv2_x1_5-3c479a10.pth", "d13b281a6878636f", 232),
    _torchvision("ShuffleNetV2(alpha=2.0)", "shufflenetv2_x2_0-8be3c8ee.pth", "51a67567f38b07a2", 232),
    _torchvision("ImageNetResNet(18, variant='torchvision')", "resnet18-f37072fd.pth", "e05ddf06389f228c"),
    _torchvision("ImageNetResNet(34, variant='torchvision')", "resnet34-b627a593.pth", "6721920dfcd98d1d"),
    ImageNetWeights(
        "GhostNet()",
        url="https://huggingface.co/timm/ghostnet_100.in1k/resolve/d461b859bf5f6b4f1828eb79e1902fd883194c83/"
        "model.safetensors",
        sha256="8efbcf55d97872c828768b096d4ebebc51f8b7e29623fd3b3933d78cc230e2e2",
        structure="6f2c52046fdda784",
        resize_size=256,
        interpolation="bicubic",
    ),
)


def find(model: keras.Model, any_classes: bool = False) -> ImageNetWeights:
    """Return the ImageNet weights that are published for a network, of any input size, with or without top.

    Args:
        model: The network.
        any_classes: Whether its classifier may be for other classes than ImageNet's 1000.

    Raises:
        InputError: If none are: it is another network, or one with another stem or downsampling.

    Example:

    ```python
    weights = keras_lite.applications.imagenet_weights.find(keras_lite.applications.MobileNetV3Large())
    weights.resize_size, weights.input_size  # (232, 224)
    ```
    """
    structure = structure_of(model)
    found = next((weights for weights in WEIGHTS if weights.structure == structure), None)
    if found is None:
        raise InputError(
            f"Expected a network with published ImageNet weights ({', '.join(w.network for w in WEIGHTS)}), received "
            f"{model.name} of another form (keras_lite.checkpoints.warm_start takes what coincides with one of those)."
        )
    classes = next((layer.units for layer in model.layers if layer.name == CLASSIFIER), None)
    if classes not in (None, _CLASSES) and not any_classes:
        raise InputError(
            f"Expected {_CLASSES} classes with ImageNet weights, received {classes} "
            "(load_classifier=False takes all but the classifier)."
        )
    return found


def cache_folder() -> Path:
    """Return where the fetched files lie: in Keras' own cache."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models" / "keras_lite"


def decode_predictions(predictions, top: int = 5) -> list[list[tuple]]:
    """Return the most probable of ImageNet's classes by name, as `keras.applications` does.

    Args:
        predictions: Logits or probabilities, of shape `(images, 1000)`.
        top: How many classes.

    Returns:
        For each image the classes, the likeliest first: `(WordNet's id, name, score)`.

    Raises:
        InputError: If the shape is another, or the names, which Keras fetches once, can't be fetched.

    Example:

    ```python
    decode_predictions(model.predict(images))[0][0]  # such as ('n02123159', 'tiger_cat', 0.83)
    ```
    """
    if len(predictions.shape) != 2 or predictions.shape[1] != _CLASSES:
        raise InputError(f"Expected predictions of shape (images, {_CLASSES}), received {tuple(predictions.shape)}.")
    try:
        return keras.applications.imagenet_utils.decode_predictions(predictions, top)
    except Exception as error:  # what Keras raises
        raise InputError(f"Expected to fetch the names of ImageNet's classes, received: {_line(error)}.") from error


def class_names() -> list[str]:
    """Return the names of ImageNet's classes in the order of the outputs.

    Raises:
        InputError: If the names, which Keras fetches once, can't be fetched.
    """
    return [best[0][1] for best in decode_predictions(np.eye(_CLASSES), top=1)]


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
