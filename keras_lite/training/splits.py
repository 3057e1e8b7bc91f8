"""Which images train, validate and test."""

import numpy as np

from keras_lite.data import Source
from keras_lite.errors import InputError
from keras_lite.training.options import Options


class Subset(Source):
    """Some images of a source.

    Args:
        source: The source.
        indices: Which of its images, in the order they are to have.
    """

    def __init__(self, source: Source, indices: np.ndarray) -> None:
        paths = None if source.paths is None else [source.paths[index] for index in indices]
        super().__init__(source.labels[indices], source.class_names, source.image_size, paths)
        self._source = source
        self._indices = np.asarray(indices)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Return the images with these indices."""
        return self._source.images(self._indices[np.asarray(indices)])


def splits_of_run(data: dict[str, Source], options: Options, test_split: str = "test") -> dict[str, Source]:
    """Return the splits of a run: `"train"`, `"valid"` and, where there is one, `"test"`.

    With the protocol `"held_out"` the images to validate on are the data's own, or a share of the training images
    drawn by seed; the test images are never among them. With `"published"` all training images train, and the images
    of the test are validated on after each epoch.

    Args:
        data: The data's splits.
        options: The run's options.
        test_split: The split that the published accuracy was measured on.

    Raises:
        InputError: If there are no training images, too few to divide, or none to test on where the protocol needs
            them.
    """
    if "train" not in data:
        raise InputError(f"Expected a split named train, received {', '.join(data) or 'none'}.")
    train = data["train"]
    if options.protocol == "published":
        if test_split not in data:
            raise InputError(
                f"Expected a split named {test_split} for --protocol published, received {', '.join(data)}."
            )
        return {"train": train, "valid": data[test_split]}
    if test_split == "valid" and "valid" in data and "test" not in data:
        data = {"train": train, "test": data["valid"]}
    if "valid" in data:
        return data
    held_out = round(len(train) * options.validation_share)
    if not 0 < held_out < len(train):
        raise InputError(
            f"Expected enough training images to hold out a share of {options.validation_share} for validation, "
            f"received {len(train)}."
        )
    order = np.random.default_rng((options.seed, len(train))).permutation(len(train))
    return data | {
        "train": Subset(train, np.sort(order[held_out:])),
        "valid": Subset(train, np.sort(order[:held_out])),
    }
