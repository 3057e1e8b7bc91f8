"""GhostNet on CIFAR-100, with and without hybrid stem and padding-free downsampling.

    python recipes/cifar100_ghostnet.py
    python recipes/cifar100_ghostnet.py --model ghostnet/original

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. On 2 CPU cores about three minutes an epoch.

Published accuracy: original 74.0% (76.0% in the ablation table), ours 74.1%.
Whether of the last or the best epoch on the test images is not said.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import second_set

RECIPE = second_set(
    "cifar100_ghostnet",
    ("cifar100_second/ghostnet/ours", "cifar100_second/ghostnet/original"),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
