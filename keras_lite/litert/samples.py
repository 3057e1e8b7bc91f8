"""What models take, sample by sample: one array, or one for each of several inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_lite.errors import InputError

# What users give: an array for the one input, arrays in the order of the inputs, or arrays by their names.
Given = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]


class Samples:
    """Samples of a model with several inputs: an array for each, of the same length.

    Slices and numbers choose samples, as they do of an array.

    Args:
        arrays: The arrays, in the order of the inputs.

    Raises:
        InputError: If they are of different lengths.

    Example:

    >>> samples = Samples([np.zeros((8, 4)), np.ones((8, 32, 32, 3))])
    >>> len(samples), [array.shape for array in samples[::2].arrays]
    (8, [(4, 4), (4, 32, 32, 3)])
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = list(arrays)
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) != 1:
            raise InputError(f"Expected as many samples for each input, received {', '.join(map(str, lengths))}.")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, chosen: slice | np.ndarray) -> "Samples":
        return Samples([array[chosen] for array in self.arrays])


def arrays_of(samples: Any, names: Sequence[str] = ("",)) -> list[np.ndarray]:
    """Return the array of each input of a model.

    Args:
        samples: An array or `Samples`; a list of arrays, or a dictionary of them by the inputs' names.
        names: The names of the inputs, in their order.

    Raises:
        InputError: If there are arrays for other inputs, or for more or fewer.

    Example:

    >>> arrays_of({"photo": np.ones((1, 2)), "age": np.zeros((1, 1))}, ["age", "photo"])[0].tolist()
    [[0.0]]
    """
    if isinstance(samples, Samples):
        found = samples.arrays
    elif isinstance(samples, Mapping):
        if sorted(samples) != sorted(names):
            raise InputError(
                f"Expected an array for each of the inputs {', '.join(names)}, received {', '.join(map(str, samples))}."
            )
        found = [samples[name] for name in names]
    elif isinstance(samples, list | tuple) and (len(names) > 1 or len(samples) == 1):
        found = list(samples)
    else:
        found = [samples]
    if len(found) != len(names):
        which = f" ({', '.join(names)})" if len(names) > 1 else ""
        raise InputError(f"Expected {len(names)} arrays of inputs{which}, received {len(found)}.")
    return [np.asarray(each) for each in found]


def together(arrays: Sequence[np.ndarray]) -> "np.ndarray | Samples":
    """Return the one array of a model with one input, and `Samples` of one with several."""
    return arrays[0] if len(arrays) == 1 else Samples(arrays)
