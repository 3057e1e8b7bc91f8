"""The arithmetic of the check that measures steps of training."""

import pytest

from checks.aware_speed import page, rows_of, take_turns

pytestmark = pytest.mark.tensorflow_only


def test_rows_compare_medians_with_the_float_step():
    float_row, aware_row = rows_of(32, {"float": [0.2, 0.1, 0.9], "keras": [0.3, 0.31, 0.25]})
    assert float_row == ("32 px", "float, batch normalization frozen", "200.0", "100.0 to 900.0", "1.00")
    assert aware_row[2:] == ("300.0", "250.0 to 310.0", "1.50")
    assert "| 32 px | Keras engine | 300.0 | 250.0 to 310.0 | 1.50 |" in page([float_row, aware_row], 32)


def test_without_the_float_step_nothing_is_compared():
    assert rows_of(160, {"tf_mot": [0.5]})[0][-1] == "-"


def test_each_way_has_its_turn_in_each_round():
    order = []
    found = take_turns({name: lambda name=name: order.append(name) for name in ("a", "b")}, seconds=0.0, rounds=3)
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 3, "b": 3}
    assert order[-12:] == ["a", "a", "b", "b"] * 3
