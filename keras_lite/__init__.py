"""Light vision networks for phones, in Keras 3.

Rooms are imported when they are first used, except for the layers and the networks: their files register the families
that `keras_lite.checkpoints` knows. `import keras_lite` needs Keras and NumPy alone.
"""

import importlib
import os
import platform

if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow reads this when it is imported, and leaves its faster kernels off on processors without AVX512-VNNI.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import keras  # noqa: F401  (the first import fixes the backend)

from keras_lite import applications, layers

__version__ = "0.1.0"
__all__ = [
    "applications",
    "checkpoints",
    "data",
    "export",
    "graph",
    "layers",
    "profiling",
    "published",
    "quantization",
    "training",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"keras_lite.{name}")
    raise AttributeError(f"module 'keras_lite' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
