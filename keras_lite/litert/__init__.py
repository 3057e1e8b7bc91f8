"""What a .tflite file is: graphs of operators, and how they are written."""

from keras_lite.litert.operators import FloatGraph, Operator, Tensor
from keras_lite.litert.writer import write

__all__ = ["FloatGraph", "Operator", "Tensor", "write"]
