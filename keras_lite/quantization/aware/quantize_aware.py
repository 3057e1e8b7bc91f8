"""The model that quantization-aware training trains, made by Keras alone or by TF-MOT."""

from typing import Any, Literal

import keras
import numpy as np

from keras_lite.data import Preprocessing
from keras_lite.errors import InputError
from keras_lite.litert import QuantizedGraph
from keras_lite.quantization.aware.keras_native import is_trainable, read_trained, trainable
from keras_lite.quantization.aware.tf_mot import read_quantized
from keras_lite.quantization.aware.tf_mot.start import trainable_start
from keras_lite.quantization.aware.tf_mot.wrapping import is_wrapped, wrap
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.post_training import post_training

ENGINES = ("keras", "tf_mot")


def quantize_aware(
    model: keras.Model | CalibratedGraph,
    images: np.ndarray | None = None,
    engine: Literal["keras", "tf_mot"] = "keras",
    *,
    preprocessing: Preprocessing | None = None,
    output: str | None = None,
    scales: Literal["kept", "estimated", "learned"] | None = None,
    verbose: int = 0,
) -> Any:
    """Return a model for quantization-aware training, which starts from what post-training quantization chose.

    The engine `"keras"` returns a Keras model on any backend, which computes what the int8 file computes, in whole
    numbers: before any step its outputs are those of the file that `post_training` gives, rounded weights and corrected
    biases included. It compiles, fits, saves and loads as any other (`.keras`). Batch normalization is folded into
    kernels and biases, with the statistics of the float model: the file has no others, and statistics that go on moving
    were farther from the float model wherever both were tried. `keras_lite.quantization.finetune` trains it on the
    float model's answers, and `keras_lite.export.to_tflite` writes it.

    The engine `"tf_mot"` flattens the model, carries it to tf_keras and has TF-MOT wrap its layers, see
    `keras_lite.quantization.aware.tf_mot`. There weights start rounded to the nearest step.

    Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", CVPR 2018 (arXiv:1712.05877); Esser et al., "Learned Step Size Quantization", ICLR 2020
    (arXiv:1902.08153).

    Args:
        model: A functional or Sequential Keras 3 model with one input and one output, on any backend; it is not
            changed. Or what `post_training` returned, for the engine `"keras"`.
        images: Preprocessed float images of shape `(count, height, width, 3)` that ranges and biases are set with; 512
            are enough. `None`: what `post_training` returned needs none, and TF-MOT's ranges then mean nothing until
            `keras_lite.quantization.calibrate` has seen some.
        engine: Who makes the model.
        preprocessing: As for `post_training`.
        output: As for `post_training`.
        scales: Of the engine `"keras"`: what becomes of scales in training. `"kept"`, the default: nothing.
            `"estimated"`: those of kernels follow their largest numbers. `"learned"`: those of kernels and activations
            are trained too.
        verbose: 1 prints what was chosen.

    Returns:
        A `keras.Model`, or of TF-MOT a `tf_keras.Model`. Both take the same float images as `model` and answer logits:
        a softmax at the end is dropped.

    Raises:
        InputError: If an argument is wrong, or a layer can't be quantized or trained; the message names it.
        MissingExtraError: If the extra `litert`, or for TF-MOT the extra `quantization`, is not installed.

    Example:

    ```python
    aware = quantize_aware(model, images)
    aware.compile(keras.optimizers.Adam(5e-6), keras.losses.MeanSquaredError())
    aware.fit(images, model.predict(images))  # of a model that ends in logits
    to_tflite(aware, "model.tflite", precision="int8", samples=images, reference=model)
    ```
    """
    if engine not in ENGINES:
        raise InputError(f"Expected engine to be one of {ENGINES}, received {engine!r}.")
    chosen = {"preprocessing": preprocessing, "output": output, "verbose": verbose}
    if engine == "tf_mot":
        if scales is not None:
            raise InputError(f'Expected scales for the engine "keras" alone, received {scales!r} for TF-MOT.')
        if isinstance(model, CalibratedGraph):
            raise InputError("Expected a Keras model for TF-MOT, received what post_training returned.")
        if images is None:
            return wrap(model, verbose)
        _, report = post_training(model, images, **chosen)
        return trainable_start(model, images, report.chosen, preprocessing)
    if isinstance(model, CalibratedGraph):
        if images is not None:
            raise InputError("Expected no images for what post_training returned, which has its ranges.")
        return trainable(model, scales or "kept")
    if images is None:
        raise InputError("Expected images to set ranges and biases with, received none.")
    calibrated, _ = post_training(model, images, **chosen)
    return trainable(calibrated, scales or "kept")


def is_quantized(model: Any) -> bool:
    """Whether `model` is one that `quantize_aware` made, by any engine."""
    return is_wrapped(model) or is_trainable(model)


def int8_graph(quantized: Any) -> QuantizedGraph:
    """Return the int8 graph of what `post_training` or `quantize_aware` returned.

    Raises:
        InputError: If it is something else.
    """
    if isinstance(quantized, CalibratedGraph):
        return quantized.graph
    return read_trained(quantized) if is_trainable(quantized) else read_quantized(quantized)
