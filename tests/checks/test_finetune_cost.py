"""Phases within phases, and accuracies compared seed by seed."""

import copy

import numpy as np
import pytest

from checks import finetune_cost
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


def test_kept_runs_are_not_run_again_and_the_page_keeps_its_text(tmp_path, monkeypatch, capsys):
    ran = []

    def measure(folder, arguments):
        ran.append(arguments[-1])
        return Run({"all": (len(ran), 1.0)}, 1_000_000, {"float": 0.5})

    monkeypatch.setattr(finetune_cost, "measure", measure)
    page = tmp_path / "page.md"
    start, end = (f"<!-- {word} of what the command writes -->" for word in ("start", "end"))
    page.write_text(f"# Title\n\n{start}\nold\n{end}\nlast\n")
    for seeds in ("0", "0,1"):
        values = copy.deepcopy(finetune_cost.FLAGS)
        given = values(["x", "--data_dir=photos", f"--seeds={seeds}", f"--keep={tmp_path}/runs", f"--page={page}"])
        finetune_cost.main(values, given[1:])
    assert ran == ["--seed=0", "--seed=1"]
    text = page.read_text()
    assert text.startswith("# Title\n\n<!-- start")
    assert text.endswith("what the command writes -->\nlast\n")
    assert "old" not in text
    assert "| all | 1.5 | 1.0 |" in text
