"""What frozen layers make of photos, computed by LiteRT where that is the fastest here."""

import os
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from keras_lite.errors import InputError, MissingExtraError
from keras_lite.graph import in_float32
from keras_lite.quantization.lower import lower
from keras_lite.quantization.observe import written
from keras_lite.runtime import LiteRTError
from keras_lite.runtime.session import LiteRTSession
from keras_lite.training.environment import devices
from keras_lite.training.frozen_layers import Features

# Of images that go to LiteRT's process at a time.
_MOST_BYTES = 1 << 27
_COMPARED = 2
_TOLERANCE = 1e-3
# LiteRT takes several images at a time; their largest tensors, roughly.
_AT_A_TIME = 4


def litert_features(body: keras.Model) -> Features | None:
    """Return what computes a model's outputs with LiteRT, in a process of its own; `None` if Keras had better do it.

    On a processor XNNPACK takes less than half of the time that Keras' backends take. Outputs are those of Keras to
    rounding, which two images show at once.

    Args:
        body: A functional model with one input and one output.

    Returns:
        A function from batches of preprocessed images to the outputs of all, float32; `None` where there is an
        accelerator, the extra `litert` is not installed, or LiteRT can't compute the model.

    Example:

    ```python
    body = keras_lite.applications.CARNet18(include_top=False, pooling="avg", input_shape=(96, 96, 3))
    features = litert_features(body)
    features([np.zeros((2, 96, 96, 3), "float32")]).shape[0]  # 2
    ```
    """
    if not all("cpu" in device.lower() for device in devices()):
        return None
    model = in_float32(body)
    try:
        graph = lower(model)
        largest = max(tensor.size for operator in graph.operators for tensor in operator.outputs)
        content = written(graph, _AT_A_TIME * largest)

        def compute(batches: Iterable[np.ndarray]) -> np.ndarray:
            parts = []
            with LiteRTSession(os.cpu_count() or 1) as session:
                for images in _together(batches):
                    parts += session.outputs(content, images)
                    session.forget(images)
            return np.concatenate(parts)

        images = np.random.default_rng(0).normal(size=(_COMPARED, *model.inputs[0].shape[1:])).astype("float32")
        received = compute([images])
    except (InputError, LiteRTError, MissingExtraError):
        return None
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    if received.shape != expected.shape:
        return None
    close = np.abs(received - expected).max() <= _TOLERANCE * np.abs(expected).max()
    return compute if close else None


def _together(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield batches joined to few large ones."""
    waiting: list[np.ndarray] = []
    for images in batches:
        waiting.append(images)
        if sum(each.nbytes for each in waiting) >= _MOST_BYTES:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
