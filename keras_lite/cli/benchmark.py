"""Measure the latency and size of TFLite files, side by side.

    keras-lite benchmark FILE.tflite [FILE.tflite ...] [--threads 1,2,4] [--operators]

Prints for each file its size, operators, the parts that XNNPACK runs, and the time of one image: median and 95th
percentile of many runs, at each number of threads, also as a ratio to the first file. --operators also prints the time
of the operators of each kind, each measured alone at the first number of threads. To measure on a phone, use
`keras-lite android`.
"""

from absl import flags

from keras_lite.cli import command_line
from keras_lite.errors import InputError
from keras_lite.runtime.benchmark import benchmark_files, format_benchmarks, thread_count
from keras_lite.runtime.operators import format_operators, time_operators

FLAGS = command_line.new_flags()
flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads to measure with.", flag_values=FLAGS)
flags.DEFINE_integer("runs", 100, "Measured runs of each file.", lower_bound=1, flag_values=FLAGS)
flags.DEFINE_integer("warm_up", 10, "Runs before the measured ones.", lower_bound=0, flag_values=FLAGS)
flags.DEFINE_boolean("operators", False, "Also measure each operator alone.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Measure the files on the command line and print their figures."""
    threads = [thread_count(text) for text in values.threads]
    if not positional or not threads:
        raise InputError("Expected one or more .tflite files and numbers of threads, received none.")
    print(format_benchmarks(benchmark_files(positional, threads, values.runs, values.warm_up)))
    if values.operators:
        times = [time_operators(path, threads[0], values.runs) for path in positional]
        print(f"\nOperators, each alone, {threads[0]} thread(s):\n{format_operators(positional, times)}")
