"""Four light networks on VegFru-292, with and without hybrid stem and padding-free downsampling.

    python recipes/vegfru292.py --data_dir VEGFRU --model mobilenetv3_large/ours

VEGFRU has the folders `train` and `val`, each with one folder a class.

Hardware: one GPU. Expected time: a day; on 2 CPU cores over ten minutes an epoch.

Published accuracy (original, ours): MobileNetV3-Large 89.2%, 89.9%; ParC-MobileNetV2 89.1%, 90.0%; GhostNet 89.6%,
90.3%; ShuffleNetV2 88.4%, 87.7%, all measured on `val` after each epoch.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, Augmentation, RandomResizedCrop
from keras_lite.training.protocols import milestones_of, second_set

RECIPE = second_set(
    "vegfru292",
    tuple(
        f"vegfru292/{model}/{variant}"
        for model in ("mobilenetv3_large", "parc_mobilenetv2", "ghostnet", "shufflenetv2")
        for variant in ("ours", "original")
    ),
    learning_rate=0.1,
    schedule=milestones_of((30, 60, 90), 100),
    epochs=100,
    image_size=(224, 224),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    resize=(256, 256),
    augmentation=Augmentation(crop=RandomResizedCrop(), horizontal_flip=True),
    download=None,
    test_split="valid",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
