"""The published training protocols, which several recipes share.

Every one trains from scratch with cross-entropy and the weight decay added to the gradient of all parameters.
"""

from collections.abc import Callable
from typing import Any

from keras_lite.data import Augmentation
from keras_lite.training.optimizers import SGD
from keras_lite.training.recipe import Recipe, published_models
from keras_lite.training.schedules import EpochCosineDecay, milestone_decay

CIFAR100_MEAN = (0.50707516, 0.48654887, 0.44091784)
CIFAR100_STD = (0.26733429, 0.25643846, 0.27615047)


def first_set(name: str, row_ids: tuple[str, ...], **changes: Any) -> Recipe:
    """Return a recipe with the first set of hyper-parameters: 200 epochs in steps, no normalization.

    The networks normalize their input themselves, by a batch norm. BSConv-S brings its regularizer along in the model.

    Args:
        name: The recipe's name.
        row_ids: Ids of the rows it trains, the default first.
        **changes: Fields of `Recipe` in place of the set's.

    Example:

    ```python
    RECIPE = first_set("cifar100_resnet", ("cifar100_first/resnet20/ours", "cifar100_first/resnet20/original"))
    ```
    """
    values = {
        "optimizer": lambda rate: SGD(rate, momentum=0.9, l2_regularization=1e-4),
        "learning_rate": 0.1,
        "schedule": milestones_of((100, 150, 180), 200),
        "epochs": 200,
        "batch_size": 128,
        "image_size": (32, 32),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "augmentation": Augmentation(crop_padding=4, horizontal_flip=True),
        "download": "cifar100",
    }
    return Recipe(name=name, models=published_models(*row_ids), **(values | changes))


def second_set(name: str, row_ids: tuple[str, ...], **changes: Any) -> Recipe:
    """Return a recipe with the second set of hyper-parameters: 300 epochs, Nesterov, cosine down to a tenth.

    Args:
        name: The recipe's name.
        row_ids: Ids of the rows it trains, the default first.
        **changes: Fields of `Recipe` in place of the set's.

    Example:

    ```python
    RECIPE = second_set("cifar100_ghostnet", ("cifar100_second/ghostnet/ours", "cifar100_second/ghostnet/original"))
    ```
    """
    values = {
        "optimizer": lambda rate: SGD(rate, momentum=0.9, nesterov=True, l2_regularization=1e-4),
        "learning_rate": 0.03,
        "schedule": lambda rate, epochs, steps: EpochCosineDecay(rate, epochs, steps, floor_fraction=0.1),
        "epochs": 300,
        "batch_size": 64,
        "image_size": (32, 32),
        "mean": CIFAR100_MEAN,
        "std": CIFAR100_STD,
        "augmentation": Augmentation(crop_padding=4, horizontal_flip=True),
        "download": "cifar100",
    }
    return Recipe(name=name, models=published_models(*row_ids), **(values | changes))


def milestones_of(milestones: tuple[int, ...], published_epochs: int) -> Callable:
    """Return a schedule for `Recipe` that divides the learning rate by ten at some epochs.

    Args:
        milestones: The epochs, of a run of the published length.
        published_epochs: That length. A run of other length has its milestones at the same shares of it.

    Example:

    ```python
    schedule = milestones_of((30, 60, 90), 100)  # in a run of 10 epochs: 3, 6 and 9
    ```
    """

    def schedule(learning_rate, epochs, steps_per_epoch):
        scaled = {max(1, round(milestone * epochs / published_epochs)) for milestone in milestones}
        return milestone_decay(learning_rate, sorted(scaled), steps_per_epoch)

    return schedule
