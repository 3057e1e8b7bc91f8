"""What the check of training on three backends calls a fault."""

import numpy as np
import pytest

from checks.aware_backends import differing, faults_of, table

pytestmark = pytest.mark.tensorflow_only
GOOD = {"equal": 1.0, "most_steps": 0, "start": 0.02, "end": 0.015}


def test_what_is_met_is_no_fault():
    found = {"tensorflow": GOOD, "jax": {**GOOD, "equal": 0.9992, "most_steps": 1}}
    assert faults_of(found, {("tensorflow", "jax"): 1e-5}) == []
    assert table(found).splitlines()[-1].split() == ["jax", "99.92%", "1", "0.02000", "0.01500"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"equal": 0.9989, "most_steps": 1}, "99.89% equal to its file on jax, up to 1 steps apart"),
        ({"equal": 0.9999, "most_steps": 2}, "99.99% equal to its file on jax, up to 2 steps apart"),
        ({"end": 0.02}, "a divergence of 0.02000 after 0.02000 on jax"),
        ({"end": float("nan")}, "a divergence of nan after 0.02000 on jax"),
    ],
)
def test_each_demand_that_is_not_met_is_named(change, fault):
    assert faults_of({"tensorflow": GOOD, "jax": {**GOOD, **change}}, {}) == [fault]


@pytest.mark.parametrize("difference", [1.1e-5, float("nan")])
def test_weights_that_differ_are_named(difference):
    [fault] = faults_of({"jax": GOOD}, {("jax", "torch"): difference})
    assert fault.endswith("apart on jax and torch")


def test_the_largest_difference_counts():
    first = [np.zeros((2, 2)), np.array([1.0, -3.0])]
    assert differing(first, [np.full((2, 2), 0.5), np.array([1.0, -1.0])]) == 2.0
