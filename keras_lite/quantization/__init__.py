"""Quantization: from a Keras 3 model to one that computes, and is trained, as the int8 file will.

The files of this room set the numbers of a quantized model: ranges, biases, channels; and judge it. The model itself,
and what starts from a float model, are in `keras_lite.quantization.aware`.
"""

from keras_lite.quantization.aware.finetuning import finetune
from keras_lite.quantization.post_training import post_training
from keras_lite.quantization.aware.quantize_aware import is_quantized, quantize_aware
from keras_lite.quantization.aware.to_tf_keras import to_tf_keras
from keras_lite.quantization.aware.tf_mot.calibration import calibrate
from keras_lite.quantization.search import PostTraining

__all__ = [
    "PostTraining",
    "calibrate",
    "finetune",
    "is_quantized",
    "post_training",
    "quantize_aware",
    "to_tf_keras",
]
