"""Measure how often a trained model is right.

    python -m keras_lite.evaluate MODEL [--data_dir DATA] [--split test] [--output_dir FOLDER]

MODEL is a run folder, a .keras, .h5 or .tflite file, a SavedModel or PyTorch weights, with its information file
(.json), which `python -m keras_lite.checkpoints` writes, beside it. DATA is a folder of photos (one folder a class, or
train, valid and test with such folders), a folder with CIFAR's python files, or `shapes`; for a run folder it defaults
to the data of the run. FOLDER receives a table of the classes (CSV), the confusion matrix and the worst mistakes as
pictures.

Of a model that answers several labels, each by itself, the most probable one counts as its class; of one that answers
an embedding, the class of the most similar other image.
"""

from pathlib import Path

import keras
import numpy as np
from absl import flags

from keras_lite import command_line
from keras_lite.classifier import Classifier
from keras_lite.data import Source, model_info_path, nearest_others, open_data, with_classes
from keras_lite.errors import InputError
from keras_lite.evaluation import Evaluation, format_evaluation, summary
from keras_lite.evaluation_files import write_evaluation
from keras_lite.files import read_json, write_json
from keras_lite.training import RunFolder


def evaluate(classifier: Classifier, source: Source) -> Evaluation:
    """Compare a model's answers with the labels of a data source.

    Of a model that answers labels, each by itself, the one with the highest probability is taken for the class. Of one
    that answers a vector, an image gets the class of the most similar other image, by the cosine between their vectors;
    its five most similar ones are its top 5.

    Args:
        classifier: The model.
        source: Labelled images. Their classes must be among the model's, in any order; a model that answers vectors
            takes any.

    Raises:
        InputError: If the data has classes that the model does not know, or the model answers no classes.
    """
    check_answers_classes(classifier)
    if classifier.kind == "vector":
        return _evaluate_vectors(classifier, source)
    try:
        labels = with_classes(source, classifier.info.class_names).labels
    except InputError as error:
        raise InputError(f"{classifier.path}: {error}") from error
    progress = keras.utils.Progbar(len(source))
    ranks, predicted, confidence = [], [], []
    for probabilities in classifier.predict_source(source):
        wanted = labels[len(ranks) : len(ranks) + len(probabilities)]
        # Of equal answers, which int8 files give, the first class wins: as argmax has it.
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranks.extend(np.argmax(order == wanted[:, None], axis=1))
        predicted.extend(order[:, 0])
        confidence.extend(probabilities.max(1))
        progress.update(len(ranks))
    ranks = np.array(ranks)
    return Evaluation(
        len(source),
        float((ranks == 0).mean()),
        float((ranks < 5).mean()),
        classifier.info.class_names,
        labels,
        np.array(predicted),
        np.array(confidence),
        classifier.kind,
    )


def check_answers_classes(classifier: Classifier) -> None:
    """Check that a model's answers can be right or wrong on images that have classes.

    Raises:
        InputError: If not.
    """
    name = classifier.info.class_names[0] if classifier.info.class_names else ""
    if classifier.kind == "label":
        raise InputError(
            f"Expected the names of both classes in {model_info_path(classifier.path)}, the second one {name!r}, whose "
            f"probability the model answers; received {name!r} alone."
        )
    if classifier.kind == "values":
        raise InputError(
            f"Expected a model that answers classes, labels or an embedding, received {classifier.path}, which "
            f"answers values ({name!r}, ...): folders of classes have none to compare them with."
        )


def _evaluate_vectors(classifier: Classifier, source: Source) -> Evaluation:
    if len(source) < 2:
        raise InputError(f"Expected two or more images to compare with each other, received {len(source)}.")
    progress = keras.utils.Progbar(len(source))
    parts, done = [], 0
    for vectors in classifier.predict_source(source):
        parts.append(vectors)
        done += len(vectors)
        progress.update(done)
    nearest, cosines = nearest_others(np.concatenate(parts), 5)
    right = source.labels[nearest] == source.labels[:, None]
    return Evaluation(
        len(source),
        float(right[:, 0].mean()),
        float(right.any(1).mean()),
        source.class_names,
        source.labels,
        source.labels[nearest[:, 0]],
        cosines[:, 0],
        "vector",
    )


FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The data; for a run folder the default is the run's own.", flag_values=FLAGS)
flags.DEFINE_enum("split", "test", ["train", "valid", "test"], "Which part of the data.", flag_values=FLAGS)
flags.DEFINE_boolean("per_class", False, "Also print a line for each class.", flag_values=FLAGS)
flags.DEFINE_boolean("skip_broken", False, "List unreadable images and go on without them.", flag_values=FLAGS)
flags.DEFINE_string("output", None, "Also write the figures to this JSON file.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "Also write table, confusion matrix and mistakes there.", flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Evaluate one model."""
    if len(positional) != 1:
        raise InputError(f"Expected one MODEL, received {len(positional)} (--help says more).")
    data_dir = values.data_dir or data_dir_of_run(positional[0])
    classifier = Classifier(positional[0])
    check_answers_classes(classifier)  # before the data are read
    data = open_data(data_dir, classifier.info.preprocessing.geometry, skip_broken=values.skip_broken)
    if values.split not in data:
        raise InputError(f"Expected --split to be one of {', '.join(data)} for {data_dir}, received {values.split}.")
    result = evaluate(classifier, data[values.split])
    if values.per_class:
        print(format_evaluation(result))
    print(f"{classifier.path}: {summary(result)}")
    if values.output:
        write_json(values.output, result.to_dict())
    if values.output_dir:
        write_evaluation(result, data[values.split], values.output_dir)


def data_dir_of_run(path: str) -> str:
    """Return the data that a run folder was trained on.

    Raises:
        InputError: If `path` is no run folder.
    """
    config = RunFolder(path).config
    if not Path(path).is_dir() or not config.is_file():
        raise InputError(f"Expected --data_dir, because {path} is not a run folder that names its data.")
    return read_json(config)["data_dir"]


def row_of_run(path: str) -> str | None:
    """Return the id of the published row that a run folder stands for, or None if `path` is no such folder."""
    config = RunFolder(path).config
    return read_json(config).get("row") if config.is_file() else None


def cli() -> None:
    """Run the command-line tool."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
