"""The flags of a recipe's command line."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from keras_lite.cli import command_line
from keras_lite.data import is_named
from keras_lite.errors import InputError
from keras_lite.training.extras import AUGMENTATION_POLICIES, PRECISIONS, SCHEDULES, Extras
from keras_lite.training.options import PROTOCOLS, Options
from keras_lite.training.recipe import Recipe

_SELDOM = (
    "schedule_epochs",
    "validation_share",
    "skip_broken",
    "data_parallel",
    "steps_per_execution",
    "save_every_steps",
    "workers",
)


def recipe_flags(recipes: Mapping[str, Recipe]) -> command_line.Flags:
    """Return the flags of a recipe's command line.

    Args:
        recipes: The sets of hyper-parameters to choose from, by name; the first is the default.
    """
    values = command_line.new_flags()
    names = list(recipes)

    def define(kind: str, name: str, default: Any, text: str, **limits: Any) -> None:
        getattr(flags, f"DEFINE_{kind}")(name, default, help=text, flag_values=values, **limits)

    def own(value: Any) -> str:
        """Tell the recipe's own value, of each set where they differ."""
        texts = {name: str(value(recipe)) for name, recipe in recipes.items()}
        if len(set(texts.values())) == 1:
            return f" (default: {texts[names[0]]})"
        return " (default: " + ", ".join(f"{text} for {name}" for name, text in texts.items()) + ")"

    if len(recipes) > 1:
        define("enum", "hyperparameters", names[0], f"The published set: {', '.join(names)}.", enum_values=names)
    models = list(dict.fromkeys(name for recipe in recipes.values() for name in recipe.models))
    text = f"What to train: {', '.join(models)}{own(lambda recipe: next(iter(recipe.models)))}."
    define("enum", "model", None, text, enum_values=models)
    define("string", "data_dir", None, f"Folder with the data{own(_default_data)}.")
    define("string", "output_dir", None, "The run folder (default: runs/RECIPE-MODEL-SIZE-SEED).")
    define("integer", "epochs", None, f"Passes over the training images{own(lambda r: r.epochs)}.", lower_bound=1)
    text = "Epochs that the learning rate's schedule is laid out for (default: the epochs of the run)."
    define("integer", "schedule_epochs", None, text, lower_bound=1)
    define("integer", "batch_size", None, f"Images in a training step{own(lambda r: r.batch_size)}.", lower_bound=1)
    size = own(lambda recipe: "x".join(str(side) for side in dict.fromkeys(recipe.image_size)))
    define("string", "image_size", None, f"Side of the images in pixels, or HEIGHTxWIDTH{size}.")
    define("float", "learning_rate", None, f"Initial learning rate{own(lambda r: r.learning_rate)}.")
    define("integer", "seed", 0, "Initial weights, order, augmentation and dropout follow from it.", lower_bound=0)
    text = "held_out: validate on held-out images, test once; published: train on all, test after each epoch."
    define("enum", "protocol", "held_out", text, enum_values=PROTOCOLS)
    define("float", "validation_share", 0.1, "Share of the training images held out where no split is given.")
    define("boolean", "skip_broken", False, "List unreadable images and go on without them.")
    define("boolean", "smoke", False, "A few steps on generated images through every callback and file.")
    define("float", "max_minutes", None, "Stop after so many minutes; the same command goes on from there.")
    text = (
        "Spread each batch over all devices, with the result of one (JAX, TensorFlow); over those of several JAX "
        "processes with KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID set in each."
    )
    define("boolean", "data_parallel", False, text)
    define("integer", "steps_per_execution", 1, "Steps run in one go (PyTorch: always 1).", lower_bound=1)
    define("integer", "save_every_steps", 500, "Save the state so often within an epoch.", lower_bound=1)
    define("integer", "workers", min(4, os.cpu_count() or 1), "Threads that prepare batches.", lower_bound=1)
    _define_extras(define)
    command_line.hide(values, *_SELDOM, *(field.name for field in dataclasses.fields(Extras)))
    return values


def _define_extras(define: Any) -> None:
    off = Extras()
    define("enum", "schedule", off.schedule, f"Learning rate: {', '.join(SCHEDULES)}.", enum_values=SCHEDULES)
    define("integer", "warm_up_epochs", off.warm_up_epochs, "Epochs in which the learning rate rises.", lower_bound=0)
    define("float", "ema_decay", off.ema_decay, "Keep a moving average of the weights with this decay a step; 0: off.")
    define("float", "label_smoothing", off.label_smoothing, "Share of a label spread over all classes.")
    define("float", "mixup", off.mixup, "Alpha of mixup; 0: off.")
    define("float", "cutmix", off.cutmix, "Alpha of CutMix; 0: off.")
    text = f"Random changes after the recipe's own: {', '.join(AUGMENTATION_POLICIES)}."
    define("enum", "augmentation_policy", off.augmentation_policy, text, enum_values=AUGMENTATION_POLICIES)
    define("float", "random_erasing", off.random_erasing, "Probability of erasing a rectangle of an image.")
    define("enum", "precision", off.precision, f"Of the computation: {', '.join(PRECISIONS)}.", enum_values=PRECISIONS)
    define("string", "teacher", None, "Run folder or .keras file of a trained model to learn the outputs of.")
    define("float", "distillation_weight", off.distillation_weight, "Share of the teacher's outputs in the loss.")
    define("float", "temperature", off.temperature, "What logits are divided by before outputs are compared.")


def recipe_from_flags(recipes: Mapping[str, Recipe], values: flags.FlagValues) -> Recipe:
    """Return the recipe that a parsed command line asks for."""
    return recipes[values.hyperparameters] if "hyperparameters" in values else next(iter(recipes.values()))


def options_from_flags(recipe: Recipe, values: flags.FlagValues) -> Options:
    """Return the options that a parsed command line asks for.

    Raises:
        InputError: If a flag's value makes no sense.
    """
    data_dir = values.data_dir or recipe.download
    if data_dir is None and not values.smoke:
        raise InputError("Expected --data_dir with the folder of the data (or --smoke), received none.")
    changes = {
        field.name: values[field.name].value
        for field in dataclasses.fields(Options)
        if field.name in values and values[field.name].value is not None
    }
    if data_dir is not None and not is_named(data_dir):
        data_dir = str(Path(data_dir).expanduser().resolve())
    changes["data_dir"] = data_dir
    if values.image_size is not None:
        changes["image_size"] = parse_size(values.image_size)
    if values.smoke:
        # Flags that were given stay as they are.
        small = {"epochs": 2, "batch_size": 8, "save_every_steps": 1}
        if max(recipe.image_size) > 64:
            small["image_size"] = (64, 64)
        changes |= {name: value for name, value in small.items() if not values[name].present}
        changes["data_dir"] = "shapes"
    changes["extras"] = Extras(**{field.name: values[field.name].value for field in dataclasses.fields(Extras)})
    return Options.of(recipe, **changes)


def _default_data(recipe: Recipe) -> str:
    return f"{recipe.download}, downloaded by Keras" if recipe.download else "none; `shapes`: generated images"


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width from the text of the flag `--image_size`.

    Raises:
        InputError: If it is neither a number nor HEIGHTxWIDTH.
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise InputError(f"Expected --image_size to be a number of pixels or HEIGHTxWIDTH, received {text}.")
    return int(sides[0]), int(sides[-1])
