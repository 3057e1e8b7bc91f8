"""From a quantized model of TF-MOT to the int8 operators that it stands for."""

from keras_lite.quantization.aware.tf_mot.reader import read_quantized

__all__ = ["read_quantized"]
