"""Quantization-aware training in Keras 3, on any backend: a model that computes what its int8 file computes."""

from keras_lite.quantization.aware.keras_native.building import is_trainable, read_trained, trainable
from keras_lite.quantization.aware.keras_native.layers import SCALES

__all__ = ["SCALES", "is_trainable", "read_trained", "trainable"]
