"""How far outputs are from the float model's, against SciPy and NumPy."""

import numpy as np
import pytest

from keras_lite.quantization.closeness import (
    agreement,
    as_quantized,
    closeness,
    correlation,
    divergences,
    is_closer,
    log_probabilities,
    standard_error,
)

special, stats = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.stats")
pytestmark = pytest.mark.tensorflow_only
RNG = np.random.default_rng(7)


def test_logits_differ_by_the_divergence_of_their_softmaxes():
    expected, received = RNG.normal(0, 3, (40, 6)), RNG.normal(0, 3, (40, 6))
    wanted = special.rel_entr(special.softmax(expected, 1), special.softmax(received, 1)).sum(1)
    np.testing.assert_allclose(divergences("logits", expected, received), wanted, rtol=1e-9)
    # Logits mean the same with any number added to all of them, and at any size.
    np.testing.assert_allclose(divergences("logits", expected + 700, received - 900), wanted, rtol=1e-6)
    np.testing.assert_allclose(log_probabilities(expected), special.log_softmax(expected, 1), rtol=1e-9)
    found = closeness("logits", expected.astype("float32"), received.astype("float32"))
    assert found.divergence == pytest.approx(wanted.mean(), rel=1e-5)
    assert found.standard_error == pytest.approx(stats.sem(wanted), rel=1e-5)
    assert found.agreement == (expected.argmax(1) == received.argmax(1)).mean()


def test_a_models_probabilities_are_compared_as_the_logits_they_stand_for():
    logits, received = RNG.normal(0, 3, (20, 4)), RNG.normal(0, 3, (20, 4))
    probabilities = special.softmax(logits, 1)
    found = divergences("probabilities", as_quantized("probabilities", probabilities), received)
    np.testing.assert_allclose(found, special.rel_entr(probabilities, special.softmax(received, 1)).sum(1), rtol=1e-6)
    # A probability of 0 counts nothing, and is no infinity.
    sure = np.array([[1.0, 0.0, 0.0, 0.0]])
    found = divergences("probabilities", as_quantized("probabilities", sure), received[:1])
    np.testing.assert_allclose(found, -special.log_softmax(received[:1], 1)[:, 0], rtol=1e-9)
    assert as_quantized("sigmoid", probabilities) is probabilities


@pytest.mark.parametrize("labels", [1, 3])
def test_labels_differ_each_by_itself(labels):
    p, q = RNG.uniform(0.01, 0.99, (2, 30, labels))
    wanted = (special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)).mean(1)
    np.testing.assert_allclose(divergences("sigmoid", p, q), wanted, rtol=1e-9)
    assert agreement("sigmoid", p, q) == ((p > 0.5) == (q > 0.5)).mean()
    # An int8 file has 0 and 1 themselves: they are half a step of 1/256 away from it.
    ends = divergences("sigmoid", np.full((1, labels), 0.5), np.zeros((1, labels)))
    half = 1 / 512
    np.testing.assert_allclose(ends, 0.5 * np.log(0.25 / (half * (1 - half))))
    assert divergences("sigmoid", np.full((1, labels), 1e-4), np.zeros((1, labels))) == 0


def test_values_differ_as_a_share_of_their_variance():
    expected, received = RNG.normal(5, [1, 10], (50, 2)), RNG.normal(5, [1, 10], (50, 2))
    found = divergences("regression", expected, received)
    assert found.mean() == pytest.approx(((expected - received) ** 2).mean() / expected.var(0).mean())
    # Whatever the unit is.
    np.testing.assert_allclose(divergences("regression", 1000 * expected, 1000 * received), found)
    deviations = [(values - values.mean(0)).ravel() for values in (expected, received)]
    assert agreement("regression", expected, received) == pytest.approx(stats.pearsonr(*deviations)[0])
    one = expected[:, :1]
    assert agreement("regression", one, -3 * one + 2) == pytest.approx(-1.0)
    constant = np.ones((50, 1))
    assert (correlation(constant, 2 * constant), correlation(constant, one)) == (1.0, 0.0)


def test_embeddings_differ_by_their_direction():
    expected, received = RNG.normal(size=(30, 5)), RNG.normal(size=(30, 5))
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(received, axis=1)
    cosines = np.einsum("ij,ij->i", expected, received) / lengths
    np.testing.assert_allclose(divergences("embedding", expected, received), 1 - cosines)
    np.testing.assert_allclose(divergences("embedding", expected, 9 * expected), 0, atol=1e-12)
    assert agreement("embedding", expected, received) == pytest.approx(cosines.mean())
    assert divergences("embedding", expected[:1], np.zeros((1, 5))) == [1.0]


@pytest.mark.parametrize("gain", [0.0, 0.02, 0.05, 0.2])
def test_closer_is_what_two_standard_errors_of_the_differences_say(gain):
    """The photos differ by far more than the models do: only in pairs can these be told apart."""
    second = RNG.gamma(1.0, 1.0, 200)
    first = second - gain + RNG.normal(0, 0.1, 200)
    statistic = stats.ttest_rel(second, first).statistic
    assert is_closer(first, second) == (statistic > 2)
    assert is_closer(second, first) == (statistic < -2)
    assert not is_closer(first, first)


def test_one_photo_tells_nothing():
    assert standard_error(np.array([0.3])) == np.inf
    assert not is_closer(np.array([0.1]), np.array([0.3]))
