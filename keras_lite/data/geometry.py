"""Which part of a photo a model sees: the fixed part of evaluation, random parts for training."""

import dataclasses
import math
from typing import Any

import numpy as np
from PIL import Image

from keras_lite.data.scaling import Box, Interpolation, check_interpolation, scaled
from keras_lite.errors import InputError

_ATTEMPTS = 10


@dataclasses.dataclass(frozen=True)
class ImageGeometry:
    """The way of a photo to the size of a model's input: it is scaled, and its center is cut out.

    With `keep_aspect` it is scaled until it just covers `resize`; without, each side for itself to `resize`. So
    `ImageGeometry((224, 224), (256, 256))` is ImageNet's usual "shorter side to 256, center crop of 224", and
    `ImageGeometry((224, 224), (256, 256), keep_aspect=False)` what MobileNetV3 was published with on Stanford Dogs.
    `ImageGeometry((180, 180), keep_aspect=False, interpolation="bilinear_no_antialias")` is what Keras'
    `image_dataset_from_directory(..., image_size=(180, 180))` and `Resizing(180, 180)` do, in whole levels. TensorFlow
    decodes JPEG files themselves about one level greener than Pillow does, which no geometry can follow.

    Args:
        image_size: Height and width of the result in pixels.
        resize: Height and width to scale to. `None`: `image_size`.
        keep_aspect: Whether height and width are scaled by the same factor.
        interpolation: How it is scaled. `"bilinear"` and `"bicubic"`: antialiased, as Pillow, torchvision and timm do
            it; `"box"`: the mean of the pixels that a new one covers; `"nearest"`: the pixel nearest to its middle;
            `"bilinear_no_antialias"`: of the four nearest pixels alone, as Keras' `Resizing` and Android's scaled
            bitmaps do it, which skips pixels where a photo is made much smaller.

    Raises:
        InputError: If a size is not two positive whole numbers, `resize` is smaller than `image_size`, or there is no
            such interpolation.

    Example:

    ```python
    pixels = ImageGeometry((224, 224), resize=(256, 256)).center(Image.open("photo.jpg"))
    ```
    """

    image_size: tuple[int, int]
    resize: tuple[int, int] | None = None
    keep_aspect: bool = True
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        image_size = check_image_size(self.image_size)
        resize = image_size if self.resize is None else check_image_size(self.resize, "resize")
        object.__setattr__(self, "image_size", image_size)
        object.__setattr__(self, "resize", resize)
        if resize[0] < image_size[0] or resize[1] < image_size[1]:
            raise InputError(f"Expected resize to be {image_size} (the image size) or more, received {resize}.")
        if not isinstance(self.keep_aspect, bool):
            raise InputError(f"Expected true or false for keep_aspect, received {self.keep_aspect!r}.")
        check_interpolation(self.interpolation)

    @classmethod
    def of(cls, image_size: "tuple[int, int] | ImageGeometry") -> "ImageGeometry":
        """Return a geometry as it is, and for an image size the plain geometry of that size."""
        return image_size if isinstance(image_size, cls) else cls(image_size)

    @property
    def kept_size(self) -> tuple[int, int]:
        """The size in which `keep` holds photos of any shape in memory."""
        return self.image_size if self.keep_aspect else self.resize

    def center(self, photo: Image.Image) -> np.ndarray:
        """Return the center crop of the scaled photo, uint8 of shape `(*image_size, 3)`."""
        return self.part(photo, *self._center_corner(self.scaled_size(photo)))

    def keep(self, photo: Image.Image) -> np.ndarray:
        """Return what `center_of_kept` needs of a photo, uint8 of shape `(*kept_size, 3)`."""
        return self.center(photo) if self.keep_aspect else self.scaled(photo, self.resize)

    def center_of_kept(self, kept: np.ndarray) -> np.ndarray:
        """Return the center crops of images `(count, *kept_size, 3)`, equal to `center` of their photos."""
        top, left = self._center_corner(self.kept_size)
        return kept[:, top : top + self.image_size[0], left : left + self.image_size[1]]

    def scaled_size(self, photo: Image.Image) -> tuple[int, int]:
        """Return height and width of the whole photo after scaling."""
        height, width = self.resize
        if not self.keep_aspect:
            return height, width
        if photo.height * width <= photo.width * height:  # the height decides
            return height, photo.width * height // photo.height
        return photo.height * width // photo.width, width

    def part(self, photo: Image.Image, top: int, left: int) -> np.ndarray:
        """Return a part of the scaled photo, from row `top` and column `left` on: uint8 `(*image_size, 3)`."""
        height, width = self.image_size
        scaled_height, scaled_width = self.scaled_size(photo)
        if not self.keep_aspect:
            return self.scaled(photo, self.resize)[top : top + height, left : left + width]
        # Scaling and cutting in one step: what is cut away need not be reckoned.
        down, across = photo.height / scaled_height, photo.width / scaled_width
        bottom, right = min(photo.height, (top + height) * down), min(photo.width, (left + width) * across)
        return self.scaled(photo, self.image_size, (left * across, top * down, right, bottom))

    def scaled(self, photo: Image.Image, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
        """Return a photo, or the part of it in a box, in another size: see `keras_lite.data.scaling.scaled`."""
        return scaled(photo, size, self.interpolation, box)

    def _center_corner(self, scaled_size: tuple[int, int]) -> tuple[int, int]:
        top, left = (round((scaled - side) / 2) for scaled, side in zip(scaled_size, self.image_size, strict=True))
        return top, left


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """Random crop for training: a random part of the scaled photo instead of its center."""

    def __call__(self, photo: Image.Image, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return the part, uint8 of shape `(*geometry.image_size, 3)`."""
        return geometry.part(photo, *self.draw_corner(geometry.scaled_size(photo), geometry.image_size, rng))

    def draw_corner(
        self, scaled_size: tuple[int, int], image_size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[int, int]:
        """Return the row and the column of the scaled photo that the part begins with."""
        top, left = rng.integers(0, np.subtract(scaled_size, image_size), endpoint=True).tolist()
        return top, left

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the fields, ready for JSON."""
        return {"name": "random_crop"}


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """Random resized crop for training: a part of random place, area and shape, scaled to the image size.

    A part is drawn up to ten times, until it lies within the photo; else the middle is taken, as large as `ratio`
    allows.

    Source: C. Szegedy et al., "Going Deeper with Convolutions" (arXiv:1409.4842); area and shape are drawn as
    torchvision's transform of this name does.

    Args:
        scale: Least and greatest area of the part, as a share of the photo's.
        ratio: Least and greatest width of the part divided by its height.

    Raises:
        InputError: If a range is not two positive numbers in order, or `scale` exceeds 1.

    Example:

    ```python
    crop = RandomResizedCrop()
    pixels = crop(Image.open("photo.jpg"), ImageGeometry((224, 224)), np.random.default_rng(0))
    ```
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _check_range(self.scale, "scale", 1.0))
        object.__setattr__(self, "ratio", _check_range(self.ratio, "ratio", math.inf))

    def __call__(self, photo: Image.Image, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return the part, uint8 of shape `(*geometry.image_size, 3)`."""
        # Cut before scaling, so that no pixel from outside has a share in the border.
        return geometry.scaled(photo.crop(self.draw_box(photo.width, photo.height, rng)), geometry.image_size)

    def draw_box(self, photo_width: int, photo_height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the part in the photo's pixels."""
        for _ in range(_ATTEMPTS):
            area = photo_width * photo_height * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(*np.log(self.ratio)))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= photo_width and 0 < height <= photo_height:
                left, top = rng.integers(0, (photo_width - width, photo_height - height), endpoint=True).tolist()
                return left, top, left + width, top + height
        low, high = self.ratio
        width = min(photo_width, max(1, round(photo_height * high)))
        height = min(photo_height, max(1, round(photo_width / low)))
        left, top = (photo_width - width) // 2, (photo_height - height) // 2
        return left, top, left + width, top + height

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the fields, ready for JSON."""
        return {"name": "random_resized_crop", "scale": list(self.scale), "ratio": list(self.ratio)}


Crop = RandomCrop | RandomResizedCrop


def check_image_size(image_size: Any, name: str = "image_size") -> tuple[int, int]:
    """Return height and width as two integers.

    Raises:
        InputError: If it is anything but two positive whole numbers.
    """
    good = isinstance(image_size, tuple | list) and len(image_size) == 2
    if not good or not all(isinstance(side, int | np.integer) and side > 0 for side in image_size):
        raise InputError(f"Expected {name} as two positive whole numbers, received {image_size!r}.")
    return int(image_size[0]), int(image_size[1])


def _check_range(values: Any, name: str, limit: float) -> tuple[float, float]:
    good = isinstance(values, tuple | list) and len(values) == 2
    good = good and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    if not good or not 0 < values[0] <= values[1] <= limit:
        raise InputError(f"Expected {name} as two positive numbers in order, received {values!r}.")
    return float(values[0]), float(values[1])
