"""Which images train, validate and test."""

import numpy as np

from keras_lite.data import Crop, ImageGeometry, Source
from keras_lite.errors import InputError


class Subset(Source):
    """Some images of a source.

    Args:
        source: The source.
        indices: Which of its images, in the order they are to have.
    """

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        paths = None if source.paths is None else [source.paths[index] for index in indices]
        super().__init__(source.labels[indices], source.class_names, source.image_size, paths, source.geometry)
        self._source = source
        self._indices = np.asarray(indices)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return the images with these indices."""
        return self._source.images(self._indices[np.asarray(indices)])

    def crops(self, indices: np.ndarray, crop: Crop, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return a random part of each of the photos with these indices."""
        return self._source.crops(self._indices[np.asarray(indices)], crop, geometry, rng)


def with_validation(data: dict[str, Source], share: float, seed: int) -> dict[str, Source]:
    """Return the splits `"train"`, `"valid"` and, where there is one, `"test"`.

    Data without a validation split gets one: a share of the training images, drawn by seed. The test split is
    never used for it.

    Raises:
        InputError: If there are no training images, or too few to divide.
    """
    if "train" not in data:
        raise InputError(f"Expected a split named train, received {', '.join(data) or 'none'}.")
    if "valid" in data:
        return data
    train = data["train"]
    held_out = round(len(train) * share)
    if not 0 < held_out < len(train):
        raise InputError(
            f"Expected enough training images to hold out a share of {share} for validation, received {len(train)}."
        )
    order = np.random.default_rng((seed, len(train))).permutation(len(train))
    return data | {
        "train": Subset(train, np.sort(order[held_out:])),
        "valid": Subset(train, np.sort(order[:held_out])),
    }
