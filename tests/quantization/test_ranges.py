"""The range that values are rounded in."""

import numpy as np
import pytest

from keras_lite.quantization.ranges import least_error_range

pytestmark = pytest.mark.tensorflow_only


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_range_of_least_error(scale):
    """Against a search by brute force over values themselves."""
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(size=200_000), [8.0, -3.0]).astype("float32") * scale
    counts = np.histogram(values, 2048, (values.min(), values.max()))[0]

    low, high = least_error_range(counts, float(values.min()), float(values.max()))

    def error(low, high):
        step = (high - low) / 255
        return np.square(np.clip(np.rint((values - low) / step), 0, 255) * step + low - values).mean()

    best = min(error(a, b) for a in values.min() * np.linspace(0.6, 1, 9) for b in np.linspace(3, 8, 30) * scale)
    assert error(low, high) < 1.1 * best
    assert error(low, high) < error(values.min(), values.max())
    assert high < 7 * scale  # the one value out there is cut off
    assert least_error_range(counts, 0.0, 0.0) == (0.0, 0.0)
