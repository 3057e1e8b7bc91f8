import os
import platform
import subprocess
import sys

import pytest

HEAVY = ("PIL", "matplotlib", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert")


def test_import_is_light():
    """Importing the package loads Keras, its backend and NumPy, and nothing that Keras does not load itself."""
    program = (
        "import sys, keras; before = set(sys.modules); import keras_lite; keras_lite.layers; keras_lite.applications;"
        "print(*({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(finished.stdout.split())


@pytest.mark.tensorflow_only
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN is for x86 here")
@pytest.mark.parametrize("wish", [None, "0"])
def test_tensorflow_runs_its_faster_kernels(wish):
    """TensorFlow's graph rewriter puts oneDNN's kernels in whatever the processor, unless the user objects."""
    program = (
        "import keras_lite, tensorflow as tf;"
        "from tensorflow.python.framework import test_util; print(test_util.IsMklEnabled())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {} if wish is None else {"TF_ENABLE_ONEDNN_OPTS": wish}
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert finished.stdout.strip() == str(wish is None)
