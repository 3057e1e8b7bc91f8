"""What a .tflite file is: graphs of operators, and how they are written."""

from keras_lite.litert.metadata import ModelMetadata, model_metadata
from keras_lite.litert.operators import FloatGraph, Operator, Tensor
from keras_lite.litert.weights import with_float16_weights, with_int8_weights
from keras_lite.litert.writer import write

__all__ = [
    "FloatGraph",
    "ModelMetadata",
    "Operator",
    "Tensor",
    "model_metadata",
    "with_float16_weights",
    "with_int8_weights",
    "write",
]
