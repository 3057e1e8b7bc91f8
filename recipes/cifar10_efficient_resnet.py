"""Efficient ResNet (4.7 million parameters, squeeze-excite) and its ResNet18 baseline on CIFAR-10.

    python recipes/cifar10_efficient_resnet.py
    python recipes/cifar10_efficient_resnet.py --hyperparameters baseline
    python recipes/cifar10_efficient_resnet.py --model resnet18/original

CIFAR-10 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. Expected time: a few hours; on 2 CPU cores 11 minutes an epoch.

Published accuracy: Efficient ResNet 96.04%, ResNet18 88.56%, the best epoch on the test images. The baseline was
trained without augmentation, normalization and clipping, unlike the network it is compared with; the last
command trains it like that one.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.data import Augmentation
from keras_lite.training import SGD, EpochCosineDecay, Lookahead, Recipe, published_models

OURS = "cifar10_efficient_resnet/efficient_resnet/ours"
BASELINE = "cifar10_efficient_resnet/resnet18/original"


def _sgd_in_lookahead(learning_rate):
    return Lookahead(SGD(learning_rate, momentum=0.9, l2_regularization=5e-4, clipvalue=0.1))


RECIPES = {
    "published": Recipe(
        name="cifar10_efficient_resnet",
        models=published_models(OURS, BASELINE),
        optimizer=_sgd_in_lookahead,
        learning_rate=0.1,
        schedule=EpochCosineDecay,
        epochs=200,
        batch_size=128,
        image_size=(32, 32),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        augmentation=Augmentation(crop_padding=4, horizontal_flip=True),
        download="cifar10",
    ),
    "baseline": Recipe(
        name="cifar10_efficient_resnet_baseline",
        models=published_models(BASELINE),
        optimizer=lambda rate: SGD(rate, momentum=0.9, l2_regularization=5e-4),
        learning_rate=0.1,
        schedule=EpochCosineDecay,
        epochs=200,
        batch_size=128,
        image_size=(32, 32),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        download="cifar10",
    ),
}

if __name__ == "__main__":
    run_recipe(RECIPES, __doc__)
