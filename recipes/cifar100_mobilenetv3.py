"""MobileNetV3-Large on CIFAR-100, with and without hybrid stem and padding-free downsampling, by either set.

    python recipes/cifar100_mobilenetv3.py
    python recipes/cifar100_mobilenetv3.py --model mobilenetv3_large/original
    python recipes/cifar100_mobilenetv3.py --hyperparameters first
    python recipes/cifar100_mobilenetv3.py --hyperparameters first --model mobilenetv3_large_bsconvs/ours

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files). The second set, which is the
default, trains torchvision's form of the network, the first one BSConv's; with `_bsconvs` its last pointwise
convolutions are kept close to orthonormal by a regularizer.

Hardware: one GPU. On 2 CPU cores about four minutes an epoch.

Published accuracy: second set original 76.0%, ours 76.6%; first set original 75.37%, ours 75.71%, BSConv-S original
77.87%, ours 78.36% (best epoch on the test images, mean of the batches' accuracies).
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import first_set, second_set

RECIPES = {
    "second": second_set(
        "cifar100_mobilenetv3",
        ("cifar100_second/mobilenetv3_large/ours", "cifar100_second/mobilenetv3_large/original"),
    ),
    "first": first_set(
        "cifar100_mobilenetv3_first",
        (
            "cifar100_first/mobilenetv3_large/ours",
            "cifar100_first/mobilenetv3_large/original",
            "cifar100_first/mobilenetv3_large_bsconvs/ours",
            "cifar100_first/mobilenetv3_large_bsconvs/original",
        ),
    ),
}

if __name__ == "__main__":
    run_recipe(RECIPES, __doc__)
