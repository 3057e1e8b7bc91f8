"""What turns the pixels of an image into a model's input."""

import dataclasses
import math
from typing import Any

import numpy as np

from keras_lite.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The size of a model's input and the normalisation of its pixels.

    A pixel from 0 to 255 becomes `(pixel / 255 - mean) / std`, each channel with its own mean and std.

    Args:
        image_size: Height and width in pixels.
        mean: Mean of each channel (red, green, blue), of pixels scaled to [0, 1]. ImageNet's by default.
        std: Standard deviation of each channel, of pixels scaled to [0, 1]. ImageNet's by default.

    Raises:
        InputError: If a size is not positive, or mean or std are not three finite numbers (std positive).

    Example:

    ```python
    preprocessing = Preprocessing(image_size=(244, 244))
    inputs = preprocessing(np.zeros((1, 244, 244, 3), "uint8"))
    ```
    """

    image_size: tuple[int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        object.__setattr__(self, "image_size", check_image_size(self.image_size))
        object.__setattr__(self, "mean", _three_numbers(self.mean, "mean"))
        object.__setattr__(self, "std", _three_numbers(self.std, "std"))
        if min(self.std) <= 0:
            raise InputError(f"Expected positive numbers for std, received {self.std}.")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Normalise images.

        Args:
            images: uint8 array of shape `(count, height, width, 3)`.

        Returns:
            float32 array of the same shape.

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
        # A row of pixels at a time: NumPy is several times slower on an innermost axis of length three.
        scale = np.tile(1 / (255 * np.asarray(self.std)), width).astype("float32")
        offset = np.tile(np.asarray(self.mean) / np.asarray(self.std), width).astype("float32")
        rows = images.reshape(len(images), height, width * 3) * scale
        rows -= offset
        return rows.reshape(images.shape)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain lists, ready for JSON."""
        return {"image_size": list(self.image_size), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, fields: Any) -> "Preprocessing":
        """Build from what `to_dict` returned.

        Raises:
            InputError: If a field is missing, unknown or has a wrong value.
        """
        names = {"image_size", "mean", "std"}
        if not isinstance(fields, dict) or set(fields) != names:
            raise InputError(f"Expected the preprocessing's fields {sorted(names)}, received {fields!r}.")
        return cls(**fields)


def check_image_size(image_size: Any) -> tuple[int, int]:
    """Return height and width as two integers.

    Raises:
        InputError: If it is anything but two positive whole numbers.
    """
    good = isinstance(image_size, tuple | list) and len(image_size) == 2
    if not good or not all(isinstance(side, int | np.integer) and side > 0 for side in image_size):
        raise InputError(f"Expected image_size as two positive whole numbers, received {image_size!r}.")
    return int(image_size[0]), int(image_size[1])


def _three_numbers(values: Any, name: str) -> tuple[float, float, float]:
    good = isinstance(values, tuple | list | np.ndarray) and len(values) == 3
    if not good or not all(isinstance(v, int | float | np.floating) and math.isfinite(v) for v in values):
        raise InputError(f"Expected three finite numbers for {name}, received {values!r}.")
    return float(values[0]), float(values[1]), float(values[2])
