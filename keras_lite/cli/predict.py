"""Print the predictions of a trained model for photos.

    keras-lite predict MODEL PHOTO [PHOTO ...] [--top 5]

MODEL is a run folder, a .keras, .h5 or .tflite file, a SavedModel or PyTorch weights, with its information file
(.json), which `keras-lite convert` writes, beside it; for a .tflite file without one, give --image_size and
--class_names, and --mean and --std if they are not ImageNet's. PHOTO is an image file or a folder of them. Printed are
for a classifier the most probable classes; for a model of several labels those of 50% or more, or else the most
probable ones; for a regression its values; for an embedding also the most similar of the other photos; for a mask how
much of the photo each class covers; for an image or several outputs their sizes and ranges.
"""

from absl import flags

from keras_lite.cli import command_line, model_flags
from keras_lite.errors import InputError
from keras_lite.pipelines.predict import predict_photos

FLAGS = command_line.new_flags()
flags.DEFINE_integer("top", 5, "Number of classes, or of similar photos, to print for a photo.", 1, flag_values=FLAGS)
model_flags.define(FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Print the model's predictions for the photos, a line each."""
    if len(positional) < 2:
        raise InputError("Expected MODEL and at least one PHOTO (--help says more).")
    description = model_flags.description(values)
    for prediction in predict_photos(positional[0], positional[1:], values.top, verbose=1, description=description):
        print(prediction)
