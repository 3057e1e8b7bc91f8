"""Using a trained model, whatever file it is in: its outputs, how often they are right, and what a conversion costs."""

from keras_lite.inference.classifier import Classifier
from keras_lite.inference.evaluation import Evaluation, evaluate, format_evaluation
from keras_lite.inference.evaluation_files import write_evaluation
from keras_lite.inference.samples import read_samples

__all__ = [
    "Classifier",
    "Evaluation",
    "evaluate",
    "format_evaluation",
    "read_samples",
    "write_evaluation",
]
