"""What changes in a batch as a whole: random erasing, mixup, CutMix, FMix.

A layer of Keras is made anew for every batch, with a seed of its own: what comes out depends on the batch and that
seed alone, whichever thread asks and whatever was asked before. It runs on the CPU, which leaves the accelerator to the
model.
"""

import dataclasses
import math
import threading
from typing import Any

import keras
import numpy as np

from keras_lite.data.keras_cv_masks import fourier_masks, import_keras_cv
from keras_lite.errors import InputError

# On PyTorch Keras draws some numbers from the one generator of the process, which it seeds first.
_ONE_AT_A_TIME = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Mix:
    """Mixup or CutMix: each image of a batch is mixed with another one, and so are their labels.

    With mixup two images are shown through each other; with cutmix a rectangle of one is pasted over the other, with
    FMix smooth areas of any shape. Where several are wanted, each batch gets one of them, with equal chances.

    Sources: H. Zhang et al., "mixup" (arXiv:1710.09412), with `keras.layers.MixUp`; S. Yun et al., "CutMix"
    (arXiv:1905.04899), with `keras.layers.CutMix`; E. Harris et al., "FMix" (arXiv:2002.12047), with the masks of
    `keras_cv.layers.FourierMix`.

    Args:
        mixup: Alpha of the beta distribution that an image's share is drawn from; 0: no mixup.
        cutmix: The same for the area of the rectangle, at most 1; 0: no cutmix.
        fourier: The same for the areas of FMix; 0: no FMix.

    Raises:
        InputError: If a value is out of its range, or all are 0.
        MissingExtraError: If FMix is wanted and KerasCV is not installed.

    Example:

    ```python
    images, labels = Mix(mixup=0.2, cutmix=1.0)(images, one_hot_labels, np.random.default_rng(0))
    ```
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    fourier: float = 0.0

    def __post_init__(self) -> None:
        if not _is_number(self.mixup) or self.mixup < 0:
            raise InputError(f"Expected 0 or a positive number for mixup, received {self.mixup!r}.")
        if not _is_number(self.cutmix) or not 0 <= self.cutmix <= 1:
            raise InputError(f"Expected a number from 0 to 1 for cutmix, received {self.cutmix!r}.")
        if not _is_number(self.fourier) or self.fourier < 0:
            raise InputError(f"Expected 0 or a positive number for fourier, received {self.fourier!r}.")
        if not self._kinds:
            raise InputError("Expected mixup, cutmix or fourier to be positive, received 0 for all.")
        if self.fourier:
            import_keras_cv()

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the mixed images and labels of a batch.

        Args:
            images: float32 array of shape `(count, height, width, 3)`.
            labels: float32 array of shape `(count, classes)`, one-hot.
            rng: Where all random numbers come from.

        Returns:
            Images and labels of the same shapes; each row of the labels sums to 1.
        """
        seed, coin = draw_seed(rng), rng.random()
        kind = self._kinds[int(coin * len(self._kinds))]
        if kind == "fourier":
            return self._mix_areas(images, labels, rng)
        with _ONE_AT_A_TIME, keras.device("cpu"):
            if kind == "mixup":
                layer = keras.layers.MixUp(self.mixup, seed=seed, dtype="float32")
            else:
                layer = keras.layers.CutMix((self.cutmix, self.cutmix), seed=seed, dtype="float32")
            mixed = layer({"images": images, "labels": labels}, training=True)
        return keras.ops.convert_to_numpy(mixed["images"]), keras.ops.convert_to_numpy(mixed["labels"])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return dataclasses.asdict(self)

    @property
    def _kinds(self) -> list[str]:
        return [name for name, alpha in dataclasses.asdict(self).items() if alpha]

    def _mix_areas(
        self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        others = rng.permutation(len(images))
        shares = rng.beta(self.fourier, self.fourier, len(images)).astype("float32")
        masks = fourier_masks(shares, *images.shape[1:3], rng)
        mixed = np.where(masks == 1, images, images[others])
        return mixed, shares[:, None] * labels + (1 - shares[:, None]) * labels[others]


def erase(images: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Return the images of a batch, some with a random rectangle filled with noise.

    Source: Z. Zhong et al., "Random Erasing Data Augmentation" (arXiv:1708.04896), with `keras.layers.RandomErasing`:
    the rectangle has 2 to 33% of the image.

    Args:
        images: uint8 array of shape `(count, height, width, 3)`.
        probability: For each image, that it is changed.
        rng: Where all random numbers come from.

    Returns:
        uint8 array of the same shape.
    """
    with _ONE_AT_A_TIME, keras.device("cpu"):
        layer = keras.layers.RandomErasing((probability, probability), seed=draw_seed(rng), dtype="float32")
        return keras.ops.convert_to_numpy(layer(images, training=True)).astype("uint8")


def draw_seed(rng: np.random.Generator) -> int:
    """Return a seed that Keras takes on every backend."""
    return int(rng.integers(2**31))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
