"""An int8 graph computed in whole numbers, as LiteRT computes its file."""

from keras_lite.litert.integer.model import IntegerModel

__all__ = ["IntegerModel"]
