"""From a tf_keras model to the bytes of a TFLite file."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_lite.errors import InputError, import_extra
from keras_lite.quantization.aware.tf_mot.to_tf_keras import hard_swish

PRECISIONS = ("float32", "float16", "dynamic", "int16", "int8")


def convert(model: Any, precision: str, calibration: np.ndarray | None = None) -> bytes:
    """Convert a tf_keras model to TFLite, with a batch of 1.

    Args:
        model: A functional `tf_keras.Model` with one input of known size and one output.
        precision: `"float32"`; `"float16"`: weights of 16 bits, computed in float32; `"dynamic"`: weights of 8 bits,
            activations in float32 and rounded on the way; `"int16"`: weights of 8 bits, activations of 16, which
            XNNPACK does not take; `"int8"`: 8 bits throughout, input and output included.
        calibration: For `"int8"` and `"int16"`: preprocessed float32 images that activation ranges are taken from
            (post-training quantization). None for a quantization-aware model, which has its ranges.

    Returns:
        The content of the file.

    Raises:
        InputError: If the model's input has no fixed size, or an operator has no kernel of this precision.
    """
    tensorflow = import_extra("tensorflow", "quantization")
    shape = tuple(model.inputs[0].shape[1:])
    if None in shape:
        raise InputError(f"Expected a model with an input of fixed size, received {shape}.")

    switched = [layer.name for layer in model.layers if getattr(layer, "activation", None) is hard_swish]
    if precision == "int16" and switched:
        raise InputError(
            f"Expected a model without hard-swish for int16 activations, for which LiteRT has no such kernel, received "
            f"{len(switched)} of them ({switched[0]}, ...)."
        )

    @tensorflow.function(autograph=False)
    def answer(images):
        return model(images, training=False)

    concrete = answer.get_concrete_function(tensorflow.TensorSpec((1, *shape), "float32", name="images"))
    # The converter saves what it is given and loads it again. A graph of constants is saved in no time, variables one
    # by one, and the model itself would be traced layer by layer, which takes minutes.
    constants = import_extra("tensorflow.python.framework.convert_to_constants", "quantization")
    frozen = constants.convert_variables_to_constants_v2(concrete)
    converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([frozen], tensorflow.Module())
    if precision != "float32":
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tensorflow.float16]
    if precision == "int16":
        converter.inference_input_type = tensorflow.int16
        converter.inference_output_type = tensorflow.int16
        converter.representative_dataset = lambda: _one_by_one(calibration)
        converter.target_spec.supported_ops = [
            tensorflow.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    if precision == "int8":
        converter.inference_input_type = tensorflow.int8
        converter.inference_output_type = tensorflow.int8
        # A quantization-aware model must have no representative data: they would hide float islands.
        if calibration is not None:
            converter.representative_dataset = lambda: _one_by_one(calibration)
            converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        return converter.convert()
    except RuntimeError as error:
        # "Quantization to 16x8-bit not yet supported for op: 'L2_NORMALIZATION'."
        found = re.search(r"not yet supported for op: '(\w+)'", str(error))
        if found is None:
            raise
        raise InputError(
            f"Expected operators that LiteRT has in {precision}, received {found[1]}; take another precision."
        ) from error


def _one_by_one(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for image in images:
        yield [image[None].astype("float32")]
