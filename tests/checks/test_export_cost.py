import sys

import pytest

from checks import export_cost
from checks.export_cost import Cost, table
from keras_lite.errors import InputError

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc"),
]

SIZE = 64 * 2**20


def test_the_call_alone_is_measured(tmp_path, monkeypatch):
    script = tmp_path / "once.py"
    script.write_text(
        "import os, sys\n"
        "print('note'); print('ready', flush=True); sys.stdin.readline()\n"
        f"held = b'1' * {SIZE}\n"
        "assert sys.argv[1:] == ['lower', 'a/b/c', '3']\n"
        "print(os.environ['PYTHONPATH'], file=sys.stderr)\n"
        "print('seconds', 1.5, flush=True)\n"
    )
    monkeypatch.setattr(export_cost, "_SCRIPT", script)
    cost = export_cost.measure("lower", "a/b/c", 3, tmp_path)
    assert cost.seconds == 1.5
    assert 0 < cost.before < SIZE

    script.write_text("import sys; print('ready', flush=True); sys.stdin.readline(); raise ValueError('no layer')\n")
    with pytest.raises(InputError, match="received: ValueError: no layer"):
        export_cost.measure("lower", "a/b/c", 3, tmp_path)


def test_another_checkout_takes_turns(run_tool, tmp_path, monkeypatch, assert_one_line_error):
    calls = []

    def measure(what, network, images, folder, photos):
        calls.append((what, folder))
        return Cost(float(len(calls)), 10**9, 2 * 10**9)

    monkeypatch.setattr(export_cost, "measure", measure)
    assert_one_line_error(run_tool(export_cost, "--against", tmp_path), "--against", tmp_path)
    (tmp_path / "keras_lite").mkdir()
    finished = run_tool(export_cost, "--against", tmp_path, "--repeats", 3)
    assert finished.returncode == 0, finished.stderr
    assert [what for what, _ in calls] == ["to_tflite", "to_tflite", "lower", "convert"] * 3
    assert [folder == tmp_path for _, folder in calls] == [True, False, False, False] * 3
    assert "imagenet/mobilenetv3_large/ours, float32, 32 images" in finished.stdout


def test_table_has_medians():
    lines = table({"lower": [Cost(3.0, 10**9, 3 * 10**9), Cost(1.0, 10**9, 10**9), Cost(2.0, 10**9, 2 * 10**9)]})
    assert lines.splitlines()[-1].split() == ["lower", "2.00", "1.00", "3.00", "1000", "2000", "1000"]
