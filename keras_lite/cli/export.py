"""Write a trained model as a TFLite file whose outputs are verified against the model's.

    keras-lite export MODEL [--precision int8] [--data_dir DATA] [--output FILE.tflite]

MODEL is a run folder, a Keras model (.keras, .h5, SavedModel) or PyTorch weights of a network of this package, with its
information file (.json) beside it; without that file, give --image_size and --class_names. DATA has the real images
to compare outputs on and, for int8, to quantize with: a folder with images at any depth, a folder with CIFAR's python
files, or `shapes`; for a run folder it defaults to the data of the run. An int8 file is quantized without training, in
the way that keeps its outputs on these images closest to the float model's; that way is printed. `keras-lite quantize`
can also train, which keeps them closer. The model may also answer masks, images or several outputs.
"""

from absl import flags

from keras_lite.cli import command_line, model_flags
from keras_lite.export.conversion import PRECISIONS
from keras_lite.pipelines.export import ExportOptions, export_model

FLAGS = command_line.new_flags()
flags.DEFINE_enum("precision", "float32", PRECISIONS, "Numbers in the file.", flag_values=FLAGS)
flags.DEFINE_enum("ends", "int8", ("int8", "uint8"), "Input and output of an int8 file.", flag_values=FLAGS)
flags.DEFINE_string("output", None, "The file to write. Default: MODEL_PRECISION.tflite.", flag_values=FLAGS)
flags.DEFINE_string("data_dir", None, "Real images; for a run folder the default is the run's.", flag_values=FLAGS)
flags.DEFINE_integer("images", 200, "Images to compare outputs on, and as many to quantize with.", 1, flag_values=FLAGS)
flags.DEFINE_boolean(
    "stock_converter",
    False,
    "int8 as the stock converter does it: for layers that this package refuses.",
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "allow_float", False, "int8: leave layers that have no int8 operators in floats.", flag_values=FLAGS
)
flags.DEFINE_integer("seed", 0, "What the choice of images is drawn from.", 0, flag_values=FLAGS)
flags.DEFINE_float(
    "min_agreement", None, "Least share of images with the same top-1 class.", 0.0, 1.0, flag_values=FLAGS
)
model_flags.define(FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Export one model."""
    [model] = command_line.expect(positional, "MODEL")
    output, verification = export_model(
        ExportOptions(
            model=model,
            precision=values.precision,
            ends=values.ends,
            output=values.output,
            data_dir=values.data_dir,
            images=values.images,
            stock_converter=values.stock_converter,
            allow_float=values.allow_float,
            min_agreement=values.min_agreement,
            seed=values.seed,
            description=model_flags.description(values),
        ),
        verbose=1,
    )
    print(
        f"{output}: {output.stat().st_size:,} bytes; {verification} (from the converted model: largest difference "
        f"{verification.largest_difference:.2g}, mean {verification.mean_difference:.2g}, largest output "
        f"{verification.largest_output:.2g})"
    )
