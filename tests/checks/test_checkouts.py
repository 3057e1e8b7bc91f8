import subprocess
import sys

import pytest

from checks.checkouts import HERE, MemoryPeak, checkouts, tree_memory, watched
from keras_lite.errors import InputError

pytestmark = [
    pytest.mark.tensorflow_only,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc"),
]

SIZE = 64 * 2**20
# A process that starts another one, which fills as much memory as SIZE.
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "held = b'1' * {SIZE}; print('held', flush=True); input()"],
                         stdin=subprocess.PIPE)
input()
child.communicate(b"end\\n")
print("ended", flush=True)
input()
"""


@pytest.fixture
def family():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.communicate("end\nend\n")


def test_memory_is_that_of_the_whole_family_and_the_peak_stays(family):
    assert family.stdout.readline() == "held\n"
    assert SIZE < tree_memory(family.pid) < SIZE + 200e6
    with MemoryPeak(family.pid) as peak:
        family.stdin.write("end\n")
        family.stdin.flush()
        assert family.stdout.readline() == "ended\n"
    assert tree_memory(family.pid) < SIZE < peak.bytes
    assert tree_memory(2**30) == 0  # no such process


def test_a_command_is_watched(tmp_path):
    script = tmp_path / "once.py"
    here = str(tmp_path)
    script.write_text(
        f"import os, sys\nassert [sys.argv[1], os.environ['PYTHONPATH'], os.getcwd()] == ['one', {here!r}, {here!r}]\n"
    )
    seconds, most = watched([str(script), "one"], tmp_path)
    assert seconds > 0
    assert most > 0
    with pytest.raises(InputError, match=f"once.py of {tmp_path} to end well, received: AssertionError"):
        watched([str(script), "other"], tmp_path)


def test_checkouts_take_turns_in_their_order(tmp_path):
    assert checkouts(None) == {"here": HERE}
    with pytest.raises(InputError, match=f"a checkout of this repository as --against, received {tmp_path}"):
        checkouts(str(tmp_path))
    (tmp_path / "keras_lite").mkdir()
    assert list(checkouts(str(tmp_path)).items()) == [("before", tmp_path), ("here", HERE)]
