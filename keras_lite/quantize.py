"""Quantise a trained model, fine-tune it quantisation-aware, and write verified int8 and float32 TFLite files.

    python -m keras_lite.quantize MODEL [--data_dir DATA] [--unlabelled_dir PHOTOS] [--epochs 2]

MODEL is a run folder, a Keras model (.keras, .h5, SavedModel) or PyTorch weights of a network that is here, with its
information file (.json) beside it, which `python -m keras_lite.checkpoints` writes. DATA is a folder of photos (one
folder a class, or train, valid and test with such folders), a folder with CIFAR's python files, or `shapes`; for a run
folder it defaults to the data of the run. First the post-training quantisation is chosen that keeps the answers best
(see `keras_lite.quantization.post_training`), which is printed; with --epochs 0 that is all.

PHOTOS is a folder of photos without classes, at any depth: no labels are needed, as the float model's answers teach.
Given, they train in place of DATA's training images; without --data_dir some of them are held out to measure on, and
top-1 then means agreement with the float model.

Into the folder `quantized` beside the model come two .tflite files, each
with class names, preprocessing and a model card beside it, and result.json; the accuracy of all is printed as a table.
Killed and started again with the same command it goes on after the last complete epoch.
"""

from pathlib import Path
from typing import NoReturn

from absl import flags

from keras_lite import command_line
from keras_lite.data import Augmentation, open_data
from keras_lite.data.image_folder import open_unlabelled
from keras_lite.evaluate import data_dir_of_run, row_of_run
from keras_lite.export.quantized_run import QuantizationOptions, quantize_run
from keras_lite.export.report import format_report
from keras_lite.export.tflite import check_writable
from keras_lite.export.trained_model import open_trained_model
from keras_lite.files import read_json
from keras_lite.training import RunFolder

_DEFAULTS = QuantizationOptions()
FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The data; for a run folder the default is the run's own.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "Where to write. Default: `quantized` beside the model.", flag_values=FLAGS)
flags.DEFINE_integer("epochs", _DEFAULTS.epochs, "Passes over the images; 0: post-training only.", 0, flag_values=FLAGS)
flags.DEFINE_string("unlabelled_dir", None, "Photos without classes that train instead.", flag_values=FLAGS)
flags.DEFINE_float("learning_rate", _DEFAULTS.learning_rate, "At the first step.", 0.0, flag_values=FLAGS)
flags.DEFINE_integer("batch_size", _DEFAULTS.batch_size, "Images in a step.", 1, flag_values=FLAGS)
flags.DEFINE_float(
    "distill",
    None,
    f"Share of the float model's answers in the target. Default: {_DEFAULTS.distill}; of --unlabelled_dir, 1.",
    0.0,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_float(
    "freeze_batch_norm",
    _DEFAULTS.freeze_batch_norm,
    "Share of the epochs after which batch normalisation's statistics stay.",
    0.0,
    1.0,
    flag_values=FLAGS,
)
flags.DEFINE_integer("image_limit", None, "At most so many training images.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "calibration_images",
    _DEFAULTS.calibration_images,
    "Images for the post-training quantisation.",
    2,
    flag_values=FLAGS,
)
flags.DEFINE_integer("seed", _DEFAULTS.seed, "Order and augmentation.", 0, flag_values=FLAGS)
flags.DEFINE_boolean("augment", True, "Augment the images as the run did.", flag_values=FLAGS)
flags.DEFINE_boolean("skip_broken", False, "List unreadable images and go on without them.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Quantise one model."""
    path, model, info = open_trained_model(positional)
    unlabelled = values.unlabelled_dir is not None
    data_dir = values.data_dir or (None if unlabelled else data_dir_of_run(positional[0]))
    output_dir = Path(values.output_dir or path.parent / "quantized")
    check_writable(output_dir)
    options = QuantizationOptions(
        epochs=values.epochs,
        learning_rate=values.learning_rate,
        batch_size=values.batch_size,
        distill=values.distill if values.distill is not None else 1.0 if unlabelled else _DEFAULTS.distill,
        freeze_batch_norm=values.freeze_batch_norm,
        image_limit=values.image_limit,
        calibration_images=values.calibration_images,
        seed=values.seed,
    )
    geometry = info.preprocessing.geometry
    data = {} if data_dir is None else open_data(data_dir, geometry, skip_broken=values.skip_broken)
    if unlabelled:
        names = info.class_names or ["photo"]  # an embedding has none
        data["unlabelled"] = open_unlabelled(values.unlabelled_dir, geometry, names, values.skip_broken)
    augmentation = _augmentation_of_run(positional[0]) if values.augment else None
    result = quantize_run(model, info, data, output_dir, options, augmentation, row_of_run(positional[0]))
    print(f"\n{format_report(result)}\nfiles: {output_dir}")


def cli() -> NoReturn:
    """Run the tool as the command line says."""
    command_line.run(main, FLAGS, __doc__)


def _augmentation_of_run(path: str) -> Augmentation | None:
    config = RunFolder(path).config
    if not config.is_file():
        return None
    return Augmentation.from_dict(read_json(config).get("augmentation", {}))


if __name__ == "__main__":
    cli()
