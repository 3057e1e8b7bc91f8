"""CARNet18 and its ResNet18 baseline on 100 sports, by the published protocol but evaluated honestly.

    python recipes/sports100_carnet.py --data_dir SPORTS
    python recipes/sports100_carnet.py --data_dir SPORTS --model resnet18/original

SPORTS is the Kaggle data set "100 Sports Image Classification": a folder with train, valid and test, each with one
folder a class.

Hardware: runs anywhere; meant for one GPU. Expected time: about two hours for CARNet18 and twice that for ResNet18 on
a GPU (published: 6,500 s and 12,500 s); on 2 CPU cores CARNet18 at 96 pixels sees some 47 images a second, which makes
5 minutes an epoch.

Published accuracy: CARNet18 81.8%, ResNet18 79.14%, measured on the validation images with random augmentation.
Here validation and test images are not augmented, and the test split is read once, at the end.
"""

import keras

from keras_lite.cli.train import run_recipe
from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, Augmentation
from keras_lite.training import Recipe, published_models


def _adam(learning_rate: float) -> keras.optimizers.Optimizer:
    # PyTorch's defaults; Keras' own epsilon is 1e-7.
    return keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8)


RECIPE = Recipe(
    name="sports100_carnet",
    models=published_models("sports100/carnet18/ours", "sports100/resnet18/original"),
    optimizer=_adam,
    learning_rate=5e-4,
    epochs=50,
    batch_size=16,
    image_size=(244, 244),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    augmentation=Augmentation(brightness=0.2, horizontal_flip=True, rotation=15.0),
    test_split="valid",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
