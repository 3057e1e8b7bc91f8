"""Post-training quantization: the int8 model closest to the float model, without training and without labels."""

import keras
import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.data.model_info import OUTPUTS
from keras_lite.errors import InputError
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.closeness import judged_as
from keras_lite.quantization.images import check_images
from keras_lite.quantization.input_range import input_range, with_known_input
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.search import PostTraining, Search


def post_training(
    model: keras.Model,
    images: np.ndarray,
    preprocessing: Preprocessing | None = None,
    output: str | None = None,
    allow_float: bool = False,
    verbose: int = 0,
) -> tuple[CalibratedGraph, PostTraining]:
    """Quantize a trained model without training, in the way that keeps its outputs best.

    One half of the images sets ranges and biases, the other half judges, by how far a candidate's outputs are from the
    float model's (see `keras_lite.quantization.closeness`); each candidate is written as a file and run in LiteRT.
    Tried are several estimators of the activation ranges; then, one after the other, each with what is best so far:
    corrected biases, weights rounded by their effect where weights matter, equalized channels. What is concatenated
    gets one range, which saves operators, if that is not farther. No labels and no TensorFlow are needed.

    Args:
        model: A functional or Sequential Keras 3 model with one input and one output, on any backend. It is not
            changed.
        images: Preprocessed float images of shape `(count, height, width, 3)`, two or more; 512 are enough.
        preprocessing: What made the images of pixels. The range of the input is then what pixels from 0 to 255 can
            become, and where the images hold only a part of these levels, all ranges are widened.
            `None`: it is the images' own, and what lies outside is cut off.
        output: What the model outputs, as `keras_lite.data.ModelInfo.output` names it. `None`: what its last layer
            tells (see `keras_lite.graph.output_of`).
        allow_float: Whether layers that int8 has no operators for stay in floats (normalization by an image's own
            statistics, attention, ...). What multiplies by weights is int8 in any case.
        verbose: 1 prints how ranges were set and what was chosen.

    Returns:
        The calibrated graph, which can be exported, or trained further. And what was chosen, to be printed or stored.

    Raises:
        InputError: If int8 has no operators for a layer and `allow_float` is False, there are fewer than two images,
            their shape is not the model's, or they hold what `preprocessing` can't give.
        MissingExtraError: If the extra `litert` is not installed.

    Example:

    ```python
    calibrated, report = post_training(model, preprocessing(photos), preprocessing=preprocessing)
    to_tflite(calibrated, "model.tflite", precision="int8", samples=preprocessing(photos))
    ```
    """
    images = np.asarray(images)
    if not images.ndim:
        raise InputError(f"Expected an array of images to quantize with, received {type(images.item()).__name__}.")
    if len(images) < 2:
        raise InputError(f"Expected two or more images to quantize with, received {len(images)}.")
    if output is not None and output not in OUTPUTS:
        raise InputError(f"Expected output to be one of {OUTPUTS}, received {output!r}.")
    output = judged_as(model, output)
    form = for_int8(lower(model), allow_float)
    images = check_images(model, images)
    search = Search(form, output, input_range(images, preprocessing, verbose), images)
    calibrated = search.run()
    report = search.report()
    if preprocessing is not None:
        calibrated = with_known_input(calibrated, images, preprocessing, verbose)
    if verbose:
        print(report, flush=True)
    return calibrated, report
