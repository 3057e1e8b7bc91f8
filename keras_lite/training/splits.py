"""Splits of a run: the images to train, validate and test with."""

import numpy as np

from keras_lite.data import Source, Subset
from keras_lite.errors import InputError
from keras_lite.training.options import Options


def splits_of_run(data: dict[str, Source], options: Options, test_split: str = "test") -> dict[str, Source]:
    """Return the splits of a run: `"train"`, `"valid"` and, where there is one, `"test"`.

    With the protocol `"held_out"` the validation images are the data's own, or else a share of the training images,
    drawn from the seed; never test images. With `"published"` all training images train, and the test images are used
    for validation after each epoch.

    Args:
        data: The data's splits.
        options: The run's options.
        test_split: The split that the published accuracy was measured on.

    Raises:
        InputError: If there are no training images, too few to divide, or none to test on where the protocol needs
            them.
    """
    if options.protocol == "held_out":
        if test_split == "valid" and "valid" in data and "test" not in data:
            data = {"test" if split == "valid" else split: source for split, source in data.items()}
        return with_validation(data, options.validation_share, options.seed)
    if test_split not in data:
        raise InputError(f"Expected a split named {test_split} for --protocol published, received {', '.join(data)}.")
    return {"train": _training_images(data), "valid": data[test_split]}


def with_validation(data: dict[str, Source], share: float, seed: int) -> dict[str, Source]:
    """Return the splits with `"valid"`, which is held out from the training images if it is missing.

    Args:
        data: The data's splits.
        share: Share of the training images to hold out.
        seed: What they are drawn from.

    Raises:
        InputError: If there are no training images, or too few to divide.
    """
    train = _training_images(data)
    if "valid" in data:
        return data
    held_out = round(len(train) * share)
    if not 0 < held_out < len(train):
        raise InputError(
            f"Expected enough training images to hold out a share of {share} for validation, received {len(train)}."
        )
    valid, train = divide(train, held_out, seed)
    return data | {"train": train, "valid": valid}


def divide(source: Source, count: int, seed: int) -> tuple[Source, Source]:
    """Return some images of a source and all others, both in their order.

    Args:
        source: The source.
        count: How many images the first part has.
        seed: What they are drawn from.
    """
    order = np.random.default_rng((seed, len(source))).permutation(len(source))
    return Subset(source, np.sort(order[:count])), Subset(source, np.sort(order[count:]))


def first_shuffled(source: Source, count: int, seed: int) -> Source:
    """Return some images of a source, in their order.

    Args:
        source: The source.
        count: How many, at most all.
        seed: What they are drawn from.

    Raises:
        InputError: If `count` is below 1.
    """
    if count < 1:
        raise InputError(f"Expected image_limit to be 1 or more, received {count}.")
    return Subset(source, np.sort(np.random.default_rng(seed).permutation(len(source))[:count]))


def _training_images(data: dict[str, Source]) -> Source:
    if "train" not in data:
        raise InputError(f"Expected images to train on, in a split named train, received {', '.join(data) or 'none'}.")
    return data["train"]
