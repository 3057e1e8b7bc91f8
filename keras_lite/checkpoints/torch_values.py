"""What a PyTorch file holds, before its numbers are read."""

import dataclasses

import numpy as np

# PyTorch's name of a storage -> the type of its numbers in the file; bfloat16 has no type in NumPy.
STORAGE_TYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("u1"),
}


class RefusedError(Exception):
    """A file holds something that is no tensor and no plain container where tensors belong; the text says what."""


class BrokenError(Exception):
    """A file contradicts itself; the text says how."""


@dataclasses.dataclass(frozen=True)
class Storage:
    """Numbers that tensors are made of, not read yet.

    Attributes:
        key: What the file calls it.
        kind: A key of `STORAGE_TYPES`.
        size: How many numbers it has.
    """

    key: str
    kind: str
    size: int


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor whose numbers are not read yet; offset and strides count numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Foreign:
    """What stands in place of an object that is no tensor and no plain container."""

    name: str
