"""From a Keras model of any backend to the operators of a .tflite file, without TensorFlow."""

from keras_lite.quantization.lower.lowering import lower

__all__ = ["lower"]
