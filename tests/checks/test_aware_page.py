"""The arithmetic of the page that compares fine-tuned int8 files over seeds."""

import math

import numpy as np
import pytest

from checks.aware_page import Found, mean_divergence, page, verdicts

pytestmark = pytest.mark.tensorflow_only
FACTS = {"calibration": 512, "judges": 512, "training": 2048, "epochs": 2}


def measured(*divergences):
    return {"divergences": np.array(divergences), "agrees": np.array([True, False, True, True]),
            "right": np.array([True, True, False, False])}  # fmt: skip


def network(name, tuned):
    start = {"0": measured(0.1, 0.2, 0.3, 0.4), "1": measured(0.3, 0.2, 0.1, 0.4)}
    return Found(name, 32, np.array([True, True, True, False]), {"post_training": start, "keras": tuned}, {"a machine"})


def test_differences_are_paired_and_averaged_over_seeds():
    found = network("one", {"0": measured(0.2, 0.2, 0.3, 0.4), "1": measured(0.3, 0.2, 0.1, 0.2)})
    # Of the photos, both seeds averaged: 0.05, 0, 0, -0.1.
    mean, error = found.difference("keras")
    assert mean == pytest.approx(-0.0125)
    deviation = math.sqrt(sum((x + 0.0125) ** 2 for x in (0.05, 0.0, 0.0, -0.1)) / 3)
    assert error == pytest.approx(deviation / 2)
    assert mean_divergence(found, "post_training") == pytest.approx(0.25)
    assert found.difference("post_training") is None
    assert found.difference("tf_mot") is None


def test_only_seeds_that_both_have_are_compared():
    found = network("one", {"1": measured(0.4, 0.3, 0.2, 0.5), "2": measured(9.0, 9.0, 9.0, 9.0)})
    assert found.difference("keras") == pytest.approx((0.1, 0.0))


def test_verdicts_name_what_is_farther_and_what_is_much_closer():
    worse = network("worse", {"0": measured(0.2, 0.31, 0.4, 0.5), "1": measured(0.4, 0.31, 0.2, 0.5)})
    better = network("better", {"0": measured(0.05, 0.1, 0.15, 0.2), "1": measured(0.15, 0.1, 0.05, 0.2)})
    text = verdicts([worse, better])
    assert (
        "fine-tuned, Keras, 2 networks: above `post_training` by more than two standard errors on worse; a third"
        in text
    )
    assert "a third below it on better." in text
    assert "fine-tuned, TF-MOT, 0 networks" in text


def test_the_page_has_seeds_photos_and_shares():
    text = page([network("one", {"0": measured(0.2, 0.2, 0.2, 0.2)})], FACTS)
    assert "| one, 32 px | float |  | 4 |  |  |  | 75.00% |" in text
    assert "|  | `post_training` | 2 | 4 | 0.25000 (0.25000 to 0.25000) |  | 75.00% | 50.00% |" in text
    assert "|  | fine-tuned, Keras | 1 | 4 | 0.20000 | -0.05000 ± 0.06455 | 75.00% | 50.00% |" in text
