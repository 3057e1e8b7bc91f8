"""What one run of a recipe was asked for, and the command line that asks."""

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags

from keras_lite import command_line
from keras_lite.data import is_named
from keras_lite.errors import InputError
from keras_lite.training.extras import AUGMENTATION_POLICIES, PRECISIONS, SCHEDULES, Extras
from keras_lite.training.recipe import Recipe

# Runs that differ in these alone end with the same weights.
_WITHOUT_EFFECT = ("save_every_steps", "workers", "max_minutes")
# What a published protocol fixes: a run with other values is not the published one.
_PUBLISHED = ("epochs", "schedule_epochs", "batch_size", "image_size", "learning_rate")

PROTOCOLS = ("held_out", "published")


@dataclasses.dataclass(frozen=True)
class Options:
    """The choices of one run.

    Args:
        model: Name of one of the recipe's models.
        epochs: Number of passes over the training images.
        schedule_epochs: Number of epochs that the learning rate's schedule is laid out for; `None`: `epochs`. With
            more of them the run is the beginning of a longer one.
        batch_size: Images in a training step.
        image_size: Height and width of the images in pixels.
        learning_rate: Initial learning rate.
        seed: What initial weights, order, augmentation and dropout are drawn from.
        data_dir: Where the data came from, for the record; `"shapes"` is the built-in set.
        protocol: `"held_out"`: validation on images that are held out, and the test images are read once, at the end;
            `"published"`: the habit of the published runs, training on all training images and testing after each
            epoch.
        validation_share: Share of the training images to validate with, for data without a split of its own.
        skip_broken: Whether unreadable images were left out.
        smoke: Whether this is a trial run on a few generated images.
        steps_per_execution: Steps that TensorFlow and JAX run in one go. PyTorch always runs one, TensorFlow with
            `data_parallel` too.
        save_every_steps: Steps after which the state is saved within an epoch; it is saved after each epoch too.
        workers: Threads that prepare batches ahead.
        max_minutes: Minutes after which the training stops with everything saved, to go on when it is called again.
        data_parallel: Whether to spread each batch over all devices at hand, see `keras_lite.training.data_parallel`.
        extras: Techniques beyond the published recipe.

    Raises:
        InputError: If a value is out of its range.
    """

    model: str
    epochs: int
    batch_size: int
    image_size: tuple[int, int]
    learning_rate: float
    seed: int = 0
    schedule_epochs: int | None = None
    data_dir: str = ""
    protocol: str = "held_out"
    validation_share: float = 0.1
    skip_broken: bool = False
    smoke: bool = False
    steps_per_execution: int = 1
    save_every_steps: int = 500
    workers: int = 2
    max_minutes: float | None = None
    data_parallel: bool = False
    extras: Extras = dataclasses.field(default_factory=Extras)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps_per_execution", "save_every_steps", "workers"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} to be 1 or more, received {getattr(self, name)}.")
        if self.schedule_epochs is not None and self.schedule_epochs < self.epochs:
            raise InputError(f"Expected schedule_epochs of {self.epochs} or more, received {self.schedule_epochs}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"Expected seed to be from 0 to {2**32 - 1}, received {self.seed}.")
        if not 0 < self.validation_share < 1:
            raise InputError(f"Expected validation_share between 0 and 1, received {self.validation_share}.")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"Expected a positive learning_rate, received {self.learning_rate}.")
        if self.protocol not in PROTOCOLS:
            raise InputError(f"Expected protocol to be one of {', '.join(PROTOCOLS)}, received {self.protocol}.")
        if self.max_minutes is not None and not 0 < self.max_minutes < math.inf:
            raise InputError(f"Expected a positive max_minutes, received {self.max_minutes}.")

    @classmethod
    def of(cls, recipe: Recipe, **changes: Any) -> "Options":
        """Return a recipe's own values with some of them changed.

        Example:

        ```python
        options = Options.of(recipe, epochs=4, image_size=(96, 96))
        ```
        """
        values = {
            "model": next(iter(recipe.models)),
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "image_size": recipe.image_size,
            "learning_rate": recipe.learning_rate,
        }
        options = cls(**(values | changes))
        if options.model not in recipe.models:
            raise InputError(f"Expected --model to be one of {', '.join(recipe.models)}, received {options.model}.")
        return options

    def to_dict(self) -> dict[str, Any]:
        """Return the values as flags: plain, ready for JSON, without extras and `data_parallel` that are off."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["extras"]
        if not self.data_parallel:
            del values["data_parallel"]
        return values | {"image_size": list(self.image_size)} | self.extras.in_use()

    def with_effect(self) -> dict[str, Any]:
        """Return the values that the resulting weights depend on."""
        return {name: value for name, value in self.to_dict().items() if name not in _WITHOUT_EFFECT}

    def changes(self, recipe: Recipe) -> dict[str, Any]:
        """Return what differs from the published recipe: its values as flags, and the extras in use."""
        own = Options.of(recipe, model=self.model).to_dict()
        mine = self.to_dict()
        return {name: mine[name] for name in _PUBLISHED if mine[name] != own[name]} | self.extras.in_use()


def recipe_flags(recipes: Mapping[str, Recipe]) -> flags.FlagValues:
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
    define("string", "teacher", None, "Run folder or .keras file of a trained model to learn the answers of.")
    define("float", "distillation_weight", off.distillation_weight, "Share of the teacher's answers in the loss.")
    define("float", "temperature", off.temperature, "What logits are divided by before answers are compared.")


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
