"""From a Keras model of any backend to the operators of a .tflite file, without TensorFlow."""

from keras_lite.quantization.lower.for_int8 import Int8Form, for_int8
from keras_lite.quantization.lower.lowering import lower

__all__ = ["Int8Form", "for_int8", "lower"]
