"""Options of one run of a recipe."""

import dataclasses
import math
from typing import Any

from keras_lite.errors import InputError
from keras_lite.training.extras import Extras
from keras_lite.training.recipe import Recipe

# Runs that differ in these alone end with the same weights.
_WITHOUT_EFFECT = ("save_every_steps", "workers", "max_minutes")
# What a published protocol fixes: a run with other values is not the published one.
_PUBLISHED = ("epochs", "schedule_epochs", "batch_size", "image_size", "learning_rate")

PROTOCOLS = ("held_out", "published")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of one run of a recipe.

    Args:
        model: Name of one of the recipe's models.
        epochs: Number of passes over the training images.
        schedule_epochs: Length of the learning rate's schedule in epochs; `None`: `epochs`. If it is longer than
            `epochs`, the run is the beginning of a longer one.
        batch_size: Images in a training step.
        image_size: Height and width of the images in pixels.
        learning_rate: Initial learning rate.
        seed: Seed of initial weights, order, augmentation and dropout.
        data_dir: Folder or name of the data, only recorded; `"shapes"` is the built-in set.
        protocol: `"held_out"`: validation images are held out from training, and the test images are read once, at the
            end. `"published"`: as in the published runs, all training images train, and the test images are used for
            validation after each epoch.
        validation_share: Share of the training images to validate with, for data without a split of its own.
        skip_broken: Whether unreadable images were left out, only recorded.
        smoke: Whether this is a trial run on a few generated images.
        steps_per_execution: Steps that TensorFlow and JAX run in one call. PyTorch always runs one, and so does
            TensorFlow with `data_parallel`.
        save_every_steps: Steps after which the state is saved within an epoch; it is saved after each epoch too.
        workers: Threads that prepare batches ahead.
        max_minutes: Minutes after which the training stops with everything saved; the same call continues it.
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
        """Return the options of a recipe, some of them changed.

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
        """Return the values as flags, ready for JSON, without extras and `data_parallel` if they are off."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["extras"]
        if not self.data_parallel:
            del values["data_parallel"]
        return values | {"image_size": list(self.image_size)} | self.extras.in_use()

    def with_effect(self) -> dict[str, Any]:
        """Return the values that have an effect on the resulting weights."""
        return {name: value for name, value in self.to_dict().items() if name not in _WITHOUT_EFFECT}

    def changes(self, recipe: Recipe) -> dict[str, Any]:
        """Return the differences to the published recipe: changed values as flags, and the extras in use."""
        own = Options.of(recipe, model=self.model).to_dict()
        mine = self.to_dict()
        return {name: mine[name] for name in _PUBLISHED if mine[name] != own[name]} | self.extras.in_use()
