"""A histogram whose parts widen as values come that lie beyond them."""

import numpy as np

# Parts on each side of zero, and parts that are returned.
_SIDE, PARTS = 4096, 2048


class Histogram:
    """How many values lie where; zeros are left out, as any range has them without error.

    The parts on both sides of zero begin as wide as the first values need. Where a value lies beyond them, two and two
    become one.

    Example:

    >>> histogram = Histogram()
    >>> histogram.add(np.array([0.5, 1.5, 0.0], "float32"))
    >>> histogram.add(np.array([3.5], "float32"))
    >>> histogram.between(0.0, 4.0, parts=4).round().tolist()
    [1.0, 1.0, 0.0, 1.0]
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2 * _SIDE, "int64")
        self.width = 0.0

    def add(self, values: np.ndarray) -> None:
        """Count values, float32."""
        largest = max(float(values.max()), -float(values.min()))
        if largest == 0.0:
            return
        # A power of two: the parts of two histograms fit into each other.
        self._widen(float(2.0 ** np.ceil(np.log2(largest / (_SIDE - 1)))))
        places = values * np.float32(1.0 / self.width)
        np.floor(places, out=places)
        found = np.bincount(places.astype("int32").reshape(-1) + _SIDE, minlength=2 * _SIDE)
        found[_SIDE] -= values.size - np.count_nonzero(values)
        self.counts += found

    def merge(self, other: "Histogram") -> None:
        """Add what another counted, which may be changed."""
        if other.width:
            self._widen(other.width)
            other._widen(self.width)
            self.counts += other.counts

    def between(self, lowest: float, highest: float, parts: int = PARTS) -> np.ndarray:
        """Return how many values lie in each of as many equal parts of a span that holds all of them.

        A part that lies across two of these is divided as its width is.
        """
        if not self.width or highest <= lowest:
            return np.zeros(parts)
        edges = np.arange(-_SIDE, _SIDE + 1) * self.width
        below = np.concatenate([[0], np.cumsum(self.counts)])
        wanted = np.interp(np.linspace(lowest, highest, parts + 1), edges, below)
        wanted[0], wanted[-1] = 0.0, below[-1]
        return np.diff(wanted)

    def _widen(self, width: float) -> None:
        """Make the parts this wide, if they are narrower."""
        self.width = self.width or width
        while self.width < width:
            halves = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros_like(self.counts)
            self.counts[_SIDE // 2 : _SIDE // 2 + _SIDE] = halves
            self.width *= 2.0
