"""TFRecords as tensorflow-datasets writes them, and a stand-in for the package."""

import io
import types
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

NAMES = ["ant", "bee", "cat"]


def write_records(path, count, label=None):
    """Write TFRecords as tensorflow-datasets does: one image each, its file and its label."""
    import tensorflow as tf

    def feature(**value):
        return tf.train.Feature(**{kind: getattr(tf.train, name)(value=v) for kind, (name, v) in value.items()})

    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(count):
            file = io.BytesIO()
            Image.new("RGB", (10 + number, 9), (50 * number, 0, 0)).save(file, "png")
            features = {
                "image": feature(bytes_list=("BytesList", [file.getvalue()])),
                "image/filename": feature(bytes_list=("BytesList", [f"{number}.png".encode()])),
                "label": feature(int64_list=("Int64List", [number % 3 if label is None else label])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


class Features:
    """Like the package's, no dictionary."""

    names = NAMES

    def items(self):
        return [("image", object()), ("image/filename", object()), ("label", types.SimpleNamespace(names=self.names))]


def stand_in(name: str, folder: Path, data_dirs: Sequence[str | None]) -> types.ModuleType:
    """Return a stand-in for the package: it knows a set of two files of training images and one of validation images.

    Args:
        name: The set's name.
        folder: Where its files are written.
        data_dirs: Folders where it is found.
    """
    files = {"train": [folder / f"{name}-train.tfrecord-0000{number}-of-00002" for number in range(2)]}
    files["validation"] = [folder / f"{name}-validation.tfrecord-00000-of-00001"]
    for path in [path for paths in files.values() for path in paths]:
        write_records(path, 4)
    splits = {split: types.SimpleNamespace(filepaths=list(map(str, paths))) for split, paths in files.items()}
    info = types.SimpleNamespace(splits=splits, features=Features())

    def builder(asked, data_dir=None):
        if asked != name or data_dir not in data_dirs:
            raise ValueError(f"no set {asked}\nin {data_dir}")
        return types.SimpleNamespace(info=info)

    module = types.ModuleType("tensorflow_datasets")
    module.builder = builder
    return module
