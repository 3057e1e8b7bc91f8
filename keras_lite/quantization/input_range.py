"""The range of a quantized model's input: what pixels can be, not what some photos happened to hold."""

import dataclasses

import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.errors import InputError
from keras_lite.litert.samples import Samples
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.lower import Int8Form
from keras_lite.quantization.observe import Ranges, observe, range_of

# Images may lie this much outside, as a share of the range: the rounding of their own arithmetic.
_ROUNDING = 1e-4
# Images that hold less than this share of the range, in each channel, are all dim, or bright, or pale.
_WHOLE = 0.9
_COPIED = 64


def input_range(images: np.ndarray, preprocessing: Preprocessing | None, verbose: int = 0) -> tuple[float, float]:
    """Return the range of a model's input, zero included: padding needs it without error.

    Args:
        images: Preprocessed images.
        preprocessing: What made them of pixels. `None`: the range is the images' own.
        verbose: 1 prints a line where the range is the images' own.

    Raises:
        InputError: If the images hold what `preprocessing` can't give.
    """
    lowest, highest = float(images.min()), float(images.max())
    if preprocessing is None:
        if verbose:
            print(
                f"input range: {min(lowest, 0.0):.4g} to {max(highest, 0.0):.4g}, that of the {len(images)} images, "
                "and what lies outside is cut off; give preprocessing= (or info=) for that of all pixels",
                flush=True,
            )
        return range_of(images)
    lows, highs = preprocessing.limits()
    low, high = float(lows.min()), float(highs.max())
    slack = _ROUNDING * (high - low)
    if lowest < low - slack or highest > high + slack:
        raise InputError(
            f"Expected images from {low:.4g} to {high:.4g}, which is what pixels from 0 to 255 become by the "
            f"preprocessing, received values from {lowest:.4g} to {highest:.4g}; give the preprocessing that "
            "made the images."
        )
    return min(low, 0.0), max(high, 0.0)


def input_ranges(
    images: np.ndarray | Samples, preprocessing: Preprocessing | None, verbose: int = 0
) -> list[tuple[float, float]]:
    """Return the range of each of a model's inputs, see `input_range`; of several that of the samples.

    Raises:
        InputError: If the images hold what `preprocessing` can't give, or there is one for several inputs.
    """
    if not isinstance(images, Samples):
        return [input_range(images, preprocessing, verbose)]
    if preprocessing is not None:
        raise InputError(
            f"Expected preprocessing for a model that takes one image, received it for {len(images.arrays)} inputs; "
            "leave it out."
        )
    return [range_of(array) for array in images.arrays]


def with_known_input(
    calibrated: CalibratedGraph, images: np.ndarray, preprocessing: Preprocessing, verbose: int = 0
) -> CalibratedGraph:
    """Return a graph whose input's range is what pixels can be, where it was only that of some images.

    Args:
        calibrated: What `post_training` returned.
        images: Preprocessed images, for `widened`.
        preprocessing: What made them of pixels.
        verbose: As for `widened`.

    Raises:
        InputError: If the images hold what `preprocessing` can't give.
    """
    if calibrated.input_known:
        return calibrated
    form = calibrated.form
    ranges = {**calibrated.ranges, form.graph.inputs[0]: input_range(images, preprocessing)}
    ranges = widened(form, ranges, images, preprocessing, verbose)
    return dataclasses.replace(calibrated, ranges=ranges, input_known=True)


def widened(
    form: Int8Form, ranges: Ranges, images: np.ndarray, preprocessing: Preprocessing, verbose: int = 0
) -> Ranges:
    """Return ranges that are wider where they come from images which hold only a part of what pixels can be.

    What was seen of dim photos alone would cut off all that a bright one gives. So copies of the images, as dark and as
    bright as can be and stretched over all levels, are observed too. Images that hold nearly all levels change nothing.

    Args:
        form: The graph that the ranges are for.
        ranges: The ranges, the input's that of `preprocessing`.
        images: Preprocessed images that set the ranges.
        preprocessing: What made them of pixels.
        verbose: 1 prints a line where they are widened.
    """
    copies = stretched_copies(images, preprocessing, verbose)
    if copies is None:
        return ranges
    observed = observe(form, copies)
    wider = dict(ranges)
    for tensor, seen in observed.tensors.items():
        if tensor in ranges and tensor not in form.fixed:
            low, high = ranges[tensor]
            wider[tensor] = min(low, float(seen.lowest.min())), max(high, float(seen.highest.max()))
    return wider


def stretched_copies(images: np.ndarray, preprocessing: Preprocessing, verbose: int = 0) -> np.ndarray | None:
    """Return copies of images, as dark and bright as can be and stretched; None if they hold nearly all levels.

    Args:
        images: Preprocessed images.
        preprocessing: What made them of pixels.
        verbose: 1 prints a line where there are copies.
    """
    lows, highs = preprocessing.limits()
    lowest, highest = images.min((0, 1, 2)), images.max((0, 1, 2))
    share = (highest - lowest) / (highs - lows)
    if (share >= _WHOLE).any():
        return None
    if verbose:
        print(
            f"the images hold {share.max():.0%} of the levels that pixels can have: ranges are widened for darker, "
            "brighter and stronger copies of them; photos of all kinds serve better",
            flush=True,
        )
    some = images[:_COPIED]
    stretched = (some - lowest) * ((highs - lows) / np.maximum(highest - lowest, 1e-6)) + lows
    copies = np.concatenate([some + (lows - lowest), some + (highs - highest), stretched])
    return np.clip(copies, lows, highs).astype("float32")
