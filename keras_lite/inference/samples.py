"""Real images to calibrate and verify with, and models' outputs for them."""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from keras_lite.data import Preprocessing, Source, is_named, open_data, read_image
from keras_lite.data.cifar import find_cifar
from keras_lite.data.photo_tree import find_photos
from keras_lite.errors import InputError

_CHUNK = 200


def read_samples(
    data_dir: str | os.PathLike, preprocessing: Preprocessing, count: int, *, seed: int = 0, verbose: int = 0
) -> np.ndarray:
    """Return some images of a data set, preprocessed; of a folder no others are read.

    Args:
        data_dir: A folder with images at any depth, labeled or not; a folder with CIFAR's python files; or a name
            that `open_data` knows, such as `"shapes"`.
        preprocessing: Size and normalization.
        count: How many. Of fewer images all are taken.
        seed: What the choice is drawn from.
        verbose: 1 prints if a data set is downloaded.

    Returns:
        float32 array of shape `(count, height, width, 3)`.

    Raises:
        InputError: If there are no images, or a chosen one is broken.
    """
    root = Path(data_dir)
    if is_named(data_dir) or find_cifar(root):
        sources = open_data(data_dir, preprocessing.geometry, verbose=verbose)
        return sample(next(iter(sources.values())), preprocessing, count, seed)
    paths = find_photos(root)
    chosen = _choose(len(paths), count, seed)
    return preprocessing(np.stack([read_image(paths[index], preprocessing.geometry) for index in chosen]))


def sample(source: Source, preprocessing: Preprocessing, count: int, seed: int = 0) -> np.ndarray:
    """Return some images of a source, preprocessed: `count` of them, or all, in an order drawn from `seed`."""
    return preprocessing(source.images(_choose(len(source), count, seed)))


def outputs_of(
    predict: Callable[[np.ndarray], np.ndarray],
    source: Source,
    preprocessing: Preprocessing,
    *,
    title: str,
    verbose: int = 0,
) -> np.ndarray:
    """Return a model's outputs for all images of a source, in order, of shape `(count, classes)`.

    Args:
        predict: From preprocessed float32 images to outputs.
        source: The images.
        preprocessing: Their preprocessing.
        title: What is shown before the progress bar.
        verbose: 1 shows both.
    """
    if verbose:
        print(title)
    progress = keras.utils.Progbar(len(source), verbose=verbose, unit_name="image")
    parts = []
    for start in range(0, len(source), _CHUNK):
        indices = np.arange(start, min(start + _CHUNK, len(source)))
        parts.append(np.asarray(predict(preprocessing(source.images(indices)))))
        progress.update(int(indices[-1]) + 1)
    return np.concatenate(parts)


def _choose(available: int, count: int, seed: int) -> np.ndarray:
    if count < 1:
        raise InputError(f"Expected a positive number of images, received {count}.")
    return np.random.default_rng(seed).permutation(available)[:count]
