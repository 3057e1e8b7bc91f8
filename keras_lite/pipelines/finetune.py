"""Fine-tuning a network on photos, with evaluation, an int8 file and an app's assets."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_lite import applications
from keras_lite.applications import imagenet_weights
from keras_lite.applications.kept_weights import KeptWeights
from keras_lite.applications.structure import structure_of
from keras_lite.data import (
    Augmentation,
    Preprocessing,
    Source,
    is_named,
    model_info_path,
    open_data,
    read_model_info,
)
from keras_lite.data.scaling import Interpolation
from keras_lite.errors import InputError, warn
from keras_lite.export.model_card import labels_path
from keras_lite.files import write_bytes
from keras_lite.inference.classifier import Classifier
from keras_lite.inference.evaluation import evaluate, format_evaluation
from keras_lite.inference.evaluation_files import WORST_MISTAKES, write_evaluation
from keras_lite.inference.features import litert_features
from keras_lite.inference.report import format_report
from keras_lite.pipelines.quantize import QuantizationOptions, int8_file, quantize_run
from keras_lite.pipelines.web import WebOptions, make_web_page
from keras_lite.training import Finetuning, Options, Recipe, RecipeModel, RunFolder, SliceEnded, fit
from keras_lite.training.engine import run_settings
from keras_lite.training.splits import with_validation
from keras_lite.training.training_result import summary

_IMAGE_SIZE = (224, 224)  # of ImageNet's weights
HEAD_EPOCHS = 5
SET_HERE = ("input_shape", "input_tensor", "include_top", "pooling", "classes", "classifier_activation", "weights",
             "load_classifier", "name")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FinetuneOptions:
    """Options of `finetune_model`.

    Args:
        data_dir: The photos, as `keras_lite.data.open_data` takes them.
        model: A network of `keras_lite.applications.list_models()`.
        options: Arguments of the network's function.
        weights: The initial weights: a name, a file of weights, a `.keras` file or a run folder; `None`: random ones.
        output_dir: The run folder; `None`: `runs/finetune-PHOTOS-MODEL`.
        image_size: Height and width in pixels; `None`: those of the weights if known, else 224.
        mean: Channel means of pixels scaled to [0, 1]; `None`: those of the weights if known, else ImageNet's.
        std: Channel standard deviations of pixels scaled to [0, 1]; `None`: as for `mean`.
        interpolation: How photos are scaled; `None`: as for the weights if known, else `"bilinear"`.
        epochs_head: Epochs of the new head alone; `None`: 5, and without weights 0.
        epochs: Epochs of all layers, after those of the head.
        learning_rate_head: Learning rate of the head alone.
        learning_rate: Initial learning rate of all layers; it falls to 0.
        batch_size: Photos in a training step.
        patience: Epochs without a better validation accuracy after which training ends; 0: it never ends early.
        class_weights: Whether rare classes count as much as others in the loss.
        train_batch_norm: Whether batch normalization is trained too.
        flip: Whether photos are mirrored at random.
        seed: Seed of initial weights, order, augmentation and dropout.
        skip_broken: Whether unreadable photos are left out; else they are an error.
        quantize: Whether to go on to an int8 file, an app's assets and a web page.
        quantize_epochs: Passes over the photos for the int8 file; `None`: as few as `QuantizationOptions` says.
        quantize_engine: What trains there: `"keras"` or `"tf_mot"`.
        max_minutes: Minutes after which training stops; the same call continues it.
        save_every_steps: Steps after which the state is saved within an epoch.
        workers: Threads that prepare batches.
    """

    data_dir: str
    model: str = "mobilenet_v3_large"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    weights: str | None = "imagenet"
    output_dir: str | None = None
    image_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: Interpolation | None = None
    epochs_head: int | None = None
    epochs: int = 20
    learning_rate_head: float = 1e-2
    learning_rate: float = 1e-3
    batch_size: int = 32
    patience: int = 5
    class_weights: bool = True
    train_batch_norm: bool = False
    flip: bool = True
    seed: int = 0
    skip_broken: bool = False
    quantize: bool = False
    quantize_epochs: int | None = None
    quantize_engine: str = "keras"
    max_minutes: float | None = None
    save_every_steps: int = 500
    workers: int = 2


def finetune_model(options: FinetuneOptions, verbose: int = 0) -> RunFolder:
    """Fine-tune a network on a folder of photos, evaluate it, and quantize it if that is asked for.

    If it was killed, the same call continues where it stopped.

    Args:
        options: The options.
        verbose: 1 prints what happens, and the figures.

    Returns:
        The run folder. It has a `result` unless the time was up.

    Raises:
        InputError: If there is no such network, weights or photos, or the folder holds another run.
        MissingExtraError: If it is to be quantized and an extra is not installed that this needs.

    Example:

    ```python
    options = FinetuneOptions("photos", "cifar_resnet", {"depth": 8}, weights=None, image_size=(32, 32))
    folder = finetune_model(options, verbose=1)
    classifier = Classifier(folder.path)
    ```
    """
    if options.quantize:
        _quantization_of(options).check()
    say = print if verbose else _silent
    recipe = recipe_of(options)
    run = _run_options(recipe, options)
    folder = RunFolder(options.output_dir or f"runs/finetune-{Path(run.data_dir).name}-{options.model}")
    say(f"{options.model} from {options.weights or 'random weights'} on {options.data_dir} (run folder: {folder.path})")
    result = folder.open(run_settings(recipe, run))
    to_quantize = options.quantize and not (folder.quantized / "result.json").is_file()
    if result is None or to_quantize or not (folder.evaluation / WORST_MISTAKES).is_file():
        if result is None:
            # What is wrong with the network or its weights is said before the photos are read.
            recipe.models[options.model].build(run.image_size, 2)
        geometry = recipe.preprocessing(run.image_size).geometry
        data = open_data(run.data_dir, geometry, skip_broken=run.skip_broken, verbose=verbose)
        data = with_validation(data, run.validation_share, run.seed)
        if result is None and options.class_weights:
            _tell_class_weights(recipe.finetuning, data["train"], say)
        try:
            result = fit(recipe, data, run, folder.path, features=litert_features, verbose=verbose)
        except SliceEnded as ended:
            say(f"{ended}; the same command goes on from there (run folder: {folder.path})")
            return folder
        classifier = Classifier(folder.path, verbose)
        _evaluate(classifier, folder, data, verbose)
        if to_quantize:
            _quantize(classifier.model, folder, data, recipe.augmentation, options=options, verbose=verbose)
    else:
        say(f"the run in {folder.path} is finished")
    say(f"\n{summary(result, str(folder.path))}")
    say(f"classes, confusion matrix and worst mistakes: {folder.evaluation}")
    if options.quantize:
        _copy_android_assets(folder)
        say(f"for the example app: {folder.android}")
        _write_web_page(folder, verbose)
    return folder


def _silent(text: str) -> None:
    """Print nothing."""


def recipe_of(options: FinetuneOptions) -> Recipe:
    """Return the recipe of some options.

    Raises:
        InputError: If there is no such network, or an option makes no sense.
    """
    if options.model not in applications.list_models():
        names = ", ".join(applications.list_models())
        raise InputError(f"Expected --model to be one of {names}; received {options.model!r}.")
    weights = _weights(options.weights)
    head_epochs = options.epochs_head
    if head_epochs is None:
        head_epochs = HEAD_EPOCHS if weights else 0
    if head_epochs and not weights:
        raise InputError(f"Expected --epochs_head 0 with --weights none: no layer is trained; received {head_epochs}.")
    own = _preprocessing_of(weights, options)
    image_size = options.image_size or own.image_size
    preprocessing = own.at(image_size)
    return Recipe(
        name="finetune",
        models={options.model: RecipeModel(_builder(options.model, options.options, weights, own.channels))},
        optimizer=keras.optimizers.Adam,
        learning_rate=options.learning_rate,
        epochs=head_epochs + options.epochs,
        batch_size=options.batch_size,
        image_size=preprocessing.image_size,
        mean=preprocessing.mean,
        std=preprocessing.std,
        resize=preprocessing.resize,
        keep_aspect=preprocessing.keep_aspect,
        interpolation=preprocessing.interpolation,
        # Nothing that needs the original photos again: decoding those of a camera takes longer than a training step.
        augmentation=Augmentation(
            crop_padding=max(image_size) // 12, brightness=0.2, horizontal_flip=options.flip, rotation=15.0
        ),
        schedule=lambda rate, epochs, steps: keras.optimizers.schedules.CosineDecay(rate, epochs * steps),
        finetuning=Finetuning(
            head_epochs=head_epochs,
            head_learning_rate=options.learning_rate_head,
            freeze_batch_norm=weights is not None and not options.train_batch_norm,
            class_weights=options.class_weights,
            patience=options.patience or None,
            start={"weights": weights, "options": options.options},
        ),
    )


def _run_options(recipe: Recipe, options: FinetuneOptions) -> Options:
    data_dir = options.data_dir
    return Options.of(
        recipe,
        seed=options.seed,
        data_dir=data_dir if is_named(data_dir) else str(Path(data_dir).expanduser().resolve()),
        skip_broken=options.skip_broken,
        save_every_steps=options.save_every_steps,
        workers=options.workers,
        max_minutes=options.max_minutes,
    )


def _weights(text: str | None) -> str | None:
    """Return weights as a network's function takes them: a name, or the path of a file."""
    if text is None:
        return None
    path = Path(text).expanduser()
    if RunFolder(path).model.is_file():
        path = RunFolder(path).model
    return str(path.resolve()) if path.is_file() else text


def _preprocessing_of(weights: str | None, options: FinetuneOptions) -> Preprocessing:
    """Return the preprocessing that weights were trained with, as far as known; options override it."""
    if weights is not None and Path(weights).suffix == ".keras" and model_info_path(weights).is_file():
        own = read_model_info(weights).preprocessing
    elif weights == "imagenet":
        network = _builder(options.model, options.options, None)(_IMAGE_SIZE, 2)
        own = Preprocessing.from_dict(imagenet_weights.find(network, any_classes=True).preprocessing)
        # Whole photos: the middle alone is what ImageNet's accuracy is measured on.
        own = dataclasses.replace(own, resize=None)
    else:
        kept = _kept_weights(weights, options.model, options.options)
        own = Preprocessing.from_dict(kept.preprocessing) if kept else Preprocessing(_IMAGE_SIZE)
    given = {"mean": options.mean, "std": options.std, "interpolation": options.interpolation}
    return dataclasses.replace(own, **{name: value for name, value in given.items() if value is not None})


def _kept_weights(weights: str | None, model: str, options: dict[str, Any]) -> KeptWeights | None:
    for kept in applications.list_weights():
        if kept.name == weights:
            shape, classes = tuple(kept.input_shape), len(kept.class_names)
            network = applications.create(model, input_shape=shape, classes=classes, **options)
            if structure_of(network) == kept.structure:
                return kept
    return None


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


def _tell_class_weights(tuning: Finetuning, train: Source, say: Callable[[str], None]) -> None:
    weights = tuning.weights_of_classes(train.labels)
    rare, common = max(weights, key=weights.get), min(weights, key=weights.get)
    if weights[rare] > weights[common]:
        counts = np.bincount(train.labels)
        say(
            f"class weights: {weights[common]:.2f} ({train.class_names[common]}, {counts[common]} photos) to "
            f"{weights[rare]:.2f} ({train.class_names[rare]}, {counts[rare]}); --noclass_weights turns them off"
        )


def _evaluate(classifier: Classifier, folder: RunFolder, data: dict[str, Source], verbose: int) -> None:
    split = "test" if "test" in data else "valid"
    result = evaluate(classifier, data[split], verbose)
    if verbose:
        print(f"\nOn the {split} images:\n{format_evaluation(result)}")
    write_evaluation(result, data[split], folder.evaluation)


def _quantization_of(options: FinetuneOptions) -> QuantizationOptions:
    return QuantizationOptions(epochs=options.quantize_epochs, engine=options.quantize_engine, seed=options.seed)


def _quantize(
    model: keras.Model,
    folder: RunFolder,
    data: dict[str, Source],
    augmentation: Augmentation,
    *,
    options: FinetuneOptions,
    verbose: int,
) -> None:
    if verbose:
        print("\nquantizing")
    result = quantize_run(
        model,
        folder.info,
        data,
        folder.quantized,
        options=_quantization_of(options),
        augmentation=augmentation,
        verbose=verbose,
    )
    if verbose:
        print(f"\n{format_report(result.report)}")


def _copy_android_assets(folder: RunFolder) -> None:
    """Copy the int8 file with labels and JSON under the names that the example app looks for."""
    file = int8_file(folder.quantized, folder.info)
    for source in (file, model_info_path(file), labels_path(file)):
        write_bytes(folder.android / source.name.replace(file.stem, "model"), source.read_bytes())


def _write_web_page(folder: RunFolder, verbose: int) -> None:
    """Write the web page; what it lacks is no reason for the run to fail."""
    try:
        make_web_page(WebOptions(folder.path), verbose)
    except InputError as error:
        warn(f"no web page yet: {error} `keras-lite web {folder.path}` makes it later.")
