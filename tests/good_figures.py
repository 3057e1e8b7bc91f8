"""Figures of an int8 file that falls short of nothing."""

from checks.int8_figures import Figures

GOOD = Figures(
    "net",
    int8_only=True,
    partitions=1,
    not_delegated=[],
    deviation=9.0,
    range_ratio=1.0,
    within_one=1.0,
    equal=1.0,
    correlation=1.0,
    fake_correlation=1.0,
    seconds=2.0,
)
