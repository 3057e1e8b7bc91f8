"""Images to train and evaluate on: photo folders, CIFAR files, built-in shapes; augmentation and batches."""

from keras_lite.data.augmentation import Augmentation
from keras_lite.data.batches import Batches
from keras_lite.data.cifar import open_cifar
from keras_lite.data.image_folder import open_image_folder
from keras_lite.data.images import read_image
from keras_lite.data.model_info import ModelInfo, model_info_path, read_model_info, write_model_info
from keras_lite.data.open_data import open_data
from keras_lite.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from keras_lite.data.shapes import make_shapes
from keras_lite.data.sources import ArraySource, Source

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "ArraySource",
    "Augmentation",
    "Batches",
    "ModelInfo",
    "Preprocessing",
    "Source",
    "make_shapes",
    "model_info_path",
    "open_cifar",
    "open_data",
    "open_image_folder",
    "read_image",
    "read_model_info",
    "write_model_info",
]
