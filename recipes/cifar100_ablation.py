"""Hybrid stem and padding-free downsampling one at a time, in four networks on CIFAR-100.

    python recipes/cifar100_ablation.py --model mobilenetv3_large/stem
    python recipes/cifar100_ablation.py --model mobilenetv3_large/downsampling

CIFAR-100 is downloaded by Keras, or lies in --data_dir (the official python files). The table's rows `original` and
`ours` are those of `cifar100_mobilenetv3.py` and its like: they are trained there.

Hardware: one GPU. On 2 CPU cores two to five minutes an epoch.

Published accuracy (stem alone, downsampling alone): MobileNetV3-Large 75.9%, 76.4%; ParC-MobileNetV2 76.6%, 76.4%;
GhostNet 74.2%, 73.8%; ShuffleNetV2 72.0%, 70.4%.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.training.protocols import second_set

RECIPE = second_set(
    "cifar100_ablation",
    tuple(
        f"cifar100_ablation/{model}/{variant}"
        for model in ("mobilenetv3_large", "parc_mobilenetv2", "ghostnet", "shufflenetv2")
        for variant in ("stem", "downsampling")
    ),
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
