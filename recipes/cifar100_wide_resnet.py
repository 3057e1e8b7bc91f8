"""WRN-40-3 and WRN-40-8 with BSConv-U on CIFAR-100, with and without hybrid stem and padding-free downsampling.

    python recipes/cifar100_wide_resnet.py
    python recipes/cifar100_wide_resnet.py --model wrn40_8_bsconvu/ours

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. On 2 CPU cores over ten minutes an epoch.

Published accuracy (best epoch on the test images): WRN-40-3 original 76.23%, ours 76.28%; WRN-40-8 with BSConv-U
original 77.79%, ours 78.05%.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import first_set

RECIPE = first_set(
    "cifar100_wide_resnet",
    (
        "cifar100_first/wrn40_3/ours",
        "cifar100_first/wrn40_3/original",
        "cifar100_first/wrn40_8_bsconvu/ours",
        "cifar100_first/wrn40_8_bsconvu/original",
    ),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
