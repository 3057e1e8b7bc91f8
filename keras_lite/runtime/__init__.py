"""LiteRT itself: running a .tflite file apart from this process, what is inside it, and how fast it is."""

from keras_lite.runtime.benchmark import FileBenchmark, benchmark_files, format_benchmarks
from keras_lite.runtime.inspection import Inspection, inspect
from keras_lite.runtime.runner import LiteRTError, LiteRTModel, run_in_subprocess

__all__ = [
    "FileBenchmark",
    "Inspection",
    "LiteRTError",
    "LiteRTModel",
    "benchmark_files",
    "format_benchmarks",
    "inspect",
    "run_in_subprocess",
]
