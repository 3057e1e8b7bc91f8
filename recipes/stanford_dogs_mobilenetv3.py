"""MobileNetV3-Large on Stanford Dogs, with and without hybrid stem and padding-free downsampling.

    python recipes/stanford_dogs_mobilenetv3.py --data_dir DOGS
    python recipes/stanford_dogs_mobilenetv3.py --data_dir DOGS --model mobilenetv3_large_bsconvs/ours

DOGS is the unpacked archive of Stanford Dogs: the folder with `Images` and the lists of training and test images.

Hardware: one GPU. Expected time: some hours; on 2 CPU cores over ten minutes an epoch.

Published accuracy (best epoch on the test images): original 51.07%, ours 54.11%, BSConv-S original 59.68%, ours
60.79%. The publication gives the hyper-parameters of its first set as its script's defaults; whether these rows used
them is not said.
"""

from keras_lite.cli.train import run_recipe
from keras_lite.data import Augmentation, RandomCrop
from keras_lite.training.protocols import first_set

RECIPE = first_set(
    "stanford_dogs_mobilenetv3",
    (
        "stanford_dogs/mobilenetv3_large/ours",
        "stanford_dogs/mobilenetv3_large/original",
        "stanford_dogs/mobilenetv3_large_bsconvs/ours",
        "stanford_dogs/mobilenetv3_large_bsconvs/original",
    ),
    image_size=(224, 224),
    resize=(256, 256),
    keep_aspect=False,
    augmentation=Augmentation(crop=RandomCrop(), horizontal_flip=True, brightness=0.4),
    download=None,
)

if __name__ == "__main__":
    run_recipe(RECIPE, __doc__)
