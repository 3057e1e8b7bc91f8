"""ShuffleNetV2 on CIFAR-100, with and without hybrid stem and padding-free downsampling.

    python recipes/cifar100_shufflenetv2.py
    python recipes/cifar100_shufflenetv2.py --model shufflenetv2/original

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. On 2 CPU cores about two minutes an epoch.

Published accuracy: original 70.9%, ours 71.5%.
Whether of the last or the best epoch on the test images is not said.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import second_set

RECIPE = second_set(
    "cifar100_shufflenetv2",
    ("cifar100_second/shufflenetv2/ours", "cifar100_second/shufflenetv2/original"),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
