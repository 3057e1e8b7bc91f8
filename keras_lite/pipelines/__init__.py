"""What the commands do, as functions with a dataclass of options: for notebooks and scripts."""

from keras_lite.pipelines.compare import CompareOptions, compare_model, compare_precisions
from keras_lite.pipelines.convert import Converted, ConvertOptions, convert_checkpoint
from keras_lite.pipelines.description import Description
from keras_lite.pipelines.evaluate import EvaluateOptions, evaluate_model
from keras_lite.pipelines.export import ExportOptions, export_model
from keras_lite.pipelines.finetune import FinetuneOptions, finetune_model
from keras_lite.pipelines.predict import Prediction, predict_photos
from keras_lite.pipelines.quantize import QuantizationOptions, QuantizeOptions, quantize_model, quantize_run
from keras_lite.pipelines.train import train_model
from keras_lite.pipelines.web import WebOptions, make_web_page, serve_web_page

__all__ = [
    "CompareOptions",
    "ConvertOptions",
    "Converted",
    "Description",
    "EvaluateOptions",
    "ExportOptions",
    "FinetuneOptions",
    "Prediction",
    "QuantizationOptions",
    "QuantizeOptions",
    "WebOptions",
    "compare_model",
    "compare_precisions",
    "convert_checkpoint",
    "evaluate_model",
    "export_model",
    "finetune_model",
    "make_web_page",
    "predict_photos",
    "quantize_model",
    "quantize_run",
    "serve_web_page",
    "train_model",
]
