"""Measure the latency of TFLite files on an Android phone, by LiteRT's own program through adb.

    keras-lite android FILE.tflite [FILE.tflite ...] --benchmark_model PROGRAM

Prints the exact commands. If adb finds a phone, it also runs them and prints the average time of one image of each file
at each number of threads, also as a ratio to the first file. PROGRAM is LiteRT's benchmark_model for android_arm64; it
is pushed to the phone. Without it, the phone must have it in /data/local/tmp. The files are removed from the phone.
"""

import shlex
from pathlib import Path

from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.runtime import android
from keras_lite.runtime.benchmark import thread_count
from keras_lite.runtime.worker_process import check_tflite

FLAGS = command_line.new_flags()
flags.DEFINE_list("threads", ["1", "2", "4"], "Numbers of threads to measure with.", flag_values=FLAGS)
flags.DEFINE_integer("runs", 100, "Measured runs of each file.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_string("benchmark_model", None, "LiteRT's program of this name for Android.", flag_values=FLAGS)
flags.DEFINE_string("serial", None, "Which phone, as `adb devices` names it, if there are several.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure the files on the command line, or print how."""
    threads = [thread_count(text) for text in values.threads]
    if not positional or not threads:
        raise InputError("Expected one or more .tflite files and numbers of threads, received none.")
    paths = [check_tflite(path) for path in dict.fromkeys(positional)]
    program = values.benchmark_model
    if program is not None and not Path(program).is_file():
        raise InputError(f"Expected --benchmark_model to be a file, received {program}.")
    if android.has_phone(values.serial):
        latencies = android.measure_on_phone(
            paths, threads, values.runs, benchmark_model=program, serial=values.serial, verbose=1
        )
        print(f"\n{android.format_latencies(latencies)}")
        return
    print("No phone was found by adb. These commands measure the files on one:")
    commands = android.set_up_commands(program, values.serial)
    for path in paths:
        commands += android.measure_commands(path, threads, values.runs, values.serial)
    for command in commands:
        print(shlex.join(command))
