"""Compare a trained model at several precisions: accuracy, agreement, size, latency.

    keras-lite compare MODEL --data_dir DATA [--precisions float32,stock-int8,int8]

MODEL is a run folder, .keras or .h5 file with its information file (.json) beside it. DATA has a validation or training
split, from which the activation ranges are taken, and a test split; for a run folder it defaults to the run's own. The
folder `precisions` beside the model receives a .tflite file for each precision, result.json and precisions.png.

`int8` is the post-training quantization of this package (see `keras_lite.quantization.post_training`), which prints
what it chose. float32, float16, dynamic, int16 (activations) and `stock-int8` are made by the stock converter, the last
two with ranges from images. `trained` is the int8 file of `keras-lite quantize`, if the model's folder has one.
"""

from absl import flags

from keras_lite.cli import command_line
from keras_lite.inference.report import format_report
from keras_lite.pipelines.compare import TITLES, CompareOptions, compare_model
from keras_lite.runtime.benchmark import thread_count

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The data; for a run folder the default is the run's own.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "Where to write. Default: `precisions` beside the model.", flag_values=FLAGS)
flags.DEFINE_list(
    "precisions", None, f"Some of {','.join(TITLES)}. Default: all that can be had but int16.", flag_values=FLAGS
)
flags.DEFINE_integer("image_limit", None, "At most so many test images.", 1, flag_values=FLAGS)
flags.DEFINE_integer("calibration_images", 512, "Images to quantize with, unlabeled.", 2, flag_values=FLAGS)
flags.DEFINE_list("threads", ["1", "2"], "Numbers of threads to measure latency with.", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "What the choice of images is drawn from.", 0, flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Compare one model."""
    [model] = command_line.expect(positional, "MODEL")
    options = CompareOptions(
        precisions=None if values.precisions is None else tuple(values.precisions),
        threads=tuple(thread_count(text) for text in values.threads),
        image_limit=values.image_limit,
        calibration_images=values.calibration_images,
        seed=values.seed,
    )
    result = compare_model(model, values.data_dir, values.output_dir, options=options, verbose=1)
    print(format_report(result.report))
