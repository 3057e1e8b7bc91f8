"""Preprocessing: from the pixels of an image to a model's input."""

import dataclasses
import math
from typing import Any

import numpy as np

from keras_lite.data.geometry import ImageGeometry, check_image_size
from keras_lite.data.scaling import Interpolation
from keras_lite.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a model: image size, scaling of photos, normalization of pixels.

    A pixel from 0 to 255 becomes `(pixel / 255 - mean) / std`, each channel with its own mean and std.

    Args:
        image_size: Height and width in pixels.
        mean: Mean of each channel (red, green, blue), of pixels scaled to [0, 1]. ImageNet's by default. A single
            number stands for gray images: then the model's input has one channel.
        std: Standard deviation of each channel, of pixels scaled to [0, 1]. ImageNet's by default.
        resize: Height and width that a photo is scaled to before its middle is cut out. `None`: `image_size`.
        keep_aspect: Whether to scale both sides of a photo by one factor, so that it just covers `resize`. `False`:
            each side is scaled to that of `resize`.
        interpolation: How photos are scaled, see `ImageGeometry`: `"bilinear"`, `"bicubic"`, `"box"`, `"nearest"` or
            `"bilinear_no_antialias"`.

    Raises:
        InputError: If a size is not positive, `resize` is smaller than `image_size`, there is no such interpolation, or
            mean and std are not three finite numbers each or one each (std positive).

    Example:

    ```python
    preprocessing = Preprocessing(image_size=(244, 244))
    inputs = preprocessing(np.zeros((1, 244, 244, 3), "uint8"))
    ```
    """

    image_size: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: tuple[int, int] | None = None
    keep_aspect: bool = True
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        geometry = self.geometry
        object.__setattr__(self, "image_size", geometry.image_size)
        object.__setattr__(self, "resize", geometry.resize)
        object.__setattr__(self, "mean", _channel_numbers(self.mean, "mean"))
        object.__setattr__(self, "std", _channel_numbers(self.std, "std"))
        if len(self.mean) != len(self.std):
            raise InputError(
                f"Expected three numbers for both mean and std, or one for both (gray), received {self.mean} and "
                f"{self.std}."
            )
        if min(self.std) <= 0:
            raise InputError(f"Expected positive numbers for std, received {self.std}.")

    @property
    def channels(self) -> int:
        """Number of channels of the model's input: 3, or 1 for gray images."""
        return len(self.mean)

    def gray(self) -> "Preprocessing":
        """Return the same preprocessing for gray images, with the averages of the channels' means and deviations."""
        return dataclasses.replace(self, mean=(float(np.mean(self.mean)),), std=(float(np.mean(self.std)),))

    @property
    def geometry(self) -> ImageGeometry:
        """The scaling of photos to the size of the model's input."""
        return ImageGeometry(self.image_size, self.resize, self.keep_aspect, self.interpolation)

    def at(self, image_size: tuple[int, int]) -> "Preprocessing":
        """Return the same preprocessing for another image size, with `resize` in proportion."""
        image_size = check_image_size(image_size)
        sides = zip(self.resize, image_size, self.image_size, strict=True)
        resize = tuple(round(scaled * new / old) for scaled, new, old in sides)
        return dataclasses.replace(self, image_size=image_size, resize=resize)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return normalized images, converted to gray first if the model's input has one channel.

        Args:
            images: uint8 array of shape `(count, height, width, 3)`.

        Returns:
            float32 array of shape `(count, height, width, channels)`.

        Raises:
            InputError: If the array has another type or shape.
        """
        images = np.asarray(images)
        height, width = self.image_size
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
            raise InputError(
                f"Expected uint8 images of shape (count, {height}, {width}, 3), "
                f"received {images.dtype} of shape {images.shape}."
            )
        if self.channels == 1:
            images = _luminance(images)
        # A row of pixels at a time: NumPy is several times slower on an innermost axis of length three.
        scale = np.tile(1 / (255 * np.asarray(self.std)), width).astype("float32")
        offset = np.tile(np.asarray(self.mean) / np.asarray(self.std), width).astype("float32")
        rows = images.reshape(len(images), height, width * self.channels) * scale
        rows -= offset
        return rows.reshape(images.shape)

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and the highest value of each channel after normalization.

        Example:

        >>> Preprocessing((8, 8), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).limits()[1].tolist()
        [1.0, 1.0, 1.0]
        """
        height, width = self.image_size
        ends = self(np.stack([np.full((height, width, 3), level, "uint8") for level in (0, 255)]))
        return ends[0, 0, 0], ends[1, 0, 0]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain lists, ready for JSON; of the scaling of photos only what is not the default."""
        fields = {"image_size": list(self.image_size), "mean": list(self.mean), "std": list(self.std)}
        if self.geometry != ImageGeometry(self.image_size, interpolation=self.interpolation):
            fields |= {"resize": list(self.resize), "keep_aspect": self.keep_aspect}
        if self.interpolation != "bilinear":
            fields["interpolation"] = self.interpolation
        return fields

    @classmethod
    def from_dict(cls, fields: Any) -> "Preprocessing":
        """Return the preprocessing that `to_dict` described.

        Raises:
            InputError: If a field is missing, unknown or has a wrong value.
        """
        needed = {"image_size", "mean", "std"}
        names = needed | {"resize", "keep_aspect", "interpolation"}
        if not isinstance(fields, dict) or not needed <= set(fields) <= names:
            raise InputError(f"Expected the preprocessing's fields {sorted(needed)}, received {fields!r}.")
        return cls(**fields)


def _luminance(images: np.ndarray) -> np.ndarray:
    """Return gray images with one channel: 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601), as Pillow rounds it."""
    red, green, blue = np.moveaxis(images.astype("int32"), -1, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype("uint8")[..., None]


def _channel_numbers(values: Any, name: str) -> tuple[float, ...]:
    good = isinstance(values, tuple | list | np.ndarray) and len(values) in (1, 3)
    if not good or not all(isinstance(v, int | float | np.floating) and math.isfinite(v) for v in values):
        raise InputError(f"Expected three finite numbers for {name}, or one for gray photos, received {values!r}.")
    return tuple(map(float, values))
