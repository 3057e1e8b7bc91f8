"""What a .tflite file is: graphs of operators, and how they are written."""

from keras_lite.litert.checks import check_quantized, excess
from keras_lite.litert.ends import with_ends
from keras_lite.litert.integer import IntegerModel, target_of
from keras_lite.litert.metadata import ModelMetadata, model_metadata, takes_pixels
from keras_lite.litert.operators import FloatGraph, Graph, Operator, QuantizedGraph, Tensor
from keras_lite.litert.scheme import (
    QuantizationParameters,
    quantize_bias,
    quantize_kernel,
    quantize_values,
    quantize_weights,
)
from keras_lite.litert.weights import with_float16_weights, with_int8_weights
from keras_lite.litert.writer import write

__all__ = [
    "FloatGraph",
    "Graph",
    "IntegerModel",
    "ModelMetadata",
    "Operator",
    "QuantizationParameters",
    "QuantizedGraph",
    "Tensor",
    "check_quantized",
    "excess",
    "model_metadata",
    "quantize_bias",
    "quantize_kernel",
    "quantize_values",
    "quantize_weights",
    "takes_pixels",
    "target_of",
    "with_ends",
    "with_float16_weights",
    "with_int8_weights",
    "write",
]
