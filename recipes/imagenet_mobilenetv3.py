"""MobileNetV3-Large on ImageNet, with and without hybrid stem and padding-free downsampling.

    python recipes/imagenet_mobilenetv3.py --data_dir IMAGENET
    python recipes/imagenet_mobilenetv3.py --data_dir IMAGENET --model mobilenetv3_large/original

IMAGENET has the folders `train` and `val`, each with one folder a class, named by its synset (n01440764).

Hardware: several GPUs (--data_parallel). Expected time: days.

Published accuracy: original 69.5%, ours 69.5%. The publication has no ImageNet recipe in its code: the protocol here
is its first set of hyper-parameters with the usual crops for 224 pixels, so it is ours, not theirs.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.data import Augmentation, RandomResizedCrop
from keras_lite.training.protocols import first_set

RECIPE = first_set(
    "imagenet_mobilenetv3",
    ("imagenet/mobilenetv3_large/ours", "imagenet/mobilenetv3_large/original"),
    image_size=(224, 224),
    resize=(256, 256),
    augmentation=Augmentation(crop=RandomResizedCrop(), horizontal_flip=True),
    download=None,
    test_split="valid",
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
