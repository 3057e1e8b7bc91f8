"""The range that a tensor's values are rounded in, chosen from a histogram of them."""

from collections.abc import Callable

import numpy as np

# Values that lie (next to) nowhere but at zero leave nothing to choose.
EMPTY = 1e-3
# An activation that is (next to) always zero has a range of (next to) no width: a scale that XNNPACK can't run.
# It is opened this far: in narrower steps a large bias behind it would not fit into 32 bits.
OPENED = 1.0

Estimator = Callable[[np.ndarray, float, float], tuple[float, float]]


def whole_range(counts: np.ndarray, lowest: float, highest: float) -> tuple[float, float]:
    """Return the ends of the histogram: the least and the greatest value that were met."""
    return lowest, highest


def percentile_range(counts: np.ndarray, lowest: float, highest: float, share: float) -> tuple[float, float]:
    """Return the range that leaves out a share of the values at each end.

    Args:
        counts: How many values lie in each of as many equal parts of the span from `lowest` to `highest`.
        lowest: Least value, 0 at most.
        highest: Greatest value, 0 at least.
        share: Share of the values that may lie below the range, and likewise above it, from 0 to 1.

    Returns:
        The ends of the range, parts of the histogram left whole, with zero in it.

    Example:

    >>> counts = np.array([1, 0, 0, 0, 0, 499, 499, 0, 0, 1])
    >>> percentile_range(counts, -5.0, 5.0, 0.01)
    (0.0, 2.0)
    """
    edges = np.linspace(lowest, highest, len(counts) + 1)
    below = np.cumsum(counts)
    allowed = share * below[-1]
    first = int(np.searchsorted(below, allowed, side="right"))
    last = int(np.searchsorted(below, below[-1] - allowed, side="left"))
    if first > last:
        return lowest, highest
    return min(float(edges[first]), 0.0), max(float(edges[last + 1]), 0.0)


def least_error_range(counts: np.ndarray, lowest: float, highest: float, steps: int = 255) -> tuple[float, float]:
    """Return the range in which values are rounded with the least squared error.

    Args:
        counts: How many values lie in each of as many equal parts of the span from `lowest` to `highest`.
        lowest: Least value, 0 at most.
        highest: Greatest value, 0 at least.
        steps: Number of steps in the range.

    Returns:
        The ends of the range, at most as wide as the span, with zero in it.

    Example:

    >>> counts = np.histogram(np.random.default_rng(0).normal(size=100_000), 500, (-50.0, 50.0))[0]
    >>> low, high = least_error_range(counts, -50.0, 50.0)
    >>> round(low), round(high)
    (-4, 4)
    """
    if highest - lowest < EMPTY:
        return lowest, highest
    values = lowest + (np.arange(len(counts)) + 0.5) * (highest - lowest) / len(counts)
    shares = np.geomspace(1.0, 1.0 / 32.0, 64)
    lows, highs = (end * shares if end else np.zeros(1) for end in (lowest, highest))
    # What is cut off below, for each of the lower ends, and above.
    below, above = (
        np.square(np.maximum(sign * (values - ends[:, None]), 0.0)) @ counts for sign, ends in ((-1, lows), (1, highs))
    )
    rounding = counts.sum() * np.square((highs - lows[:, None]) / steps) / 12.0
    low, high = np.unravel_index((below[:, None] + above + rounding).argmin(), rounding.shape)
    return float(lows[low]), float(highs[high])


def rounding_loss(
    counts: np.ndarray, lowest: float, highest: float, ends: tuple[float, float], steps: int = 255
) -> float:
    """Return the ratio of values to the errors of rounding them in a range, in decibels of their squares.

    Args:
        counts: How many values lie in each of as many equal parts of the span from `lowest` to `highest`.
        lowest: Least value, 0 at most.
        highest: Greatest value, 0 at least.
        ends: The range.
        steps: Number of steps in the range.
    """
    values = lowest + (np.arange(len(counts)) + 0.5) * (highest - lowest) / len(counts)
    error = (
        counts @ np.square(values - np.clip(values, *ends)) + counts.sum() * ((ends[1] - ends[0]) / steps) ** 2 / 12.0
    )
    return float(10.0 * np.log10(max(counts @ np.square(values), 1e-30) / max(error, 1e-30)))
