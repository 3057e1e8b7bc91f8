"""What the tests of checks share."""

import gc

import pytest


@pytest.fixture(autouse=True)
def no_collection(monkeypatch):
    """Checks collect garbage behind each network; where every library is imported that takes a second each time."""
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)
