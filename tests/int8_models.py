"""int8 graphs of Keras models, made in milliseconds: the ranges are those of some images, and nothing is searched."""

import keras
import numpy as np

from keras_lite.quantization import CalibratedGraph
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import observe, ranges_from
from keras_lite.quantization.ranges import whole_range


def calibrated(model: keras.Model, images: np.ndarray) -> CalibratedGraph:
    """Return a model as an int8 graph whose tensors have the ranges of their values."""
    form = for_int8(lower(model))
    return CalibratedGraph(form, ranges_from(form, observe(form, images), whole_range))
