"""A source: the labeled images of one split of a data set."""

import abc
import copy
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from keras_lite.data.geometry import Crop, ImageGeometry
from keras_lite.errors import InputError


class Source(abc.ABC):
    """Labeled images of one size.

    Args:
        labels: Integers of shape `(count,)`, each an index into `class_names`.
        class_names: Name of each class.
        image_size: Height and width of the images.
        paths: File of each image, where it comes from one.
        geometry: How the photos come to that size. `None`: there are no photos of another size.

    Raises:
        InputError: If there is no image, or a label is outside the classes.
    """

    def __init__(
        self,
        labels: np.ndarray,
        class_names: list[str],
        image_size: tuple[int, int],
        *,
        paths: list[Path] | None = None,
        geometry: ImageGeometry | None = None,
    ) -> None:
        self.labels = np.asarray(labels)
        if self.labels.ndim != 1 or not np.issubdtype(self.labels.dtype, np.integer) or not len(self.labels):
            raise InputError(
                f"Expected a list of one or more whole numbers as labels, "
                f"received {self.labels.dtype} of shape {self.labels.shape}."
            )
        self.labels = self.labels.astype("int64")
        self.class_names = list(class_names)
        low, high = self.labels.min(), self.labels.max()
        if low < 0 or high >= len(self.class_names):
            raise InputError(f"Expected labels from 0 to {len(self.class_names) - 1}, received from {low} to {high}.")
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.paths = paths
        self.geometry = geometry

    def __len__(self) -> int:
        return len(self.labels)

    def with_labels(self, labels: np.ndarray, class_names: list[str] | None = None) -> Self:
        """Return the same images with other labels.

        Args:
            labels: Integers of shape `(count,)`.
            class_names: What they are indices into; `None`: the same classes as here.
        """
        other = copy.copy(self)
        other.labels = labels
        if class_names is not None:
            other.class_names = list(class_names)
        return other

    @abc.abstractmethod
    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return the images with these indices as a new uint8 array `(len(indices), height, width, 3)`."""

    @abc.abstractmethod
    def crops(self, indices: np.ndarray, crop: Crop, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return a random part of each of the photos with these indices.

        Args:
            indices: Which photos.
            crop: What part.
            geometry: Size of the result, and how photos are scaled.
            rng: Where all random numbers come from; each photo has its own generator, spawned from this one.

        Returns:
            uint8 array of shape `(len(indices), *geometry.image_size, 3)`.
        """


class ArraySource(Source):
    """Labeled images in memory.

    Args:
        images: uint8 array of shape `(count, height, width, 3)`.
        labels: Integers of shape `(count,)`, each an index into `class_names`.
        class_names: Name of each class.
        paths: File of each image, where it comes from one.

    Raises:
        InputError: If types, shapes or labels are wrong.

    Example:

    ```python
    source = ArraySource(np.zeros((2, 32, 32, 3), "uint8"), [0, 1], ["cat", "dog"])
    source.images([1]).shape  # (1, 32, 32, 3)
    ```
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        class_names: list[str],
        paths: list[Path] | None = None,
    ) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise InputError(
                f"Expected uint8 images of shape (count, height, width, 3), "
                f"received {images.dtype} of shape {images.shape}."
            )
        super().__init__(labels, class_names, images.shape[1:3], paths=paths)
        if len(images) != len(self.labels):
            raise InputError(f"Expected one label an image, received {len(images)} images, {len(self)} labels.")
        self._images = images

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return a copy of the images with these indices."""
        return self._images[np.asarray(indices, "int64")]

    def crops(self, indices: np.ndarray, crop: Crop, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return a random part of each of the images with these indices, as of photos of this size."""
        images = np.empty((len(indices), *geometry.image_size, 3), "uint8")
        for image, index, own_rng in zip(images, indices, rng.spawn(len(indices)), strict=True):
            image[...] = crop(Image.fromarray(self._images[index]), geometry, own_rng)
        return images


class Subset(Source):
    """Some images of a source.

    Args:
        source: The source.
        indices: Indices of the images, in the order wanted.
    """

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        paths = None if source.paths is None else [source.paths[index] for index in indices]
        super().__init__(
            source.labels[indices], source.class_names, source.image_size, paths=paths, geometry=source.geometry
        )
        self._source = source
        self._indices = np.asarray(indices)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return the images with these indices."""
        return self._source.images(self._indices[np.asarray(indices)])

    def crops(self, indices: np.ndarray, crop: Crop, geometry: ImageGeometry, rng: np.random.Generator) -> np.ndarray:
        """Return a random part of each of the photos with these indices."""
        return self._source.crops(self._indices[np.asarray(indices)], crop, geometry, rng)


def with_classes(source: Source, class_names: list[str]) -> Source:
    """Return a source with labels that count in the order of a model's classes.

    Args:
        source: Images of some of the model's classes, in any order.
        class_names: The model's classes.

    Raises:
        InputError: If the source has a class that the model doesn't know.

    Example:

    >>> pixels = np.zeros((2, 8, 8, 3), "uint8")
    >>> with_classes(ArraySource(pixels, np.array([0, 1]), ["owl", "cat"]), ["cat", "dog", "owl"]).labels.tolist()
    [2, 0]
    """
    numbers = {name: number for number, name in enumerate(class_names)}
    unknown = [name for name in source.class_names if name not in numbers]
    if unknown:
        known = ", ".join(map(repr, class_names[:3])) + (", ..." if len(class_names) > 3 else "")
        raise InputError(
            f"Expected data of the {len(class_names)} classes that the model knows ({known}), received {len(unknown)} "
            f"others, such as {unknown[0]!r}."
        )
    return source.with_labels(np.array([numbers[name] for name in source.class_names])[source.labels], class_names)
