"""Post-training quantization: the int8 model closest to the float model, without training and without labels."""

from collections.abc import Mapping, Sequence

import keras

from keras_lite.data import Preprocessing
from keras_lite.errors import InputError
from keras_lite.graph import input_names
from keras_lite.litert.integer.threads import one_blas_thread
from keras_lite.litert.samples import Given, arrays_of
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.closeness import judged_as
from keras_lite.quantization.images import check_images, for_images
from keras_lite.quantization.input_range import input_ranges, with_known_input
from keras_lite.quantization.lower import for_int8, lower
from keras_lite.quantization.observe import running
from keras_lite.quantization.search import PostTraining, Search


def post_training(
    model: keras.Model,
    images: Given,
    preprocessing: Preprocessing | None = None,
    output: str | Sequence[str] | Mapping[str, str] | None = None,
    allow_float: bool = False,
    verbose: int = 0,
) -> tuple[CalibratedGraph, PostTraining]:
    """Quantize a trained model without training, in the way that keeps its outputs best.

    One half of the images sets ranges and biases, the other half judges, by how far a candidate's outputs are from the
    float model's (see `keras_lite.quantization.closeness`); each candidate is written as a file and run in LiteRT.
    Tried are several estimators of the activation ranges; then, one after the other, each with what is best so far:
    corrected biases, equalized channels, weights rounded by their effect where weights matter. What is concatenated
    gets one range, which saves operators, if that is not farther. No labels and no TensorFlow are needed.

    Args:
        model: A functional or Sequential Keras 3 model, on any backend. It is not changed. Where it leaves the size of
            its input open, it is quantized for that of `images`.
        images: Preprocessed float images of shape `(count, height, width, 3)`, or what else the model takes, two or
            more; 512 are enough. Of several inputs a list of arrays, or a dictionary by their names.
        preprocessing: What made the images of pixels. The range of the input is then what pixels from 0 to 255 can
            become, and where the images hold only a part of these levels, all ranges are widened.
            `None`: it is the images' own, and what lies outside is cut off.
        output: What the model outputs, as `keras_lite.data.ModelInfo.output` names it. `None`: what its last layer
            tells (see `keras_lite.graph.output_of`). Of several outputs kinds in their order, or by their names.
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
    arrays = arrays_of(images, input_names(model))
    for array in arrays:
        if not array.ndim:
            raise InputError(f"Expected an array of images to quantize with, received {type(array.item()).__name__}.")
    if len(arrays[0]) < 2:
        raise InputError(f"Expected two or more images to quantize with, received {len(arrays[0])}.")
    output = judged_as(model, output)
    images = check_images(model, images)
    # Its products of matrices are small: threads would wait for each other.
    with one_blas_thread(), running() as session:
        form = for_int8(lower(for_images(model, images)), allow_float)
        search = Search(form, output, input_ranges(images, preprocessing, verbose), images, session)
        calibrated = search.run()
    report = search.report()
    if preprocessing is not None:
        calibrated = with_known_input(calibrated, images, preprocessing, verbose)
    if verbose:
        print(report, flush=True)
    return calibrated, report
