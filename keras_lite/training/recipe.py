"""Recipes: how published results were trained."""

import dataclasses
from collections.abc import Callable, Mapping

import keras

from keras_lite import published
from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, Augmentation, Preprocessing
from keras_lite.data.scaling import Interpolation
from keras_lite.training.finetuning import Finetuning


@dataclasses.dataclass(frozen=True)
class RecipeModel:
    """One of the models of a recipe.

    Args:
        build: Returns the model with logits as output, called as `build((height, width), classes)`.
        row: Id of the published row that stands for it (`"sports100/carnet18/ours"`), or `None`.
    """

    build: Callable[[tuple[int, int], int], keras.Model]
    row: str | None = None


def published_models(*row_ids: str) -> dict[str, RecipeModel]:
    """Return the networks behind published rows, for the `models` of a recipe.

    Args:
        *row_ids: Ids of rows, `table/model/variant`.

    Returns:
        Dictionary from `model/variant` to the `RecipeModel`.

    Example:

    ```python
    models = published_models("cifar100_first/resnet20/ours", "cifar100_first/resnet20/original")
    models["resnet20/ours"].build((32, 32), 100)  # a keras.Model with logits as output
    ```
    """

    def build(row: published.Row) -> Callable[[tuple[int, int], int], keras.Model]:
        return lambda image_size, classes: row.build(
            input_shape=(*image_size, 3), classes=classes, classifier_activation=None
        )

    rows = [published.get(row_id) for row_id in row_ids]
    return {row.id.partition("/")[2]: RecipeModel(build(row), row.id) for row in rows}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Recipe for training models on a data set with `keras_lite.training.fit`.

    The values are the defaults of a run: the command line's flags, held by `Options`, replace some of them.

    Args:
        name: The recipe's name, a valid name of a Python module.
        models: The models to choose from, by name; the first is the default.
        optimizer: Returns the optimizer, called with the learning rate or its schedule.
        learning_rate: Initial learning rate.
        epochs: Number of passes over the training images.
        batch_size: Images in a training step.
        image_size: Height and width of the images in pixels.
        mean: Mean of each channel of pixels scaled to [0, 1].
        std: Standard deviation of each channel of pixels scaled to [0, 1].
        resize: Height and width that a photo is scaled to before its middle is cut out; `None`: `image_size`.
        keep_aspect: Whether to scale both sides of a photo by one factor, so that it just covers `resize`. `False`:
            each side is scaled to that of `resize`.
        interpolation: How photos are scaled, see `keras_lite.data.ImageGeometry`.
        augmentation: Random changes to the training images; never applied in validation and test.
        schedule: Returns the schedule of the learning rate, called as
            `schedule(learning_rate, epochs, steps_per_epoch)`; `None`: the learning rate is constant.
        download: The default data set, which Keras downloads: `"cifar10"` or `"cifar100"`. `None`: a folder must be
            given.
        test_split: The split that the published accuracy was measured on: `"test"`, or `"valid"` for data sets without
            a third split.
        finetuning: How layers with trained weights are trained. `None`: like all others, from the first step.

    Example:

    ```python
    recipe = Recipe(
        name="flowers",
        models={"carnet18": RecipeModel(lambda size, classes: CARNet18(
            input_shape=(*size, 3), classes=classes, classifier_activation=None))},
        optimizer=keras.optimizers.Adam,
        learning_rate=5e-4, epochs=50, batch_size=16, image_size=(96, 96),
    )
    ```
    """

    name: str
    models: Mapping[str, RecipeModel]
    optimizer: Callable[[float | keras.optimizers.schedules.LearningRateSchedule], keras.optimizers.Optimizer]
    _: dataclasses.KW_ONLY
    learning_rate: float
    epochs: int
    batch_size: int
    image_size: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: tuple[int, int] | None = None
    keep_aspect: bool = True
    interpolation: Interpolation = "bilinear"
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    schedule: Callable[[float, int, int], keras.optimizers.schedules.LearningRateSchedule] | None = None
    download: str | None = None
    test_split: str = "test"
    finetuning: Finetuning | None = None

    def preprocessing(self, image_size: tuple[int, int] | None = None) -> Preprocessing:
        """Return the preprocessing, at another image size where one is given."""
        own = Preprocessing(
            self.image_size,
            self.mean,
            self.std,
            resize=self.resize,
            keep_aspect=self.keep_aspect,
            interpolation=self.interpolation,
        )
        return own if image_size is None else own.at(image_size)
