"""One export in a fresh process, for `checks.export_cost`; also run with an older checkout of keras_lite.

    PYTHONPATH=CHECKOUT python -P export_once.py WHAT ROW IMAGES

WHAT is `to_tflite` (everything, verification included), `lower` (lowering and writing alone) or `convert` (the stock
conversion alone). It builds a published row's network with random weights, imports what is needed, prints `ready`,
waits for a line, exports, and prints the seconds.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ai_edge_litert.interpreter  # noqa: F401
import keras
import numpy as np
import tensorflow as tf  # noqa: F401
import tensorflow_model_optimization as tfmot  # noqa: F401
import tf_keras  # noqa: F401

from keras_lite import export, published
from keras_lite.export.conversion import convert
from keras_lite.quantization import to_tf_keras


def _action(what: str, model: keras.Model, count: int, folder: str) -> Callable[[], object]:
    if what == "to_tflite":
        images = np.random.default_rng(0).normal(size=(count, *model.input_shape[1:])).astype("float32")
        return lambda: export.to_tflite(model, Path(folder, "model.tflite"), "float32", samples=images)
    if what == "convert":
        return lambda: convert(to_tf_keras(model), "float32")
    # An older checkout has neither.
    from keras_lite.litert.writer import write
    from keras_lite.quantization.lower import lower

    return lambda: write(lower(model))


def main(what: str, row: str, count: str) -> None:
    """Export once, when told to."""
    keras.utils.set_random_seed(0)
    model = published.get(row).build(classifier_activation=None)
    with tempfile.TemporaryDirectory() as folder:
        act = _action(what, model, int(count), folder)
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        act()
        print("seconds", time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
