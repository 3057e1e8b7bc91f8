"""One call in a fresh process, for `checks.export_cost`; also run with an older checkout of keras_lite.

    PYTHONPATH=CHECKOUT python -P export_once.py WHAT NETWORK IMAGES [PHOTOS]

WHAT is `to_tflite` (a float32 file, verification included), `lower` (lowering and writing it alone), `convert` (the
stock conversion alone), or of an int8 file whose ranges are known beforehand `to_tflite_int8`, `write_int8` (making the
int8 graph and writing it) and `convert_int8` (TensorFlow's conversion of a TF-MOT model); `post_training` alone; or
`answers`: an `IntegerModel`'s for all images. NETWORK is a published row, which is built with random or known weights,
or a `.keras` file; PHOTOS a `.npy` file of images as it takes them, otherwise they are noise. It imports what is
needed, prints `ready`, waits for a line, makes the call, and prints the seconds.
"""

import inspect
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ai_edge_litert.interpreter
import ai_edge_litert.schema_py_generated  # noqa: F401
import keras
import numpy as np
import tensorflow as tf  # noqa: F401
import tensorflow_model_optimization as tfmot  # noqa: F401
import tf_keras  # noqa: F401

from keras_lite import export, published, quantization
from keras_lite.export.conversion import convert


def _action(what: str, model: keras.Model, images: np.ndarray, folder: str) -> Callable[[], object]:
    path = Path(folder, "model.tflite")
    if what == "to_tflite":
        return lambda: export.to_tflite(model, path, "float32", samples=images)
    if what == "convert":
        return lambda: convert(quantization.to_tf_keras(model), "float32")
    if what == "lower":
        # An older checkout has neither.
        from keras_lite.litert.writer import write
        from keras_lite.quantization.lower import lower

        return lambda: write(lower(model))
    if what == "post_training":
        return lambda: quantization.post_training(model, images)
    if what == "convert_int8":
        quantized = _tf_mot(model, images)
        return lambda: convert(quantized, "int8")
    given = _tf_mot(model, images) if not hasattr(quantization, "CalibratedGraph") else _calibrated(model, images)
    if what == "answers":
        return _answers(given, images, path)
    if what == "to_tflite_int8":
        return lambda: export.to_tflite(given, path, "int8", samples=images)
    from keras_lite.litert.writer import write

    return lambda: write(given.graph)


def _answers(given: object, images: np.ndarray, path: Path) -> Callable[[], object]:
    try:
        from keras_lite.litert.integer import IntegerModel

        model = IntegerModel(given.graph)
    except ImportError:  # an older checkout reads kernels and biases out of the file
        from keras_lite.export.integer_model import IntegerModel

        path.write_bytes(convert(given, "int8"))
        model = IntegerModel(given, path)
    return lambda: model.predict(images)


def _set_known_weights(model: keras.Model, images: np.ndarray) -> None:
    """Give batch normalization statistics of images: without, activations shrink or grow beyond what int8 can hold."""
    try:
        from checks.known_weights import set_known_weights
    except ImportError:  # an older checkout
        from keras_lite.export.known_weights import set_known_weights
    set_known_weights(model, images)


def _tf_mot(model: keras.Model, images: np.ndarray) -> object:
    # An older checkout has no other engine.
    known = inspect.signature(quantization.quantize_aware).parameters
    quantized = quantization.quantize_aware(model, **({"engine": "tf_mot"} if "engine" in known else {}))
    quantization.calibrate(quantized, images)
    return quantized


def _calibrated(model: keras.Model, images: np.ndarray) -> object:
    from keras_lite.quantization.lower import for_int8, lower
    from keras_lite.quantization.observe import observe, ranges_from
    from keras_lite.quantization.ranges import whole_range

    form = for_int8(lower(model))
    return quantization.CalibratedGraph(form, ranges_from(form, observe(form, images), whole_range))


def main(what: str, network: str, count: str, photos: str | None = None) -> None:
    """Make the call once, when told to."""
    keras.utils.set_random_seed(0)
    trained = network.endswith(".keras")
    model = keras.saving.load_model(network) if trained else published.get(network).build(classifier_activation=None)
    with tempfile.TemporaryDirectory() as folder:
        if photos is None:
            images = np.random.default_rng(0).normal(size=(int(count), *model.input_shape[1:])).astype("float32")
        else:
            images = np.load(photos)[: int(count)]
        if what not in ("to_tflite", "lower", "convert") and not trained:
            _set_known_weights(model, images[:32])
        act = _action(what, model, images, folder)
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        act()
        print("seconds", time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
