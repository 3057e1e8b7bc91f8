"""Quantisation: from a Keras 3 model to one that computes, and is trained, as the int8 file will."""

from keras_lite.quantization.calibration import calibrate
from keras_lite.quantization.finetuning import finetune
from keras_lite.quantization.post_training import PostTraining, post_training
from keras_lite.quantization.quantize_aware import is_quantized, quantize_aware
from keras_lite.quantization.to_tf_keras import to_tf_keras

__all__ = ["PostTraining", "calibrate", "finetune", "is_quantized", "post_training", "quantize_aware", "to_tf_keras"]
