"""Phases within phases, and accuracies compared seed by seed."""

import numpy as np
import pytest

from checks.finetune_cost import Run, accuracies, costs
from checks.finetune_once import START, Clock

pytestmark = pytest.mark.tensorflow_only


def test_a_phase_is_without_those_within_it(monkeypatch):
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(Clock, "_now", staticmethod(lambda: [(moment := next(now)), moment / 2]))
    clock = Clock()  # at 0
    inner = clock.wrap(lambda number: f"inner {number}", lambda number: number)
    outer = clock.wrap("outer", lambda: inner(1) + inner(2))
    assert outer() == 3  # begins at 10; the first call within from 20 to 30, the second from 40 to 50; ends at 60
    assert clock.phases == {START: [10.0, 5.0], "outer": [30.0, 15.0], "inner 1": [10.0, 5.0], "inner 2": [10.0, 5.0]}


def test_tables_give_medians_and_paired_differences():
    def runs(seconds, shares):
        return [
            Run({"photos": (second, 1.0), "all": (2 * second, 3.0)}, 2_000_000, {"float": share})
            for second, share in zip(seconds, shares, strict=True)
        ]

    before, here = [0.5, 0.6, 0.7], [0.52, 0.6, 0.71]
    found = {"before": runs([3, 1, 2], before), "here": runs([1, 1, 1], here)}
    assert costs(found)[1:] == [
        ("photos", "2.0", "1.0", "1.0", "1.0"),
        ("all", "4.0", "3.0", "2.0", "3.0"),
        ("memory", "2 MB", "", "2 MB", ""),
    ]
    head, *_, mean, error = accuracies(found, ["0", "1", "2"])
    assert head == ("seed", "before: float", "here: float", "here - before: float")
    differences = 100 * (np.array(here) - before)
    assert float(mean[3]) == pytest.approx(differences.mean(), abs=0.005)
    assert float(error[3]) == pytest.approx(differences.std(ddof=1) / 3**0.5, abs=0.005)
