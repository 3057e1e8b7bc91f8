"""Quantize a trained model, fine-tune it, and write verified int8 and float32 TFLite files.

    keras-lite quantize MODEL [--data_dir DATA] [--unlabeled_dir PHOTOS] [--epochs 2]

MODEL is a run folder, a Keras model (.keras, .h5, SavedModel) or PyTorch weights of a network of this package, with its
information file (.json) beside it, which `keras-lite convert` writes. DATA is a folder of photos (one folder a class,
or train, valid and test with such folders), a folder with CIFAR's python files, or `shapes`; for a run folder it
defaults to the data of the run. First the way of post-training quantization is chosen and printed that keeps the
model's outputs best (see `keras_lite.quantization.post_training`). Where it gives the float model's classes within
0.005 nats, there is no fine-tuning after it unless --epochs says how long; with --epochs 0 there is none anywhere.

PHOTOS is a folder of photos without classes, at any depth. They need no labels, as the float model's outputs are the
target. They train in place of DATA's training images. Without --data_dir some of them are held out to measure on, and
top-1 means agreement with the float model.

Fine-tuning works on any backend, without TensorFlow too; --engine tf_mot has TF-MOT train, from the extra
`quantization`.

The folder `quantized` beside the model receives result.json and three .tflite files (float32, int8, and the int8 one
with uint8 input and output, for browsers), each with class names, preprocessing and a model card beside it. The
accuracy of all is printed as a table. If it was killed, the same command continues and ends with the same files.
"""

from absl import flags

from keras_lite.cli import command_line
from keras_lite.inference.report import format_report
from keras_lite.pipelines.quantization_options import CLOSE, EPOCHS
from keras_lite.pipelines.quantize import QuantizationOptions, QuantizeOptions, quantize_model
from keras_lite.quantization.aware.keras_native import SCALES
from keras_lite.quantization.aware.quantize_aware import ENGINES

_DEFAULTS = QuantizationOptions()
FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The data; for a run folder the default is the run's own.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "Where to write. Default: `quantized` beside the model.", flag_values=FLAGS)
# The default of a number of epochs.
AUTO = f" (default: {EPOCHS}; none where post-training quantization is within {CLOSE} nats of the float model)."
flags.DEFINE_integer("epochs", None, f"Passes over the images; 0: post-training only{AUTO}", 0, flag_values=FLAGS)
flags.DEFINE_string("unlabeled_dir", None, "Photos without classes that train instead.", flag_values=FLAGS)
flags.DEFINE_float("learning_rate", _DEFAULTS.learning_rate, "At the first step.", 0.0, flag_values=FLAGS)
flags.DEFINE_integer("batch_size", _DEFAULTS.batch_size, "Images in a step.", 1, flag_values=FLAGS)
flags.DEFINE_enum("engine", _DEFAULTS.engine, ENGINES, "What trains: Keras, or TF-MOT.", flag_values=FLAGS)
flags.DEFINE_enum("scales", _DEFAULTS.scales, SCALES, "What becomes of scales in training by Keras.", flag_values=FLAGS)
flags.DEFINE_integer("image_limit", None, "At most so many training images.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "calibration_images",
    _DEFAULTS.calibration_images,
    "Images for the post-training quantization.",
    2,
    flag_values=FLAGS,
)
flags.DEFINE_boolean(
    "allow_float",
    _DEFAULTS.allow_float,
    "Leave layers that have no int8 operators in floats; without fine-tuning then.",
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", _DEFAULTS.seed, "Order and augmentation.", 0, flag_values=FLAGS)
flags.DEFINE_boolean("augment", True, "Augment the images as the run did.", flag_values=FLAGS)
flags.DEFINE_boolean("skip_broken", False, "List unreadable images and go on without them.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Quantize one model."""
    [model] = command_line.expect(positional, "MODEL")
    options = QuantizeOptions(
        model=model,
        data_dir=values.data_dir,
        unlabeled_dir=values.unlabeled_dir,
        output_dir=values.output_dir,
        augment=values.augment,
        skip_broken=values.skip_broken,
        quantization=QuantizationOptions(
            epochs=values.epochs,
            learning_rate=values.learning_rate,
            batch_size=values.batch_size,
            engine=values.engine,
            scales=values.scales,
            image_limit=values.image_limit,
            calibration_images=values.calibration_images,
            allow_float=values.allow_float,
            seed=values.seed,
        ),
    )
    output_dir, result = quantize_model(options, verbose=1)
    print(f"\n{format_report(result.report)}\nfiles: {output_dir}")
