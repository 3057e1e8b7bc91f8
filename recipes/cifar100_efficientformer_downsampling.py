"""EfficientFormerV2's attention downsampling in four networks on CIFAR-100: what padding-free is compared with.

    python recipes/cifar100_efficientformer_downsampling.py --model mobilenetv3_large/efficientformer

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files).

Hardware: one GPU. On 2 CPU cores three to six minutes an epoch.

Published accuracy: MobileNetV3-Large 75.8%, ParC-MobileNetV2 75.7%, GhostNet 74.3%, ShuffleNetV2 70.6%.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import second_set

RECIPE = second_set(
    "cifar100_efficientformer_downsampling",
    tuple(
        f"cifar100_efficientformer/{model}/efficientformer"
        for model in ("mobilenetv3_large", "parc_mobilenetv2", "ghostnet", "shufflenetv2")
    ),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
