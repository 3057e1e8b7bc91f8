"""Export: TFLite files whose outputs are verified against their models'."""

from keras_lite.export.conversion import PRECISIONS
from keras_lite.export.departure import Departure, first_departure
from keras_lite.export.model_card import labels_path, model_card_path, write_model_card
from keras_lite.export.tflite import to_tflite
from keras_lite.export.verification import THRESHOLDS, Thresholds, Verification, VerificationError, compare

__all__ = [
    "PRECISIONS",
    "THRESHOLDS",
    "Departure",
    "Thresholds",
    "Verification",
    "VerificationError",
    "compare",
    "first_departure",
    "labels_path",
    "model_card_path",
    "to_tflite",
    "write_model_card",
]
