"""Changing models as graphs: flattening to stock layers, replacing convolutions."""

from keras_lite.graph.flatten import as_functional, flatten
from keras_lite.graph.replace_convolutions import ReplacementReport, replace_convolutions

__all__ = ["ReplacementReport", "as_functional", "flatten", "replace_convolutions"]
