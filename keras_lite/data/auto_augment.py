"""RandAugment and TrivialAugment: random operations from a fixed list, for each image anew.

`keras.layers.RandAugment` is not used: it draws the operations once for a whole batch, carries out all eleven of them
to keep two, and so makes 435 images of 32x32 a second on one core with TensorFlow and 135 with PyTorch; Pillow makes
8,000. There is no TrivialAugment in Keras.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from keras_lite.errors import InputError

_LEVELS = 31


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """RandAugment: several operations of one magnitude, drawn for each image out of 14.

    Source: E. Cubuk et al., "RandAugment" (arXiv:1909.13719).

    Args:
        operations: Operations for each image, one after another.
        magnitude: Their strength, from 0 to 30.

    Raises:
        InputError: If a value is out of its range.

    Example:

    ```python
    photos = RandAugment(operations=2, magnitude=9)(photos, np.random.default_rng(0))
    ```
    """

    operations: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        if type(self.operations) is not int or self.operations < 1:
            raise InputError(f"Expected 1 or more operations, received {self.operations!r}.")
        if type(self.magnitude) is not int or not 0 <= self.magnitude < _LEVELS:
            raise InputError(f"Expected a magnitude from 0 to {_LEVELS - 1}, received {self.magnitude!r}.")

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the changed images: uint8 `(count, height, width, 3)`, as they came."""
        strengths = {**_STRENGTHS, **_shifts(images, share=150 / 331)}
        levels = np.full((self.operations, len(images)), self.magnitude)
        return _change(images, levels, strengths, rng)

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the fields, ready for JSON."""
        return {"name": "rand_augment", **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class TrivialAugment:
    """TrivialAugment (wide): one operation of random magnitude, drawn for each image out of 14.

    Source: S. Müller and F. Hutter, "TrivialAugment" (arXiv:2103.10158).

    Example:

    ```python
    photos = TrivialAugment()(photos, np.random.default_rng(0))
    ```
    """

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the changed images: uint8 `(count, height, width, 3)`, as they came."""
        levels = rng.integers(0, _LEVELS, (1, len(images)))
        return _change(images, levels, _WIDE_STRENGTHS, rng)

    def to_dict(self) -> dict[str, Any]:
        """Return the name, ready for JSON."""
        return {"name": "trivial_augment"}


def _affine(*matrix: float) -> Callable[[Image.Image], Image.Image]:
    """Return what gives each pixel the value of the pixel at `(a x + b y + c, d x + e y + f)`, outside black."""
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


# From an image and a strength, which may be negative where the direction is random, to the changed image.
OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda image, strength: image,
    "shear_x": lambda image, strength: _affine(1, strength, 0, 0, 1, 0)(image),
    "shear_y": lambda image, strength: _affine(1, 0, 0, strength, 1, 0)(image),
    "translate_x": lambda image, strength: _affine(1, 0, -round(strength), 0, 1, 0)(image),
    "translate_y": lambda image, strength: _affine(1, 0, 0, 0, 1, -round(strength))(image),
    "rotate": lambda image, strength: image.rotate(strength, Image.Resampling.NEAREST),
    "brightness": lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + strength),
    "color": lambda image, strength: ImageEnhance.Color(image).enhance(1 + strength),
    "contrast": lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + strength),
    "sharpness": lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + strength),
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(strength)),
    "solarize": lambda image, strength: ImageOps.solarize(image, 255 - strength),
    "autocontrast": lambda image, strength: ImageOps.autocontrast(image),
    "equalize": lambda image, strength: ImageOps.equalize(image),
}
_NAMES = list(OPERATIONS)
_ONE_WAY = ("posterize", "solarize")
# The strength of each operation at the greatest magnitude; it grows with the magnitude from nothing.
_STRENGTHS = {
    "shear_x": 0.3,
    "shear_y": 0.3,
    "rotate": 30.0,
    "brightness": 0.9,
    "color": 0.9,
    "contrast": 0.9,
    "sharpness": 0.9,
    "posterize": 4.0,
    "solarize": 255.0,
}
_WIDE_STRENGTHS = {
    "shear_x": 0.99,
    "shear_y": 0.99,
    "translate_x": 32.0,
    "translate_y": 32.0,
    "rotate": 135.0,
    "brightness": 0.99,
    "color": 0.99,
    "contrast": 0.99,
    "sharpness": 0.99,
    "posterize": 6.0,
    "solarize": 255.0,
}


def _shifts(images: np.ndarray, share: float) -> dict[str, float]:
    return {"translate_x": share * images.shape[2], "translate_y": share * images.shape[1]}


def _change(
    images: np.ndarray, levels: np.ndarray, strengths: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """Apply to each image as many random operations as `levels` `(operations, count)` has rows."""
    chosen = rng.integers(0, len(_NAMES), levels.shape)
    directions = rng.choice([-1, 1], levels.shape)
    changed = np.empty_like(images)
    for number, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        for operation, level, direction in zip(
            chosen[:, number], levels[:, number], directions[:, number], strict=True
        ):
            name = _NAMES[operation]
            strength = strengths.get(name, 0.0) * level / (_LEVELS - 1)
            image = OPERATIONS[name](image, strength if name in _ONE_WAY else strength * direction)
        changed[number] = np.asarray(image)
    return changed
