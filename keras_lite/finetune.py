"""Fine-tune a network on a folder of photos, and go on to a phone's files.

    python -m keras_lite.finetune --data_dir PHOTOS --model mobilenet_v3_large --weights imagenet [--quantize]

PHOTOS has one folder of photos a class, which are divided into images to train, validate and test with (the same
folder always in the same way, near-duplicates together); or it has train, valid and test with such folders. WEIGHTS is
a name that the network's function knows, a file of weights, a .keras file, a run folder, or none. First a new head is
trained, then all layers but batch normalisation, at a smaller rate; with none everything is trained from the start.

The run folder gets what a recipe's run leaves (model.keras, result.json, metrics.csv, ...), and in `evaluation` a table
of the classes, the confusion matrix and the worst mistakes. With --quantize `quantized` gets verified .tflite files,
and `android` the int8 one under the names that the example app in examples/android has for its assets. Killed and
started again with the same command it goes on where it was.
"""

import ast
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np
from absl import flags

from keras_lite import applications, command_line
from keras_lite.applications import imagenet_weights
from keras_lite.applications.kept_weights import KeptWeights
from keras_lite.applications.structure import structure_of
from keras_lite.checkpoints import load_model
from keras_lite.classifier import Classifier
from keras_lite.data import (
    Augmentation,
    Preprocessing,
    Source,
    is_named,
    model_info_path,
    open_data,
    read_model_info,
)
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError, import_extra
from keras_lite.evaluate import evaluate
from keras_lite.evaluation import format_evaluation
from keras_lite.evaluation_files import WORST_MISTAKES, write_evaluation
from keras_lite.export.model_card import labels_path
from keras_lite.export.quantized_run import QuantizationOptions, int8_file, quantize_run
from keras_lite.export.report import format_report
from keras_lite.files import write_bytes
from keras_lite.training import (
    FineTuning,
    Options,
    Recipe,
    RecipeModel,
    RunFolder,
    SliceEnded,
    fit,
)
from keras_lite.training.command import summary
from keras_lite.training.engine import run_settings
from keras_lite.training.options import parse_size
from keras_lite.training.splits import with_validation

_IMAGE_SIZE = (224, 224)  # of ImageNet's weights
_HEAD_EPOCHS = 5
_SET_HERE = ("input_shape", "input_tensor", "include_top", "pooling", "classes", "classifier_activation", "weights",
             "load_classifier", "name")  # fmt: skip

FLAGS = command_line.new_flags()
flags.DEFINE_string("data_dir", None, "The photos.", flag_values=FLAGS)
flags.DEFINE_string("model", "mobilenet_v3_large", "A network of keras_lite.applications.", flag_values=FLAGS)
flags.DEFINE_list("options", [], "Arguments of its function, NAME=VALUE,NAME=VALUE.", flag_values=FLAGS)
flags.DEFINE_string("weights", "imagenet", "What to start from: a name, a path or none.", flag_values=FLAGS)
flags.DEFINE_string("output_dir", None, "The run folder (default: runs/finetune-PHOTOS-MODEL).", flag_values=FLAGS)
flags.DEFINE_string(
    "image_size", None, "Pixels, or HEIGHTxWIDTH (default: the weights' if they tell, else 224).", flag_values=FLAGS
)
_OF_WEIGHTS = "of pixels from 0 to 1; three, or one for grey (default: the weights' if they tell, else ImageNet's)."
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
    "epochs_head", None, f"Epochs of the new head alone (default: {_HEAD_EPOCHS}; from none: 0).", 0, flag_values=FLAGS
)
flags.DEFINE_integer("epochs", 20, "Epochs of all layers, after those of the head.", 1, flag_values=FLAGS)
flags.DEFINE_float("learning_rate_head", 1e-2, "Of the head alone.", flag_values=FLAGS)
flags.DEFINE_float("learning_rate", 1e-3, "Of all layers, falling to 0.", flag_values=FLAGS)
flags.DEFINE_integer("batch_size", 32, "Photos in a training step.", 1, flag_values=FLAGS)
flags.DEFINE_integer(
    "patience", 5, "Epochs without a better validation accuracy, after which it ends; 0: never.", 0, flag_values=FLAGS
)
flags.DEFINE_boolean("class_weights", True, "Have rare classes count as much as others.", flag_values=FLAGS)
flags.DEFINE_boolean("train_batch_norm", False, "Train batch normalisation too.", flag_values=FLAGS)
flags.DEFINE_boolean("flip", True, "Mirror photos at random; --noflip if left and right differ.", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "Initial weights, order, augmentation and dropout.", 0, flag_values=FLAGS)
flags.DEFINE_boolean("skip_broken", False, "List unreadable photos and go on without them.", flag_values=FLAGS)
flags.DEFINE_boolean("quantize", False, "Go on to an int8 file and an app's assets.", flag_values=FLAGS)
flags.DEFINE_integer("quantize_epochs", 2, "Passes over the photos for the int8 file.", 0, flag_values=FLAGS)
flags.DEFINE_float("max_minutes", None, "Stop after so long; the same command goes on.", flag_values=FLAGS)
flags.DEFINE_integer("save_every_steps", 500, "Save the state so often within an epoch.", 1, flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "Threads that prepare batches.", 1, flag_values=FLAGS)


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Fine-tune one network."""
    if positional:
        raise InputError(f"Expected flags only, received {' '.join(positional)}.")
    if values.data_dir is None:
        raise InputError("Expected --data_dir with the folder of the photos, received none.")
    if values.quantize:
        for module in ("tf_keras", "tensorflow_model_optimization", "ai_edge_litert.interpreter"):
            import_extra(module, "quantization")
    recipe = recipe_of(values)
    options = _options(recipe, values)
    folder = RunFolder(values.output_dir or f"runs/finetune-{Path(options.data_dir).name}-{values.model}")
    result = folder.open(run_settings(recipe, options))
    evaluated, quantized = folder.path / "evaluation", folder.path / "quantized"
    to_quantize = values.quantize and not (quantized / "result.json").is_file()
    if result is None or to_quantize or not (evaluated / WORST_MISTAKES).is_file():
        if result is None:
            # What is wrong with the network or its weights is said before the photos are read.
            recipe.models[values.model].build(options.image_size, 2)
        data = open_data(options.data_dir, recipe.preprocessing(options.image_size).geometry, options.skip_broken)
        data = with_validation(data, options.validation_share, options.seed)
        if result is None and values.class_weights:
            _tell_class_weights(recipe.fine_tuning, data["train"])
        try:
            result = fit(recipe, data, options, folder.path)
        except SliceEnded as ended:
            print(f"{ended}; the same command goes on from there (run folder: {folder.path})")
            return
        _evaluate(folder, data, evaluated)
        if to_quantize:
            _quantize(folder, data, quantized, recipe.augmentation, values)
    else:
        print(f"the run in {folder.path} is finished")
    print(f"\n{summary(result, str(folder.path))}")
    print(f"classes, confusion matrix and worst mistakes: {evaluated}")
    if values.quantize:
        print(f"for the example app: {_copy_android_assets(folder, quantized)}")


def recipe_of(values: flags.FlagValues) -> Recipe:
    """Return the recipe that a command line asks for.

    Raises:
        InputError: If there is no such network, or a flag's value makes no sense.
    """
    if values.model not in applications.list_models():
        names = ", ".join(applications.list_models())
        raise InputError(f"Expected --model to be one of {names}; received {values.model!r}.")
    options, weights = _network_options(values.options), _weights(values.weights)
    head_epochs = values.epochs_head
    if head_epochs is None:
        head_epochs = _HEAD_EPOCHS if weights else 0
    if head_epochs and not weights:
        raise InputError(f"Expected --epochs_head 0 with --weights none: no layer is trained; received {head_epochs}.")
    own = _preprocessing_of(weights, options, values)
    image_size = parse_size(values.image_size) if values.image_size else own.image_size
    preprocessing = own.at(image_size)
    return Recipe(
        name="finetune",
        models={values.model: RecipeModel(_builder(values.model, options, weights, own.channels))},
        optimizer=keras.optimizers.Adam,
        learning_rate=values.learning_rate,
        epochs=head_epochs + values.epochs,
        batch_size=values.batch_size,
        image_size=preprocessing.image_size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        resize=preprocessing.resize,
        keep_aspect=preprocessing.keep_aspect,
        interpolation=preprocessing.interpolation,
        # Nothing that needs the original photos again: decoding those of a camera takes longer than a training step.
        augmentation=Augmentation(
            crop_padding=max(image_size) // 12, brightness=0.2, horizontal_flip=values.flip, rotation=15.0
        ),
        schedule=lambda rate, epochs, steps: keras.optimizers.schedules.CosineDecay(rate, epochs * steps),
        fine_tuning=FineTuning(
            head_epochs=head_epochs,
            head_learning_rate=values.learning_rate_head,
            freeze_batch_norm=weights is not None and not values.train_batch_norm,
            class_weights=values.class_weights,
            patience=values.patience or None,
            start={"weights": weights, "options": options},
        ),
    )


def _options(recipe: Recipe, values: flags.FlagValues) -> Options:
    data_dir = values.data_dir
    return Options.of(
        recipe,
        seed=values.seed,
        data_dir=data_dir if is_named(data_dir) else str(Path(data_dir).expanduser().resolve()),
        skip_broken=values.skip_broken,
        save_every_steps=values.save_every_steps,
        workers=values.workers,
        max_minutes=values.max_minutes,
    )


def _network_options(texts: list[str]) -> dict[str, Any]:
    options = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or name in _SET_HERE:
            raise InputError(
                f"Expected --options as NAME=VALUE of arguments not set by other flags, received {text!r}."
            )
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name] = value
    return options


def _weights(text: str) -> str | None:
    """Return weights as a network's function takes them: a name, or the path of a file."""
    if text == "none":
        return None
    path = Path(text).expanduser()
    if RunFolder(path).model.is_file():
        path = RunFolder(path).model
    return str(path.resolve()) if path.is_file() else text


def _preprocessing_of(weights: str | None, options: dict[str, Any], values: flags.FlagValues) -> Preprocessing:
    """Return the preprocessing that weights were trained with, as far as it is known; flags have the last word."""
    if weights is not None and Path(weights).suffix == ".keras" and model_info_path(weights).is_file():
        own = read_model_info(weights).preprocessing
    elif weights == "imagenet":
        network = _builder(values.model, options, None)(_IMAGE_SIZE, 2)
        own = Preprocessing.from_dict(imagenet_weights.find(network, any_classes=True).preprocessing)
        # Whole photos: the middle alone is what ImageNet's accuracy is measured on.
        own = dataclasses.replace(own, resize=None)
    else:
        kept = _kept_weights(weights, values.model, options)
        own = Preprocessing.from_dict(kept.preprocessing) if kept else Preprocessing(_IMAGE_SIZE)
    given = {name: _channel_numbers(name, values[name].value) for name in ("mean", "std") if values[name].value}
    if values.interpolation is not None:
        given["interpolation"] = values.interpolation
    return dataclasses.replace(own, **given)


def _kept_weights(weights: str | None, model: str, options: dict[str, Any]) -> KeptWeights | None:
    for kept in applications.list_weights():
        if kept.name == weights:
            shape, classes = tuple(kept.input_shape), len(kept.class_names)
            network = applications.create(model, input_shape=shape, classes=classes, **options)
            if structure_of(network) == kept.structure:
                return kept
    return None


def _channel_numbers(flag: str, texts: list[str]) -> tuple[float, ...]:
    try:
        return tuple(map(float, texts))
    except ValueError as error:
        raise InputError(f"Expected three numbers with commas between for --{flag}, received {','.join(texts)}.") from (
            error
        )


def _builder(
    model: str, options: dict[str, Any], weights: str | None, channels: int = 3
) -> Callable[[tuple[int, int], int], keras.Model]:
    start = {} if weights is None else {"weights": weights, "load_classifier": False}

    def build(image_size: tuple[int, int], classes: int) -> keras.Model:
        shape = (*image_size, channels)
        try:
            return applications.create(
                model, input_shape=shape, classes=classes, classifier_activation=None, **options, **start
            )
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"Expected --options that {model} can take, received {options}: {reason}") from error

    return build


def _tell_class_weights(tuning: FineTuning, train: Source) -> None:
    weights = tuning.weights_of_classes(train.labels)
    rare, common = max(weights, key=weights.get), min(weights, key=weights.get)
    if weights[rare] > weights[common]:
        counts = np.bincount(train.labels)
        print(
            f"class weights: {weights[common]:.2f} ({train.class_names[common]}, {counts[common]} photos) to "
            f"{weights[rare]:.2f} ({train.class_names[rare]}, {counts[rare]}); --noclass_weights turns them off"
        )


def _evaluate(folder: RunFolder, data: dict[str, Source], output_dir: Path) -> None:
    split = "test" if "test" in data else "valid"
    result = evaluate(Classifier(folder.path), data[split])
    print(f"\nOn the {split} images:\n{format_evaluation(result)}")
    write_evaluation(result, data[split], output_dir)


def _quantize(
    folder: RunFolder, data: dict[str, Source], output_dir: Path, augmentation: Augmentation, values: flags.FlagValues
) -> None:
    options = QuantizationOptions(
        epochs=values.quantize_epochs, batch_size=min(32, len(data["train"])), seed=values.seed
    )
    model, info = load_model(folder.model), read_model_info(folder.model)
    print("\nfine-tuning for int8", flush=True)
    print(f"\n{format_report(quantize_run(model, info, data, output_dir, options, augmentation))}")


def _copy_android_assets(folder: RunFolder, quantized: Path) -> Path:
    """Copy the int8 file with labels and JSON under the names that the example app looks for."""
    file, assets = int8_file(quantized, read_model_info(folder.model)), folder.path / "android"
    for source in (file, model_info_path(file), labels_path(file)):
        write_bytes(assets / source.name.replace(file.stem, "model"), source.read_bytes())
    return assets


def cli() -> NoReturn:
    """Run the tool as the command line says."""
    command_line.run(main, FLAGS, __doc__)


if __name__ == "__main__":
    cli()
