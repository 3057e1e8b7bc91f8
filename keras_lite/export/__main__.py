"""Write a trained model as a TFLite file that is verified to answer like it.

    python -m keras_lite.export MODEL [--precision int8] [--data_dir DATA] [--output FILE.tflite]

MODEL is a run folder, a Keras model (.keras, .h5, SavedModel) or PyTorch weights of a network that is here, with its
information file (.json) beside it; without that file --image_size and --class_names tell what it would. DATA is where
real images are taken from, to compare the answers on and, for int8, to quantise with: a folder with images at any
depth, a folder with CIFAR's python files, or `shapes`; for a run folder it defaults to the data of the run. An int8
file is quantised without training, in the way that keeps the answers best on these images, and what that was is
printed; `python -m keras_lite.quantize` can train as well, which keeps more.
"""

import dataclasses
from pathlib import Path
from typing import NoReturn

from absl import flags

from keras_lite import command_line, model_flags
from keras_lite.checkpoints import load_model
from keras_lite.data import read_model_info
from keras_lite.errors import InputError, import_extra
from keras_lite.evaluate import data_dir_of_run, row_of_run
from keras_lite.export.conversion import PRECISIONS
from keras_lite.export.model_card import write_model_card
from keras_lite.export.samples import read_samples
from keras_lite.export.tflite import check_classes, check_writable, to_tflite
from keras_lite.export.trained_model import check_scaling, fit_input, keras_file, with_own_resizing
from keras_lite.export.verification import THRESHOLDS

FLAGS = command_line.new_flags()
flags.DEFINE_enum("precision", "float32", PRECISIONS, "Numbers in the file.", flag_values=FLAGS)
flags.DEFINE_string("output", None, "The file to write. Default: MODEL_PRECISION.tflite.", flag_values=FLAGS)
flags.DEFINE_string("data_dir", None, "Real images; for a run folder the default is the run's.", flag_values=FLAGS)
flags.DEFINE_integer("images", 200, "Images to compare answers on, and as many to quantise with.", 1, flag_values=FLAGS)
flags.DEFINE_boolean(
    "stock_converter",
    False,
    "int8 as the stock converter does it: for layers that this package refuses.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", 0, "What the choice of images is drawn from.", 0, flag_values=FLAGS)
flags.DEFINE_float(
    "min_agreement", None, "Least share of images with the same top-1 class.", 0.0, 1.0, flag_values=FLAGS
)
model_flags.define(FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Export one model."""
    if len(positional) != 1:
        raise InputError(f"Expected one MODEL, received {len(positional)} (--help says more).")
    import_extra("tf_keras", "quantization")
    import_extra("ai_edge_litert.interpreter", "quantization")
    path = keras_file(positional[0])
    data_dir = values.data_dir or data_dir_of_run(positional[0])
    output = Path(values.output or path.with_name(f"{path.stem}_{values.precision}.tflite"))
    if output.suffix != ".tflite":
        raise InputError(f"Expected --output to end in .tflite, received {output}.")
    given = model_flags.given_info(values, path)
    model = load_model(path)
    info = given or read_model_info(path)
    model, info = with_own_resizing(model, info)
    if given:
        info = model_flags.with_own_facts(values, model, info)
    check_scaling(model, info.preprocessing, path)
    model = fit_input(model, info, path)
    images = read_samples(data_dir, info.preprocessing, 2 * values.images, values.seed)
    half = (len(images) + 1) // 2
    thresholds = THRESHOLDS["stock int8" if values.stock_converter else values.precision]
    if values.min_agreement is not None:
        thresholds = dataclasses.replace(thresholds, agreement=values.min_agreement)
    check_classes(model, info)
    check_writable(output.parent)
    print(f"Converting {path} to {values.precision} ...", flush=True)
    verification = to_tflite(
        model,
        output,
        values.precision,
        calibration=images[:half],
        samples=images[half:] if len(images) > half else images,
        info=info,
        thresholds=thresholds,
        stock=values.stock_converter,
    )
    write_model_card(output, row=row_of_run(positional[0]))
    print(
        f"{output}: {output.stat().st_size:,} bytes; {verification} (from the converted model: largest difference "
        f"{verification.largest_difference:.2g}, mean {verification.mean_difference:.2g}, largest answer "
        f"{verification.largest_answer:.2g})"
    )


def cli() -> NoReturn:
    """Run the tool as the command line says."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
