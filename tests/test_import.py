import os
import platform
import subprocess
import sys

import keras
import pytest

HEAVY = ("PIL", "matplotlib", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert")


LIGHT = (
    "import sys, keras; before = set(sys.modules); import keras_lite; keras_lite.layers; keras_lite.applications;"
    "print(*({m.partition('.')[0] for m in set(sys.modules) - before}));"
)
FASTER_KERNELS = "from tensorflow.python.framework import test_util; print(test_util.IsMklEnabled())"


def printed(program, **changes):
    """Return the lines that a program prints where nobody has said a word of oneDNN but in `changes`."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"} | changes
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()


@pytest.fixture(scope="module")
def imported():
    """What was loaded with the package and, on TensorFlow, whether the faster kernels run."""
    return printed(LIGHT + (FASTER_KERNELS if keras.backend.backend() == "tensorflow" else ""))


def test_import_is_light(imported):
    """Importing the package loads Keras, its backend and NumPy, and nothing that Keras does not load itself."""
    assert not set(HEAVY) & set(imported[0].split())


@pytest.mark.tensorflow_only
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86 here")
def test_tensorflow_runs_its_faster_kernels(imported):
    """TensorFlow's graph rewriter puts oneDNN's kernels in whatever the processor, unless the user objects."""
    assert imported[1] == "True"
    assert printed("import keras_lite;" + FASTER_KERNELS, TF_ENABLE_ONEDNN_OPTS="0") == ["False"]
