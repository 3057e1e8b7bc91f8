"""Evaluation of a trained model on the images of a folder."""

import dataclasses
import os

from keras_lite.data import open_data
from keras_lite.errors import InputError
from keras_lite.files import write_json
from keras_lite.inference.evaluation import Evaluation, check_gives_classes, evaluate
from keras_lite.inference.evaluation_files import write_evaluation
from keras_lite.pipelines.description import Description
from keras_lite.training import RunFolder


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """Options of `evaluate_model`.

    Args:
        model: A run folder, a model file with its information file beside it, or a `.tflite` file.
        data_dir: The data, as `keras_lite.data.open_data` takes it; `None`: that of the run.
        split: Which part of the data: `"train"`, `"valid"` or `"test"`.
        skip_broken: Whether unreadable photos are left out; else they are an error.
        output: A JSON file to write the figures to; `None`: none is written.
        output_dir: A folder for the table, confusion matrix and worst mistakes; `None`: they are not written.
        description: Class names, image size and preprocessing, for a `.tflite` file without an information file.
    """

    model: str | os.PathLike
    data_dir: str | os.PathLike | None = None
    split: str = "test"
    skip_broken: bool = False
    output: str | os.PathLike | None = None
    output_dir: str | os.PathLike | None = None
    description: Description = dataclasses.field(default_factory=Description)


def evaluate_model(options: EvaluateOptions, verbose: int = 0) -> Evaluation:
    """Return how often a trained model is right.

    Args:
        options: What to evaluate, and on what.
        verbose: 1 shows progress, and what photos there are.

    Raises:
        InputError: If there is no such model or data, or the model gives no classes.

    Example:

    ```python
    print(evaluate_model(EvaluateOptions("runs/photos")).top1)
    ```
    """
    data_dir = options.data_dir or RunFolder(options.model).data_dir
    classifier = options.description.classifier(options.model, verbose)
    check_gives_classes(classifier)  # before the data are read
    data = open_data(data_dir, classifier.info.preprocessing.geometry, skip_broken=options.skip_broken, verbose=verbose)
    if options.split not in data:
        raise InputError(f"Expected --split to be one of {', '.join(data)} for {data_dir}, received {options.split}.")
    result = evaluate(classifier, data[options.split], verbose)
    if options.output is not None:
        write_json(options.output, result.to_dict())
    if options.output_dir is not None:
        write_evaluation(result, data[options.split], options.output_dir)
    return result
