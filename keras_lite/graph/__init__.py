"""Changing models as graphs: flattening to stock layers."""

from keras_lite.graph.flatten import as_functional, flatten

__all__ = ["as_functional", "flatten"]
