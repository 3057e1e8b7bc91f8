"""Histograms that widen, against NumPy's of all values."""

import numpy as np
import pytest

from keras_lite.runtime.histogram import PARTS, Histogram

pytestmark = pytest.mark.tensorflow_only


@pytest.mark.parametrize("largest", [1e-6, 1.0, 3e4])
def test_values_that_go_beyond_what_came_before(largest):
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=5000).astype("float32") * largest * scale for scale in (0.001, 0.1, 1.0, 0.5)]
    batches[1][:50] = 0.0
    histograms = Histogram(), Histogram()
    for at, batch in enumerate(batches):
        histograms[at % 2].add(batch)
    histograms[0].merge(histograms[1])
    values = np.concatenate(batches)
    lowest, highest = float(values.min()), float(values.max())
    found = histograms[0].between(lowest, highest)
    values = values[values != 0]
    assert found.shape == (PARTS,)
    assert found.sum() == values.size
    expected = np.histogram(values, PARTS, (lowest, highest))[0]
    # The first values lie in a few parts: those that widened parts can't tell apart.
    assert np.abs(np.cumsum(found) - np.cumsum(expected)).max() < 0.15 * values.size
    squares, centers = (
        np.square(values.astype("float64")).sum(),
        lowest + (np.arange(PARTS) + 0.5) * (highest - lowest) / PARTS,
    )
    assert (found * centers**2).sum() == pytest.approx(squares, rel=1e-3)


def test_nothing_but_zeros():
    histogram = Histogram()
    histogram.add(np.zeros(10, "float32"))
    assert not histogram.between(0.0, 0.0).any()
    histogram.merge(Histogram())
    histogram.add(np.full(4, -2.0, "float32"))
    assert histogram.between(-2.0, 0.0, parts=4).tolist() == [4.0, 0.0, 0.0, 0.0]
