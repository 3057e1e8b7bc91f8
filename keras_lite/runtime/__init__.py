"""LiteRT itself: running a .tflite file apart from this process, what is inside it, and how fast it is."""

from keras_lite.runtime.benchmark import FileBenchmark, benchmark_files, format_benchmarks
from keras_lite.runtime.inspection import Examination, FileKernel, Inspection, examine, inspect
from keras_lite.runtime.runner import LiteRTModel, run_in_subprocess
from keras_lite.runtime.worker_process import LiteRTError

__all__ = [
    "Examination",
    "FileBenchmark",
    "FileKernel",
    "Inspection",
    "LiteRTError",
    "LiteRTModel",
    "benchmark_files",
    "examine",
    "format_benchmarks",
    "inspect",
    "run_in_subprocess",
]
