"""A model's outputs for some images."""

import keras
import numpy as np

from keras_lite.errors import import_extra

_BATCH = 16


def outputs_for(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return a model's outputs, as `model.predict` does.

    On TensorFlow it does without XLA, which `model.predict` has compile the whole model first: that takes longer than
    some hundred images.

    Args:
        model: A model with one output.
        images: What it takes.

    Example:

    >>> inputs = keras.Input((4,))
    >>> model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    >>> outputs_for(model, np.array([[-1.0, 0.0, 1.0, 2.0]], "float32")).tolist()
    [[0.0, 0.0, 1.0, 2.0]]
    """
    if keras.backend.backend() != "tensorflow":
        return np.asarray(model.predict(images, verbose=0))
    tensorflow = import_extra("tensorflow", "tensorflow")
    run = tensorflow.function(lambda batch: model(batch, training=False), autograph=False, reduce_retracing=True)
    batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
    return np.concatenate([run(tensorflow.convert_to_tensor(batch)).numpy() for batch in batches])
