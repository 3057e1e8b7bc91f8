"""CARNet18 on the built-in set of shapes: what `make demo` trains.

    python recipes/shapes_carnet18.py --data_dir shapes

Hardware: 2 CPU cores. Expected time: two minutes. No published result; over 90% of the test images are to be right.
"""

import keras

from keras_lite.applications import CARNet18
from keras_lite.cli.train import run_recipe
from keras_lite.data import Augmentation
from keras_lite.training import Recipe, RecipeModel


def _warm_up_and_cosine(learning_rate: float, epochs: int, steps_per_epoch: int):
    steps = epochs * steps_per_epoch
    warm_up = min(100, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        learning_rate / 10, steps - warm_up, alpha=0.01, warmup_target=learning_rate, warmup_steps=warm_up
    )


RECIPE = Recipe(
    name="shapes_carnet18",
    models={
        "carnet18": RecipeModel(
            lambda image_size, classes: CARNet18(
                input_shape=(*image_size, 3), classes=classes, classifier_activation=None
            )
        )
    },
    optimizer=keras.optimizers.Adam,
    learning_rate=2e-3,
    schedule=_warm_up_and_cosine,
    epochs=1,
    batch_size=16,
    image_size=(64, 64),
    augmentation=Augmentation(brightness=0.2, horizontal_flip=True),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
