import pytest

from ledger.comparisons import comparisons, comparisons_markdown
from ledger.groups import group_runs

ROWS = {"ours": "cifar100_first/resnet20/ours", "original": "cifar100_first/resnet20/original"}


@pytest.fixture
def groups(run_result):
    """Make groups of runs from accuracies by side: 68.30 and 68.12 are published."""

    def make(epochs=200, **shares):
        runs = [
            run_result(share, epochs, row=ROWS[side], model=f"resnet20_{side}", seed=seed, best_accuracy=0.7)
            for side, values in shares.items()
            for seed, share in enumerate(values)
        ]
        return group_runs(runs)

    return make


def test_difference_and_its_uncertainty(groups):
    """67, 68, 69 and 66, 67, 68: each with a standard deviation of 1, so 0.577 a mean and 0.816 the difference."""
    (found,) = comparisons(groups(ours=(0.67, 0.68, 0.69), original=(0.66, 0.67, 0.68)))
    assert str(found.last) == "+1.00 ± 0.82"
    assert found.last.verdict == "can't tell"
    assert (found.network, found.seeds) == ("cifar100_first/resnet20", (3, 3))
    assert found.published == pytest.approx(0.18)
    assert found.single == pytest.approx(2**0.5)
    # (2 x 1.414 / 0.18) squared is 246.9.
    assert found.seeds_needed == 247
    # Of 10,000 images: sqrt(0.68 x 0.32 / 10,000 + 0.67 x 0.33 / 10,000) is 0.6623 points.
    assert found.images == pytest.approx(0.6623, abs=1e-4)


@pytest.mark.parametrize(
    ("ours", "original", "verdict"),
    [
        ((0.70, 0.71), (0.66, 0.67), "above"),
        ((0.66, 0.67), (0.70, 0.71), "below"),
        ((0.70,), (0.60, 0.61), "can't tell"),
    ],
)
def test_verdict(groups, ours, original, verdict):
    (found,) = comparisons(groups(ours=ours, original=original))
    assert found.last.verdict == verdict
    if len(ours) == 1:
        assert (found.last.error, found.single, found.seeds_needed) == (None, None, None)


def test_only_rows_as_published_are_compared(groups):
    assert comparisons(groups(ours=(0.7, 0.71))) == []
    assert comparisons_markdown(groups(epochs=199, ours=(0.7, 0.71), original=(0.6, 0.61))) == []


def test_section(groups):
    text = "\n".join(comparisons_markdown(groups(ours=(0.67, 0.68, 0.69), original=(0.66, 0.67, 0.68))))
    assert "| `cifar100_first/resnet20/ours` | 68.30 | -0.30 ± 0.58 | +1.70 ± 0.00 test | 3 |" in text
    line = "| +0.18 | +1.00 ± 0.82 | can't tell | +0.00 ± 0.00 | 3 and 3 | 1.41; images alone 0.66; 247 seeds |"
    assert f"| `cifar100_first/resnet20` {line}" in text
