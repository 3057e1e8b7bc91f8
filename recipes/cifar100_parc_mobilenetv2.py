"""ParC-MobileNetV2 on CIFAR-100, with and without hybrid stem and padding-free downsampling.

    python recipes/cifar100_parc_mobilenetv2.py
    python recipes/cifar100_parc_mobilenetv2.py --model parc_mobilenetv2/original

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. On 2 CPU cores about five minutes an epoch.

Published accuracy: original 76.2%, ours 76.6%.
Whether of the last or the best epoch on the test images is not said.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import second_set

RECIPE = second_set(
    "cifar100_parc_mobilenetv2",
    ("cifar100_second/parc_mobilenetv2/ours", "cifar100_second/parc_mobilenetv2/original"),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
