"""Quantization: from a Keras 3 model to one that computes, and is trained, as the int8 file will.

The files of this room make an int8 graph of a float one: ranges, biases, rounding, channels; and judge it. What trains
is in `keras_lite.quantization.aware`.
"""

from keras_lite.quantization.aware.finetuning import finetune
from keras_lite.quantization.aware.quantize_aware import is_quantized, quantize_aware
from keras_lite.quantization.aware.tf_mot.calibration import calibrate
from keras_lite.quantization.aware.tf_mot.start import trainable_start
from keras_lite.quantization.aware.tf_mot.to_tf_keras import to_tf_keras
from keras_lite.quantization.calibrated import CalibratedGraph
from keras_lite.quantization.post_training import post_training
from keras_lite.quantization.search import PostTraining

__all__ = [
    "CalibratedGraph",
    "PostTraining",
    "calibrate",
    "finetune",
    "is_quantized",
    "post_training",
    "quantize_aware",
    "to_tf_keras",
    "trainable_start",
]
