"""The contents of a folder of photos, at any depth."""

import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from keras_lite.data.photo_files import in_words, is_passed_over, is_photo
from keras_lite.errors import InputError, some, warn


@dataclasses.dataclass(frozen=True)
class PhotoTree:
    """A folder and its contents, without hidden files and those that operating systems leave behind.

    Attributes:
        path: The folder.
        photos: The photos that lie directly in it, sorted by name.
        others: The files directly in it that are no photos, or can't be read as such.
        folders: Its folders, sorted by name.
    """

    path: Path
    photos: list[Path]
    others: list[Path]
    folders: "list[PhotoTree]"

    @classmethod
    def read(cls, folder: str | os.PathLike) -> "PhotoTree":
        """Read a folder.

        Raises:
            InputError: If there is no such folder.
        """
        root = Path(folder)
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing"
            raise InputError(f"Expected a folder of photos at {root}, found {found}.")
        return cls._read(root, (root.resolve(),))

    @classmethod
    def _read(cls, path: Path, above: tuple[Path, ...]) -> "PhotoTree":
        """Read a folder; `above` are the places of the folders that it lies in, where no link may lead back to."""
        photos, others, folders = [], [], []
        with os.scandir(path) as entries:
            found = sorted((entry for entry in entries if not is_passed_over(entry.name)), key=lambda e: e.name)
        for entry in found:
            place = path / entry.name
            if entry.is_dir():
                real = place.resolve() if entry.is_symlink() else above[-1] / entry.name
                if real not in above:
                    folders.append(cls._read(place, (*above, real)))
            elif entry.is_file() and is_photo(place):
                photos.append(place)
            else:
                others.append(place)
        return cls(path, photos, others, folders)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @functools.cached_property
    def all_photos(self) -> list[Path]:
        """The photos at any depth: those of the folder itself first, then those of its folders in order."""
        return [photo for tree in self.walk() for photo in tree.photos]

    @functools.cached_property
    def all_others(self) -> list[Path]:
        """The files at any depth that are no photos."""
        return [path for tree in self.walk() for path in tree.others]

    @property
    def class_folders(self) -> "list[PhotoTree]":
        """The folders in it that have photos, at any depth."""
        return [folder for folder in self.folders if folder.all_photos]

    def walk(self) -> "Iterator[PhotoTree]":
        """Yield the folder itself and all folders in it, at any depth."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def contents(self) -> str:
        """Return the names in the folder, the first few of them, as text."""
        names = sorted(
            [f"{folder.name}/" for folder in self.folders] + [path.name for path in self.photos + self.others]
        )
        return some(names) if names else "nothing"

    def unread(self) -> str:
        """Return a text on the files, at any depth, that are no photos, and what to do; empty if there are none."""
        return f" No photos that can be read: {in_words(self.all_others, self.path)}." if self.all_others else ""


def find_photos(folder: str | os.PathLike) -> list[Path]:
    """Return the photos in a folder, at any depth, sorted; a warning says what else lies there.

    Raises:
        InputError: If there is no such folder, or no photo in it.
    """
    tree = PhotoTree.read(folder)
    if not tree.all_photos:
        raise InputError(f"Expected photos in {tree.path}, found {tree.contents()}.{tree.unread()}")
    tell_unread(tree)
    return sorted(tree.all_photos)


def tell_unread(tree: PhotoTree) -> None:
    """Warn which files of a folder are no photos, in one line."""
    if tree.all_others:
        warn(f"left out of {tree.path}: {in_words(tree.all_others, tree.path)}")
