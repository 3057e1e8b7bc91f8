"""What one run of a recipe was asked for, and the command line that asks."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from absl import flags

from keras_lite import command_line
from keras_lite.errors import InputError
from keras_lite.training.recipe import Recipe

# Runs that differ in these alone end with the same weights.
_WITHOUT_EFFECT = ("save_every_steps", "workers")


@dataclasses.dataclass(frozen=True)
class Options:
    """The choices of one run.

    Args:
        model: Name of one of the recipe's models.
        epochs: Number of passes over the training images.
        batch_size: Images in a training step.
        image_size: Height and width of the images in pixels.
        learning_rate: Initial learning rate.
        seed: What initial weights, order, augmentation and dropout are drawn from.
        data_dir: Where the data came from, for the record; `"shapes"` is the built-in set.
        validation_share: Share of the training images to validate with, for data without a split of its own.
        skip_broken: Whether unreadable images were left out.
        smoke: Whether this is a trial run on a few generated images.
        steps_per_execution: Steps that TensorFlow and JAX run in one go; PyTorch always runs one.
        save_every_steps: Steps after which the state is saved within an epoch; it is saved after each epoch too.
        workers: Threads that prepare batches ahead.

    Raises:
        InputError: If a value is out of its range.
    """

    model: str
    epochs: int
    batch_size: int
    image_size: tuple[int, int]
    learning_rate: float
    seed: int = 0
    data_dir: str = ""
    validation_share: float = 0.1
    skip_broken: bool = False
    smoke: bool = False
    steps_per_execution: int = 1
    save_every_steps: int = 500
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps_per_execution", "save_every_steps", "workers"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} to be 1 or more, received {getattr(self, name)}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"Expected seed to be from 0 to {2**32 - 1}, received {self.seed}.")
        if not 0 < self.validation_share < 1:
            raise InputError(f"Expected validation_share between 0 and 1, received {self.validation_share}.")
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(f"Expected a positive learning_rate, received {self.learning_rate}.")

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
        """Return the values as flags: plain, ready for JSON."""
        values = dataclasses.asdict(self)
        return values | {"image_size": list(self.image_size)}

    def with_effect(self) -> dict[str, Any]:
        """Return the values that the resulting weights depend on."""
        return {name: value for name, value in self.to_dict().items() if name not in _WITHOUT_EFFECT}


def recipe_flags(recipe: Recipe) -> flags.FlagValues:
    """Return the flags every recipe's command line has, with the recipe's values as defaults."""
    values = command_line.new_flags()
    height, width = recipe.image_size
    size = str(height) if height == width else f"{height}x{width}"

    def define(kind: str, name: str, default: Any, text: str, **limits: Any) -> None:
        getattr(flags, f"DEFINE_{kind}")(name, default, help=text, flag_values=values, **limits)

    models = list(recipe.models)
    define("enum", "model", models[0], f"What to train: {', '.join(models)}.", enum_values=models)
    define("string", "data_dir", None, "Folder with the data; `shapes` for the built-in set of generated images.")
    define("string", "output_dir", None, "The run folder (default: runs/RECIPE-MODEL-SIZE-SEED).")
    define("integer", "epochs", recipe.epochs, "Passes over the training images.", lower_bound=1)
    define("integer", "batch_size", recipe.batch_size, "Images in a training step.", lower_bound=1)
    define("string", "image_size", size, "Side of the images in pixels, or HEIGHTxWIDTH.")
    define("float", "learning_rate", recipe.learning_rate, "Initial learning rate.")
    define("integer", "seed", 0, "Initial weights, order, augmentation and dropout follow from it.", lower_bound=0)
    define("float", "validation_share", 0.1, "Share of the training images held out where no split is given.")
    define("boolean", "skip_broken", False, "List unreadable images and go on without them.")
    define("boolean", "smoke", False, "A few steps on generated images through every callback and file.")
    define("integer", "steps_per_execution", 1, "Steps run in one go (PyTorch: always 1).", lower_bound=1)
    define("integer", "save_every_steps", 500, "Save the state so often within an epoch.", lower_bound=1)
    define("integer", "workers", min(4, os.cpu_count() or 1), "Threads that prepare batches.", lower_bound=1)
    return values


def options_from_flags(recipe: Recipe, values: flags.FlagValues) -> Options:
    """Return the options that a parsed command line asks for.

    Raises:
        InputError: If a flag's value makes no sense.
    """
    if values.data_dir is None and not values.smoke:
        raise InputError("Expected --data_dir with the folder of the data (or --smoke), received none.")
    changes = {
        field.name: values[field.name].value
        for field in dataclasses.fields(Options)
        if field.name in values and field.name not in ("image_size", "data_dir")
    }
    data_dir = values.data_dir
    if data_dir is not None and data_dir != "shapes":
        data_dir = str(Path(data_dir).expanduser().resolve())
    changes |= {"image_size": _parse_size(values.image_size), "data_dir": data_dir}
    if values.smoke:
        # Flags that were given stay as they are.
        small = {"epochs": 2, "batch_size": 8, "image_size": (48, 48), "save_every_steps": 1}
        changes |= {name: value for name, value in small.items() if not values[name].present}
        changes["data_dir"] = "shapes"
    return Options.of(recipe, **changes)


def _parse_size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise InputError(f"Expected --image_size to be a number of pixels or HEIGHTxWIDTH, received {text}.")
    return int(sides[0]), int(sides[-1])
