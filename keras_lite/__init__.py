"""Light vision networks for phones, in Keras 3.

Rooms are imported when they are first used. The layers are imported along with Keras, whoever imports it, so that Keras
knows them when it loads a model.
"""

import importlib
import importlib.machinery
import os
import platform
import sys

if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow reads this when it is imported, and leaves its faster kernels off on processors without AVX512-VNNI.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.2.0"
# Modules that register families of networks, see `keras_lite.checkpoints.register`; they are imported when the first is
# asked for. A module of your own may be added.
FAMILY_MODULES = ["keras_lite.applications"]
_ROOMS = [
    "applications",
    "checkpoints",
    "data",
    "export",
    "graph",
    "inference",
    "layers",
    "litert",
    "pipelines",
    "profiling",
    "published",
    "quantization",
    "runtime",
    "training",
]
__all__ = ["FAMILY_MODULES", *_ROOMS]


def __getattr__(name: str):
    if name in _ROOMS:
        return importlib.import_module(f"keras_lite.{name}")
    raise AttributeError(f"module 'keras_lite' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _LayersAfterKeras:
    """Finds Keras as Python does, and has our layers imported when that is done."""

    def find_spec(self, name: str, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                importlib.import_module("keras_lite.layers")

            spec.loader.exec_module = exec_module
        return spec


if "keras" in sys.modules:
    importlib.import_module("keras_lite.layers")
else:
    sys.meta_path.insert(0, _LayersAfterKeras())
