"""GridMask and FMix with the layers of KerasCV, which Keras itself does not have.

Each image is worked on alone, by a function that TensorFlow traces once a size: KerasCV's own loop over a batch makes 6
to 50 images of 32x32 a second outside `tf.function`. Whatever a layer draws comes from a seed of that image: with
its own `seed` alone KerasCV draws GridMask's ratio, and FMix's partners and shares, from TensorFlow's global state.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_lite.errors import import_extra

# A layer's generators are set and then drawn from.
_ONE_AT_A_TIME = threading.Lock()


@dataclasses.dataclass(frozen=True)
class GridMask:
    """Blacks out a grid of squares, for each image of another size, place and angle.

    Source: P. Chen et al., "GridMask Data Augmentation" (arXiv:2001.04086), with `keras_cv.layers.GridMask`: the
    squares' side is up to half of their distance.

    Raises:
        MissingExtraError: If KerasCV is not installed.

    Example:

    ```python
    photos = GridMask()(photos, np.random.default_rng(0))  # needs pip install "keras-lite[keras-cv]"
    ```
    """

    def __post_init__(self) -> None:
        import_keras_cv()

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the changed images: uint8 `(count, height, width, 3)`, as they came."""
        ratios = rng.uniform(0, 0.5, len(images)).astype("float32")
        seeds = rng.integers(2**31, size=(len(images), 2))
        with _ONE_AT_A_TIME, _tensorflow().device("CPU:0"):
            change = _grid_mask(images.shape[1:])
            changed = [change(*drawn).numpy() for drawn in zip(images.astype("float32"), ratios, seeds, strict=True)]
        return np.stack(changed).astype("uint8")

    def to_dict(self) -> dict[str, Any]:
        """Return the name, ready for JSON."""
        return {"name": "grid_mask"}


def fourier_masks(shares: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return masks of FMix: smooth random areas, each with its share of the pixels.

    Source: E. Harris et al., "FMix" (arXiv:2002.12047), with the masks of `keras_cv.layers.FourierMix`.

    Args:
        shares: Share of ones in each mask, from 0 to 1.
        height: Of a mask, in pixels.
        width: Of a mask, in pixels.
        rng: Where all random numbers come from.

    Returns:
        float32 array of zeros and ones, of shape `(len(shares), height, width, 1)`.

    Raises:
        MissingExtraError: If KerasCV is not installed.
    """
    seeds = rng.integers(2**31, size=len(shares))
    with _ONE_AT_A_TIME, _tensorflow().device("CPU:0"):
        mask = _fourier_mask(height, width)
        masks = [mask(*drawn).numpy() for drawn in zip(np.float32(shares), seeds, strict=True)]
    return np.stack(masks)[..., None]


def import_keras_cv() -> Any:
    """Return KerasCV.

    Raises:
        MissingExtraError: If it is not installed.
    """
    if keras.backend.backend() != "tensorflow":
        with contextlib.suppress(RuntimeError):  # it has begun to use them
            _tensorflow().config.set_visible_devices([], "GPU")  # their memory is for JAX or PyTorch
    return import_extra("keras_cv", "keras-cv")


def _tensorflow() -> Any:
    return import_extra("tensorflow", "keras-cv")


@functools.cache
def _grid_mask(shape: tuple[int, int, int]) -> Callable[..., Any]:
    tf, keras_cv = _tensorflow(), import_keras_cv()
    drawn = tf.Variable(0.0)
    layer = keras_cv.layers.GridMask(keras_cv.core.ConstantFactorSampler(drawn), seed=0, dtype="float32")

    @tf.function(
        input_signature=[
            tf.TensorSpec(shape, "float32"),
            tf.TensorSpec((), "float32"),
            tf.TensorSpec((2,), "int64"),
        ]
    )
    def change(image: Any, ratio: Any, seeds: Any) -> Any:
        drawn.assign(ratio)
        layer._random_generator.reset_from_seed(seeds[0])
        layer.random_rotate._random_generator.reset_from_seed(seeds[1])
        return layer(image)

    return change


@functools.cache
def _fourier_mask(height: int, width: int) -> Callable[..., Any]:
    tf, keras_cv = _tensorflow(), import_keras_cv()
    layer = keras_cv.layers.FourierMix(seed=0, dtype="float32")

    @tf.function(input_signature=[tf.TensorSpec((), "float32"), tf.TensorSpec((), "int64")])
    def mask(share: Any, seed: Any) -> Any:
        layer._random_generator.reset_from_seed(seed)
        size = tf.constant([height, width])
        return layer._binarise_mask(layer._sample_mask_from_transform(layer.decay_power, size), share, size)

    return mask
