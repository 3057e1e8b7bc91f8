"""Models as graphs: viewing, counting, flattening, exact rewriting, replacing convolutions, float32 throughout."""

from keras_lite.graph.cloning import in_float32
from keras_lite.graph.counts import Counts, LayerCounts, count
from keras_lite.graph.flatten import as_functional, flatten, with_input_shape
from keras_lite.graph.heads import (
    check_output,
    input_names,
    last_operation,
    output_kinds,
    output_names,
    output_of,
    outputs_for,
)
from keras_lite.graph.rectifiers import plain_rectifiers
from keras_lite.graph.replace_convolutions import ReplacementReport, replace_convolutions
from keras_lite.graph.resizing import Resized, without_resizing
from keras_lite.graph.rewriting import in_pairs
from keras_lite.graph.view import View, walk

__all__ = [
    "Counts",
    "LayerCounts",
    "ReplacementReport",
    "Resized",
    "View",
    "as_functional",
    "check_output",
    "count",
    "flatten",
    "in_float32",
    "in_pairs",
    "input_names",
    "last_operation",
    "output_kinds",
    "output_names",
    "output_of",
    "outputs_for",
    "plain_rectifiers",
    "replace_convolutions",
    "walk",
    "with_input_shape",
    "without_resizing",
]
