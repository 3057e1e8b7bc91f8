"""What a .tflite file is: graphs of operators, and how they are written."""

from keras_lite.litert.metadata import ModelMetadata, model_metadata
from keras_lite.litert.operators import FloatGraph, Graph, Operator, QuantizedGraph, Tensor
from keras_lite.litert.scheme import QuantizationParameters, quantize_bias, quantize_kernel, quantize_values
from keras_lite.litert.weights import with_float16_weights, with_int8_weights
from keras_lite.litert.writer import write

__all__ = [
    "FloatGraph",
    "Graph",
    "ModelMetadata",
    "Operator",
    "QuantizationParameters",
    "QuantizedGraph",
    "Tensor",
    "model_metadata",
    "quantize_bias",
    "quantize_kernel",
    "quantize_values",
    "with_float16_weights",
    "with_int8_weights",
    "write",
]
