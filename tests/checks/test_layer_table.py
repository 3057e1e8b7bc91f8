"""LAYERS.md says what the package does now."""

import pytest

pytest.importorskip("ai_edge_litert.interpreter")
from checks.layer_table import PATH, table


@pytest.mark.tensorflow_only
def test_the_table_is_up_to_date():
    assert PATH.read_text(encoding="utf-8") == table(), "run python tools/layer_table.py"
