"""Export: TFLite files that are proven to answer like their models, and what they take on a device."""

from keras_lite.export.conversion import PRECISIONS
from keras_lite.export.inspection import Inspection, inspect
from keras_lite.export.integer_model import IntegerModel
from keras_lite.export.model_card import labels_path, model_card_path, write_model_card
from keras_lite.export.runner import LiteRTError, LiteRTModel, run_in_subprocess
from keras_lite.export.tflite import to_tflite
from keras_lite.export.verification import THRESHOLDS, Thresholds, Verification, VerificationError, compare

__all__ = [
    "PRECISIONS",
    "THRESHOLDS",
    "Inspection",
    "IntegerModel",
    "LiteRTError",
    "LiteRTModel",
    "Thresholds",
    "Verification",
    "VerificationError",
    "compare",
    "inspect",
    "labels_path",
    "model_card_path",
    "run_in_subprocess",
    "to_tflite",
    "write_model_card",
]
