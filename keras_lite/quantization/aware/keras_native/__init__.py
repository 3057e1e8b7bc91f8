"""Quantization-aware training in Keras 3, on any backend: a model that computes what its int8 file computes."""

from keras_lite.quantization.aware.keras_native.building import read_trained, trainable

__all__ = ["read_trained", "trainable"]
