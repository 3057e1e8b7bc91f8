"""What fine-tuning of a TF-MOT model starts from: the way that post-training quantization chose."""

from typing import Any

import keras
import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.quantization.aware.tf_mot.bias_correction import correct_biases
from keras_lite.quantization.aware.tf_mot.calibration import measure, set_ranges
from keras_lite.quantization.aware.tf_mot.equalization import equalize
from keras_lite.quantization.aware.tf_mot.input_range import set_input_range, widen_ranges
from keras_lite.quantization.aware.tf_mot.wrapping import wrap
from keras_lite.quantization.candidates import ESTIMATORS, Steps
from keras_lite.quantization.images import check_images


def trainable_start(
    model: keras.Model, images: np.ndarray, steps: Steps, preprocessing: Preprocessing | None = None, verbose: int = 0
) -> Any:
    """Return a TF-MOT model with ranges, biases and channels as post-training quantization chose them.

    Weights are rounded to the nearest step there, and each concatenation has its own range.

    Args:
        model: A float Keras model. It is not changed.
        images: Preprocessed float images that set ranges and biases.
        steps: What was chosen.
        preprocessing: What made the images of pixels.
        verbose: 1 shows progress.

    Raises:
        InputError: If a layer can't be quantized, or the images are not the model's.
        MissingExtraError: If TF-MOT or tf_keras is not installed.
    """
    quantized = wrap(model, verbose)
    images = check_images(quantized, images)
    set_input_range(quantized, images, preprocessing, verbose)
    measured = measure(quantized, images, verbose=verbose)
    if steps.equalization and equalize(quantized, measured):
        measured = measure(quantized, images, verbose=verbose)
    set_ranges(quantized, measured, ESTIMATORS[steps.ranges])
    if steps.bias_correction:
        correct_biases(quantized, images)
    if preprocessing is not None:
        widen_ranges(quantized, images, preprocessing, verbose)
    return quantized
