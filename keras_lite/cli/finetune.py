"""Fine-tune a network on a folder of photos, and write files for a phone.

    keras-lite finetune --data_dir PHOTOS --model mobilenet_v3_large --weights imagenet [--quantize]

PHOTOS has a folder of photos for each class, or train, valid and test with such folders. Without splits, the photos are
divided to train, validate and test, near-duplicates together; the same folder is always divided in the same way. The
flag --weights takes a name that the network's function knows, a file of weights, a .keras file, a run folder, or none.
First a new head is trained, then all layers but batch normalization, at a smaller rate; with none, all layers are
trained from the first step.

The run folder receives the files of a recipe's run (model.keras, result.json, metrics.csv, ...), and in `evaluation` a
table of the classes, the confusion matrix and the worst mistakes. With --quantize, `quantized` receives verified
.tflite files, `android` the int8 one under the names of the assets of the example app in examples/android, and `web` a
page that runs it in a browser (for which npm fetches LiteRT.js; without npm the rest is written, and `keras-lite web`
makes the page later). If it was killed, the same command continues where it stopped.
"""

import dataclasses

from absl import flags

from keras_lite.cli import command_line
from keras_lite.cli.model_flags import network_options, numbers
from keras_lite.cli.quantize import AUTO
from keras_lite.cli.recipe_flags import parse_size
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError
from keras_lite.pipelines.finetune import HEAD_EPOCHS, SET_HERE, FinetuneOptions, finetune_model
from keras_lite.quantization.aware.quantize_aware import ENGINES

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The photos.", flag_values=FLAGS)
flags.DEFINE_string("model", "mobilenet_v3_large", "A network of keras_lite.applications.", flag_values=FLAGS)
flags.DEFINE_string("options", "", "Arguments of its function, such as depth=20,blocks=(2,2,2).", flag_values=FLAGS)
flags.DEFINE_string("weights", "imagenet", "What to start from: a name, a path or none.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "The run folder (default: runs/finetune-PHOTOS-MODEL).", flag_values=FLAGS)
flags.DEFINE_string(
    "image_size", None, "Pixels, or HEIGHTxWIDTH (default: the weights' if they tell, else 224).", flag_values=FLAGS
)
_OF_WEIGHTS = "of pixels from 0 to 1; three, or one for gray (default: the weights' if they tell, else ImageNet's)."
flags.DEFINE_list("mean", None, f"Means {_OF_WEIGHTS}", flag_values=FLAGS)
flags.DEFINE_list("std", None, f"Standard deviations {_OF_WEIGHTS}", flag_values=FLAGS)
flags.DEFINE_enum(
    "interpolation",
    None,
    INTERPOLATIONS,
    "How photos are scaled (default: as the weights' were if they tell, else bilinear).",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "epochs_head", None, f"Epochs of the new head alone (default: {HEAD_EPOCHS}; from none: 0).", 0, flag_values=FLAGS
)
flags.DEFINE_integer("epochs", 20, "Epochs of all layers, after those of the head.", 1, flag_values=FLAGS)
flags.DEFINE_float("learning_rate_head", 1e-2, "Of the head alone.", flag_values=FLAGS)
flags.DEFINE_float("learning_rate", 1e-3, "Of all layers, falling to 0.", flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "Photos in a training step.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "patience", 5, "Epochs without a better validation accuracy, after which it ends; 0: never.", 0, flag_values=FLAGS
)
flags.DEFINE_boolean("class_weights", True, "Have rare classes count as much as others.", flag_values=FLAGS)
flags.DEFINE_boolean("train_batch_norm", False, "Train batch normalization too.", flag_values=FLAGS)
flags.DEFINE_boolean("flip", True, "Mirror photos at random; --noflip if left and right differ.", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Initial weights, order, augmentation and dropout.", 0, flag_values=FLAGS)
flags.DEFINE_boolean("skip_broken", False, "List unreadable photos and go on without them.", flag_values=FLAGS)
flags.DEFINE_boolean("quantize", False, "Go on to an int8 file, an app's assets and a web page.", flag_values=FLAGS)
flags.DEFINE_integer("quantize_epochs", None, f"Passes over the photos for the int8 file{AUTO}", 0, flag_values=FLAGS)
flags.DEFINE_enum("quantize_engine", "keras", ENGINES, "What trains there: Keras, or TF-MOT.", flag_values=FLAGS)
flags.DEFINE_float("max_minutes", None, "Stop after so long; the same command goes on.", flag_values=FLAGS)
flags.DEFINE_integer("save_every_steps", 500, "Save the state so often within an epoch.", 1, flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "Threads that prepare batches.", 1, flag_values=FLAGS)


command_line.hide(
    FLAGS,
    "mean",
    "std",
    "interpolation",
    "learning_rate_head",
    "train_batch_norm",
    "class_weights",
    "save_every_steps",
    "workers",
)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Fine-tune one network."""
    command_line.expect(positional)
    finetune_model(options_of(values), verbose=1)


def options_of(values: flags.FlagValues) -> FinetuneOptions:
    """Return the options that a command line gives.

    Raises:
        InputError: If a flag's value makes no sense.
    """
    if values.data_dir is None:
        raise InputError("Expected --data_dir with the folder of the photos, received none.")
    parsed = {
        "options": network_options(values.options, SET_HERE),
        "weights": None if values.weights == "none" else values.weights,
        "image_size": parse_size(values.image_size) if values.image_size else None,
        "mean": numbers("mean", values.mean, float),
        "std": numbers("std", values.std, float),
    }
    given = {field.name: values[field.name].value for field in dataclasses.fields(FinetuneOptions)}
    return FinetuneOptions(**(given | parsed))
