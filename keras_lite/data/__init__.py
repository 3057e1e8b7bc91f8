"""Images to train and evaluate on: photo folders, CIFAR, TFRecords, built-in shapes; augmentation and batches."""

from keras_lite.data.augmentation import Augmentation
from keras_lite.data.auto_augment import RandAugment, TrivialAugment
from keras_lite.data.batches import Batches
from keras_lite.data.cifar import open_cifar
from keras_lite.data.class_folders import open_class_folders
from keras_lite.data.geometry import Crop, ImageGeometry, RandomCrop, RandomResizedCrop
from keras_lite.data.image_folder import open_image_folder
from keras_lite.data.images import read_image
from keras_lite.data.keras_cv_masks import GridMask
from keras_lite.data.mixing import Mix
from keras_lite.data.model_info import ModelInfo, model_info_path, read_model_info, write_model_info
from keras_lite.data.open_data import is_named, open_data
from keras_lite.data.outputs import interpret, nearest_others, task_of
from keras_lite.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from keras_lite.data.shapes import make_shapes
from keras_lite.data.sources import ArraySource, Source, Subset, with_classes

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "ArraySource",
    "Augmentation",
    "Batches",
    "Crop",
    "GridMask",
    "ImageGeometry",
    "Mix",
    "ModelInfo",
    "Preprocessing",
    "RandAugment",
    "RandomCrop",
    "RandomResizedCrop",
    "Source",
    "Subset",
    "TrivialAugment",
    "interpret",
    "is_named",
    "make_shapes",
    "model_info_path",
    "nearest_others",
    "open_cifar",
    "open_class_folders",
    "open_data",
    "open_image_folder",
    "read_image",
    "read_model_info",
    "task_of",
    "with_classes",
    "write_model_info",
]
