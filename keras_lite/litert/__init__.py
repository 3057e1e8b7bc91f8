"""What a .tflite file is: graphs of operators, and how they are written."""

from keras_lite.litert.operators import FloatGraph, Operator, Tensor

__all__ = ["FloatGraph", "Operator", "Tensor"]
