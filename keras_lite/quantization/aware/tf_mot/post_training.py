"""Post-training quantization: the int8 model closest to the float model, without training and without labels."""

from typing import Any

import keras
import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.data.model_info import OUTPUTS
from keras_lite.errors import InputError
from keras_lite.quantization.aware.quantize_aware import quantize_aware
from keras_lite.quantization.aware.tf_mot.calibration import check_images
from keras_lite.quantization.closeness import judged_as
from keras_lite.quantization.aware.tf_mot.input_range import set_input_range, widen_ranges
from keras_lite.quantization.search import PostTraining, Search


def post_training(
    model: keras.Model,
    images: np.ndarray,
    batch_size: int | None = None,
    preprocessing: Preprocessing | None = None,
    output: str | None = None,
    verbose: int = 0,
) -> tuple[Any, PostTraining]:
    """Quantize a trained model without training, in the way that keeps its answers best.

    One half of the images sets ranges and biases, the other half judges, by how far a candidate's answers are from the
    float model's (see `keras_lite.quantization.closeness`). Tried are several estimators of the activation ranges; with
    the best of them, bias correction; with what is best then, equalized channels. A candidate takes the place of a
    simpler one only if it is closer by more than a standard error. No labels are needed.

    Args:
        model: A functional or Sequential Keras 3 model with one input and one output, on any backend. It is not
            changed.
        images: Preprocessed float images of shape `(count, height, width, 3)`, two or more; 512 are enough.
        batch_size: Images in a batch. `None`: 32, and fewer of large images: all activations of a batch are in memory.
        preprocessing: What made the images of pixels. The range of the input is then what pixels from 0 to 255 can
            become, and where the images hold only a part of these levels, all ranges are widened.
            `None`: it is the images' own, and what lies outside is cut off.
        output: What the model answers, as `keras_lite.data.ModelInfo.output` names it. `None`: what its last layer
            tells (see `keras_lite.graph.output_of`).
        verbose: 1 shows progress, and prints how ranges were set and what was chosen.

    Returns:
        The quantized model, as `quantize_aware` returns it, with ranges; it can be exported, or trained further with
        `finetune`. And what was chosen, to be printed or stored.

    Raises:
        InputError: If a layer can't be quantized, there are fewer than two images, their shape is not the model's, or
            they hold what `preprocessing` can't give.
        MissingExtraError: If TF-MOT or tf_keras is not installed.

    Example:

    ```python
    quantized, report = post_training(model, preprocessing(photos), preprocessing=preprocessing)
    to_tflite(quantized, "model.tflite", precision="int8", samples=preprocessing(photos))
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
    quantized = quantize_aware(model, verbose)
    images = check_images(quantized, images)
    set_input_range(quantized, images, preprocessing, verbose)
    search = Search(quantized, output, images[::2], images[1::2], batch_size=batch_size, verbose=verbose)
    search.run()
    report = search.report()
    if preprocessing is not None:
        widen_ranges(quantized, images, preprocessing, verbose)
    if verbose:
        print(report, flush=True)
    return quantized, report
