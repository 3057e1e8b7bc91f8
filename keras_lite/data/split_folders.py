"""Which folders of a data set are its splits, by their names."""

import re
from pathlib import Path

from keras_lite.data.photo_tree import PhotoTree
from keras_lite.errors import InputError

SPLITS = ("train", "valid", "test")
_WORDS = {
    "train": ("train", "training", "trainset"),
    "valid": ("valid", "validation", "validate", "val", "dev", "validset", "valset", "devset"),
    "test": ("test", "testing", "tests", "testset"),
}
# What may stand beside such a word.
_FILLERS = frozenset(
    ("set", "data", "dataset", "split", "folder", "image", "images", "img", "imgs", "photo", "photos", "pics")
)
# Words for images that are kept apart, too, without saying which they are.
_MORE_WORDS = frozenset(("eval", "evaluation", "holdout", "unseen", "trainval"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def split_of(name: str) -> str | None:
    """Return the split that a name says, in any case and with words such as "set" or "images", or `None`.

    Example:

    >>> [keras_lite.data.split_folders.split_of(name) for name in ("Training", "TEST_IMAGES", "ValSet", "cats")]
    ['train', 'test', 'valid', None]
    """
    split, rest = _parse(name)
    return None if rest else split


def find_splits(tree: PhotoTree, with_classes: bool = False) -> dict[str, PhotoTree]:
    """Return the folder of each split that is there, in the order of `SPLITS`.

    Folders such as `seg_train` and `seg_test` are splits if there are two with the same other words. A split's folder
    that holds only one more of its name, as some archives have it, is passed through.

    Args:
        tree: The folder that they lie in.
        with_classes: Whether only folders count whose photos lie in folders of their own: a class may be called train.

    Raises:
        InputError: If there are two folders for a split.
    """
    folders = [folder for folder in tree.folders if not with_classes or len(folder.all_photos) > 2 * len(folder.photos)]
    parsed = [(*_parse(folder.name), folder) for folder in folders]
    found = [(split, folder) for split, rest, folder in parsed if split and not rest]
    if not found:
        groups: dict[tuple[str, ...], list[tuple[str, PhotoTree]]] = {}
        for split, rest, folder in parsed:
            if split:
                groups.setdefault(rest, []).append((split, folder))
        found = next((group for group in groups.values() if len({split for split, _ in group}) > 1), [])
    splits = {}
    for split in SPLITS:
        folders = [folder for its_split, folder in found if its_split == split]
        if len(folders) > 1:
            raise InputError(
                f"Expected one folder for the {split} split in {tree.path}, "
                f"received {' and '.join(folder.name for folder in folders)}."
            )
        if folders:
            splits[split] = _inmost(folders[0], split)
    return splits


def split_beside_train(folder: Path) -> str | None:
    """Return "valid" or "test" if a folder is called so and lies beside one of the training photos."""
    folder = folder.resolve()
    split = split_of(folder.name)
    if split in ("valid", "test") and any(
        split_of(other.name) == "train" and other.is_dir() for other in folder.parent.iterdir()
    ):
        return split
    return None


def may_be_split(name: str) -> bool:
    """Return whether a name contains a word that names splits."""
    words = {word.lower() for word in _WORD.findall(name)}
    return not words.isdisjoint(_MORE_WORDS.union(*_WORDS.values()))


def _parse(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the split that one word of a name says, if it is one alone, and the words that say something else."""
    words = [word.lower() for word in _WORD.findall(name)]
    said = [split for split, names in _WORDS.items() for word in words if word in names]
    known = _FILLERS.union(*_WORDS.values())
    return (said[0] if len(said) == 1 else None), tuple(word for word in words if word not in known)


def _inmost(folder: PhotoTree, split: str) -> PhotoTree:
    while not folder.photos and len(folder.class_folders) == 1:
        [inner] = folder.class_folders
        same_name = inner.name.lower() == folder.name.lower() or split_of(inner.name) == split
        if not same_name or not inner.class_folders or inner.photos:
            break
        folder = inner
    return folder
