import subprocess
import sys

HEAVY = ("PIL", "matplotlib", "tf_keras", "tensorflow_model_optimization", "ai_edge_litert")


def test_import_is_light():
    """Importing the package loads Keras, its backend and NumPy, and nothing that Keras does not load itself."""
    program = (
        "import sys, keras; before = set(sys.modules); import keras_lite; keras_lite.layers; keras_lite.applications;"
        "print(*({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(finished.stdout.split())
