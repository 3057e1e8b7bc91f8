"""An int8 graph computed in whole numbers, as LiteRT computes its file."""

from keras_lite.litert.integer.model import IntegerModel, target_of

__all__ = ["IntegerModel", "target_of"]
