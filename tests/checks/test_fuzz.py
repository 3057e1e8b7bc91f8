import json

import pytest

from checks import fuzz

pytestmark = pytest.mark.tensorflow_only


@pytest.mark.parametrize("what", ["dead channels", "dead layer", "tiny gamma", "constant images"])
def test_spoiled_models_are_exported(what):
    seed = next(seed for seed in range(100) if what in fuzz.plan(seed))
    result = fuzz.export(seed)
    assert what in result["spoiled"]
    assert result["refused"] is None
    assert result["error"] < 0.1


def test_a_sum_that_litert_gets_wrong_is_named():
    """Behind a batch normalization of thousands, hard-swish adds 3: LiteRT's kernel for that overflows."""
    result = fuzz.export(39)
    assert "Expected input scales below 256 times the output's in " in result["refused"]
    assert "_shift (ADD), received 1771 times" in result["refused"]


def test_finished_models_are_not_exported_again(run_tool, tmp_path, monkeypatch, assert_one_line_error):
    calls = []

    def export(seed):
        calls.append(seed)
        refused = "Expected scales, received none." if seed == 21 else None
        return {"seed": seed, "spoiled": ["large weights"] if seed == 21 else [], "refused": refused, "error": 0.01}

    monkeypatch.setattr(fuzz, "export", export)
    for _ in range(2):
        finished = run_tool(fuzz, "--models", 22, "--cache_dir", tmp_path)
        assert finished.returncode == 0, finished.stderr
        assert "21 (large weights): Expected scales, received none." in finished.stdout
        assert "21 of 22 models exported, 1 refused" in finished.stdout
    assert calls == list(range(22))

    bad = json.loads((tmp_path / "3.json").read_text())
    died = "its process died of SIGABRT"
    for change in ({"error": 0.5}, {"refused": died}, {"spoiled": ["dead layer"], "refused": "x"}):
        (tmp_path / "3.json").write_text(json.dumps(bad | change))
        assert_one_line_error(run_tool(fuzz, "--models", 22, "--cache_dir", tmp_path), "seeds [3]")
