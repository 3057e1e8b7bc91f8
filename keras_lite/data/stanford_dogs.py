"""Stanford Dogs as its archives unpack: the folder Images and MATLAB files with the two splits.

Source: A. Khosla et al., "Novel Dataset for Fine-Grained Image Categorization" (FGVC workshop at CVPR, 2011).
"""

import os
from pathlib import Path, PurePosixPath

import numpy as np

from keras_lite.data.geometry import ImageGeometry
from keras_lite.data.mat_file import read_mat
from keras_lite.data.photo_tree import PhotoTree
from keras_lite.data.photos import CACHE_BYTES, load_photos
from keras_lite.data.sources import Source
from keras_lite.errors import InputError, some

_LIST_FOLDERS = ("lists", "file_list", ".")
_LISTS = {"train": "train_list.mat", "test": "test_list.mat"}


def is_stanford_dogs(data_dir: str | os.PathLike) -> bool:
    """Return whether a folder holds the folder Images, and no other data set's layout."""
    return (Path(data_dir) / "Images").is_dir()


def open_stanford_dogs(
    data_dir: str | os.PathLike,
    image_size: tuple[int, int] | ImageGeometry,
    *,
    skip_broken: bool = False,
    cache_bytes: int = CACHE_BYTES,
    verbose: int = 0,
) -> dict[str, Source]:
    """Return the sources of Stanford Dogs: 12,000 training and 8,580 test photos of 120 breeds.

    Args:
        data_dir: The folder with `Images/n02085620-Chihuahua/*.jpg` and so on, and with `train_list.mat` and
            `test_list.mat`, in itself or in its folder `lists` or `file_list`.
        image_size: Height and width that every photo is brought to, or an `ImageGeometry`.
        skip_broken: Whether to leave out broken photos, with a warning that lists them.
        cache_bytes: As in `open_image_folder`.
        verbose: 1 shows progress.

    Returns:
        The sources "train" and "test"; the classes are named like the folders, in the order of the labels.

    Raises:
        InputError: If a list or a photo is missing or broken, or the lists contradict the folders or each other.

    Example:

    ```python
    sources = open_stanford_dogs("StanfordDogs", ImageGeometry((224, 224), (256, 256), keep_aspect=False))
    ```
    """
    root = Path(data_dir)
    images = root / "Images"
    class_names = [folder.name for folder in PhotoTree.read(images).folders]
    if len(class_names) < 2:
        raise InputError(f"Expected a folder for each breed in {images}, found {len(class_names)}.")
    lists = {split: _find_list(root, name) for split, name in _LISTS.items()}
    photos = {split: _read_list(path, images, class_names) for split, path in lists.items()}
    both = {path for path, _ in photos["train"]} & {path for path, _ in photos["test"]}
    if both:
        raise InputError(f"Expected each photo in one list, received {min(both)} in {lists['train']} and the other.")
    geometry = ImageGeometry.of(image_size)
    return load_photos(photos, class_names, geometry, skip_broken=skip_broken, cache_bytes=cache_bytes, verbose=verbose)


def _find_list(root: Path, name: str) -> Path:
    for folder in _LIST_FOLDERS:
        if (root / folder / name).is_file():
            return root / folder / name
    raise InputError(f"Expected the list of photos {root / _LIST_FOLDERS[0] / name}, which does not exist.")


def _read_list(path: Path, images: Path, class_names: list[str]) -> list[tuple[Path, int]]:
    """Return the photos of one split with their labels from 0."""
    variables = read_mat(path)
    files, labels = variables.get("file_list"), variables.get("labels")
    if not isinstance(files, list) or not files or not all(isinstance(name, str) for name in files):
        raise InputError(f"Expected a list of texts as file_list in {path}.")
    if not isinstance(labels, np.ndarray) or labels.size != len(files):
        raise InputError(f"Expected {len(files)} numbers as labels in {path}.")
    numbers = {name: number for number, name in enumerate(class_names)}
    photos = []
    for name, label in zip(files, labels.ravel().tolist(), strict=True):
        parts = PurePosixPath(name).parts
        # Only a file of a folder in Images: a list from elsewhere must not lead to other files.
        if len(parts) != 2 or parts[0] not in numbers or parts[1] == "..":
            raise InputError(f"Expected BREED/photo.jpg with a breed of {images} in {path}, received {name!r}.")
        number = numbers[parts[0]]
        if label != number + 1:  # MATLAB counts from 1
            raise InputError(f"Expected the label {number + 1} for {name} in {path}, received {label:g}.")
        photos.append((images / name, number))
    missing = sorted(set(class_names) - {photo.parent.name for photo, _ in photos})
    if missing:
        raise InputError(f"Expected photos of all {len(class_names)} breeds in {path}, none of {some(missing)}.")
    return photos
