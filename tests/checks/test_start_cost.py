"""What counts as a command's first line."""

import pytest

from checks.start_cost import first_line
from keras_lite.errors import InputError

pytestmark = pytest.mark.tensorflow_only


def test_the_log_of_frameworks_is_no_line(tmp_path):
    log = "W0000 00:00:17 1 cpu.cc:1] slow\\n\\nWARNING: All log messages before\\n"
    (tmp_path / "says.py").write_text(f"import sys, time\nprint('{log}reading /a/b/c.png')\nprint('later')\n")
    (tmp_path / "silent.py").write_text("print('I0000 00:00:17 1 port.cc:1] on')\n")
    seconds, line = first_line("says.py", [], tmp_path)
    assert line == "reading c.png"
    assert 0.0 < seconds < 60.0
    with pytest.raises(InputError, match="to say a line"):
        first_line("silent.py", [], tmp_path)
