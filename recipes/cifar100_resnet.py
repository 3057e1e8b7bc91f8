"""ResNet-20 and ResNet-110 with BSConv-U on CIFAR-100, with and without hybrid stem and padding-free downsampling.

    python recipes/cifar100_resnet.py
    python recipes/cifar100_resnet.py --model resnet20/original
    python recipes/cifar100_resnet.py --model resnet110_bsconvu/ours

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. On 2 CPU cores ResNet-20 takes under a minute an epoch, ResNet-110 about five.

Published accuracy (best epoch on the test images): ResNet-20 original 68.12%, ours 68.30%; ResNet-110 with BSConv-U
original 71.58%, ours 71.62%.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import first_set

RECIPE = first_set(
    "cifar100_resnet",
    (
        "cifar100_first/resnet20/ours",
        "cifar100_first/resnet20/original",
        "cifar100_first/resnet110_bsconvu/ours",
        "cifar100_first/resnet110_bsconvu/original",
    ),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
