"""Measure the accuracy of a trained model.

    keras-lite evaluate MODEL [--data_dir DATA] [--split test] [--output_dir FOLDER]

MODEL is a run folder, a .keras, .h5 or .tflite file, a SavedModel or PyTorch weights, with its information file
(.json), which `keras-lite convert` writes, beside it; for a .tflite file without one, give --image_size and
--class_names, and --mean and --std if they are not ImageNet's. DATA is a folder of photos (one folder a class, or
train, valid and test with such folders), a folder with CIFAR's python files, or `shapes`; for a run folder it defaults
to the data of the run. FOLDER receives a table of the classes (CSV), the confusion matrix and the worst mistakes as
pictures.

With several labels, the most probable one counts as the predicted class. With an embedding, the predicted class is that
of the most similar other image.
"""

from absl import flags

from keras_lite.cli import command_line, model_flags
from keras_lite.inference.evaluation import format_evaluation, summary
from keras_lite.pipelines.evaluate import EvaluateOptions, evaluate_model

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The data; for a run folder the default is the run's own.", flag_values=FLAGS)
flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "Which part of the data.", flag_values=FLAGS)
flags.DEFINE_boolean("per_class", False, "Also print a line for each class.", flag_values=FLAGS)
flags.DEFINE_boolean("skip_broken", False, "List unreadable images and go on without them.", flag_values=FLAGS)
flags.DEFINE_string("output", None, "Also write the figures to this JSON file.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "Also write table, confusion matrix and mistakes there.", flag_values=FLAGS)
model_flags.define(FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Evaluate one model."""
    [model] = command_line.expect(positional, "MODEL")
    result = evaluate_model(
        EvaluateOptions(
            model=model,
            data_dir=values.data_dir,
            split=values.split,
            skip_broken=values.skip_broken,
            output=values.output,
            output_dir=values.output_dir,
            description=model_flags.description(values),
        ),
        verbose=1,
    )
    if values.per_class:
        print(format_evaluation(result))
    print(f"{model}: {summary(result)}")
