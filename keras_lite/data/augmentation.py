"""Random changes to training images, whole batches at a time."""

import dataclasses
import math
from typing import Any

import numpy as np

from keras_lite.data.auto_augment import RandAugment, TrivialAugment
from keras_lite.data.geometry import Crop, RandomCrop, RandomResizedCrop
from keras_lite.data.keras_cv_masks import GridMask
from keras_lite.data.mixing import erase
from keras_lite.errors import InputError

Policy = RandAugment | TrivialAugment | GridMask


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to each image of a batch, in the order of the arguments; the defaults change nothing.

    With `brightness=0.2, horizontal_flip=True, rotation=15.0` this is the augmentation CARNet was trained with; with
    `crop_padding=4, horizontal_flip=True` the usual one for CIFAR; with `crop=RandomCrop(), brightness=0.4,
    horizontal_flip=True` that of Stanford Dogs (published with the flip before the brightness, which is the same);
    with `crop=RandomResizedCrop(), horizontal_flip=True` the usual one for ImageNet. It works on pixels from 0 to 255,
    before normalization: what rotation and crop bring in from outside is black.

    Args:
        crop: A random part of each photo instead of its middle. The source cuts it (see `Source.crops`, which
            `Batches` calls): calling the augmentation does not.
        crop_padding: Each image gets so many black pixels on all sides, then a random part of the old size is
            cut out.
        brightness: Each image is multiplied by a random factor from `1 - brightness` to `1 + brightness`.
        horizontal_flip: Whether half of the images, at random, are mirrored left to right.
        rotation: Each image is turned about its center by a random angle of up to so many degrees either way;
            each pixel takes the nearest pixel's value.
        policy: Changes drawn for each image by `RandAugment`, `TrivialAugment` or `GridMask`.
        erasing: Probability that a random rectangle of an image is filled with noise.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    augmentation = Augmentation(brightness=0.2, horizontal_flip=True, rotation=15.0)
    photos = augmentation(photos, np.random.default_rng(0))  # uint8
    ```
    """

    crop: Crop | None = None
    crop_padding: int = 0
    brightness: float = 0.0
    horizontal_flip: bool = False
    rotation: float = 0.0
    policy: Policy | None = None
    erasing: float = 0.0

    def __post_init__(self) -> None:
        if type(self.crop_padding) is not int or self.crop_padding < 0:
            raise InputError(f"Expected a whole number for crop_padding, received {self.crop_padding!r}.")
        if not _is_number(self.brightness) or not 0 <= self.brightness <= 1:
            raise InputError(f"Expected a number from 0 to 1 for brightness, received {self.brightness!r}.")
        if not isinstance(self.horizontal_flip, bool):
            raise InputError(f"Expected true or false for horizontal_flip, received {self.horizontal_flip!r}.")
        if not _is_number(self.rotation) or not 0 <= self.rotation <= 180:
            raise InputError(f"Expected 0 to 180 degrees for rotation, received {self.rotation!r}.")
        if not _is_number(self.erasing) or not 0 <= self.erasing <= 1:
            raise InputError(f"Expected a number from 0 to 1 for erasing, received {self.erasing!r}.")

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the images of a batch, each changed at random.

        Args:
            images: uint8 array of shape `(count, height, width, 3)`; it stays as it is.
            rng: Where all random numbers come from.

        Returns:
            uint8 array of the same shape.
        """
        count = len(images)
        if self.crop_padding:
            corners = rng.integers(0, 2 * self.crop_padding, (2, count), endpoint=True)
            images = shift_crop(images, self.crop_padding, *corners)
        if self.brightness:
            images = scale_brightness(images, rng.uniform(1 - self.brightness, 1 + self.brightness, count))
        if self.horizontal_flip:
            flipped = rng.random(count) < 0.5
            images = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
        if self.rotation:
            images = rotate(images, rng.uniform(-self.rotation, self.rotation, count))
        if self.policy is not None:
            images = self.policy(images, rng)
        if self.erasing:
            images = erase(images, self.erasing, rng)
        return images

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON; `crop`, `policy` and `erasing` where they are used."""
        fields = {name: getattr(self, name) for name in ("crop_padding", "brightness", "horizontal_flip", "rotation")}
        named = {"crop": self.crop, "policy": self.policy}
        fields |= {name: value.to_dict() for name, value in named.items() if value is not None}
        return fields | ({"erasing": self.erasing} if self.erasing else {})

    @classmethod
    def from_dict(cls, fields: Any) -> "Augmentation":
        """Return the augmentation that `to_dict` described.

        Raises:
            InputError: If a field is unknown or has a wrong value.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(fields, dict) or not set(fields) <= set(names):
            raise InputError(f"Expected augmentation fields out of {names}, received {fields!r}.")
        return cls(**{name: _from_named(name, value) if name in _NAMED else value for name, value in fields.items()})


_NAMED: dict[str, dict[str, Any]] = {
    "crop": {"random_crop": RandomCrop, "random_resized_crop": RandomResizedCrop},
    "policy": {"rand_augment": RandAugment, "trivial_augment": TrivialAugment, "grid_mask": GridMask},
}


def _from_named(field: str, values: Any) -> Any:
    kinds = _NAMED[field]
    arguments = dict(values) if isinstance(values, dict) else {}
    kind = kinds.get(arguments.pop("name", None))
    if kind is None or not set(arguments) <= {field.name for field in dataclasses.fields(kind)}:
        raise InputError(f"Expected {field} to be one of {', '.join(kinds)} with its fields, received {values!r}.")
    return kind(**arguments)


def shift_crop(images: np.ndarray, padding: int, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
    """Return parts of images padded with black: of the old size, each from its place in `(tops, lefts)` on."""
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    parts = windows[np.arange(len(images)), tops, lefts]  # count, channels, height, width
    return np.ascontiguousarray(np.moveaxis(parts, 1, -1))


def scale_brightness(images: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return uint8 images, each times its factor; fractions are cut off, and what exceeds 255 becomes 255."""
    tables = np.minimum(np.arange(256) * np.asarray(factors)[:, None], 255).astype("uint8")
    scaled = np.empty_like(images)
    for table, image, result in zip(tables, images, scaled, strict=True):
        np.take(table, image, out=result)
    return scaled


def rotate(images: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Return images, each rotated counter-clockwise about its center; nearest pixel, black outside."""
    count, height, width, channels = images.shape
    # For the center of each pixel of the result the place it comes from: the opposite turn, y pointing down.
    cosine = np.cos(np.radians(degrees)).astype("float32")[:, None, None]
    sine = np.sin(np.radians(degrees)).astype("float32")[:, None, None]
    x = (np.arange(width, dtype="float32") + 0.5 - width / 2)[None, None, :]
    y = (np.arange(height, dtype="float32") + 0.5 - height / 2)[None, :, None]
    columns = np.floor(cosine * x + (width / 2 - sine * y)).astype("int32")
    rows = np.floor(sine * x + (height / 2 + cosine * y)).astype("int32")
    # One black pixel beyond the end stands for everything outside.
    source = np.zeros((count, height * width + 1, channels), images.dtype)
    source[:, :-1] = images.reshape(count, -1, channels)
    outside = (columns < 0) | (columns >= width) | (rows < 0) | (rows >= height)
    rows *= width
    rows += columns
    rows[outside] = height * width
    rows += (np.arange(count, dtype="int32") * (height * width + 1))[:, None, None]
    pixels = source.reshape(-1).view(np.dtype((np.void, channels)))  # whole pixels move as one item
    return pixels[rows].view(images.dtype).reshape(images.shape)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
