"""Flags that tell of a model what its information file would: class names, image size, preprocessing, output."""

import dataclasses
from pathlib import Path

import keras
from absl import flags

from keras_lite.data import IMAGENET_MEAN, IMAGENET_STD, ModelInfo, Preprocessing, model_info_path
from keras_lite.data.model_info import OUTPUTS
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError
from keras_lite.export.trained_model import unscaled
from keras_lite.graph import flatten, output_of

_BESIDE = ("mean", "std", "keep_aspect", "interpolation", "output_kind")
# What an information file tells.
NAMES = ("class_names", "image_size", *_BESIDE)


def define(values: flags.FlagValues) -> None:
    """Add the flags to those of a tool."""
    flags.DEFINE_list(
        "class_names",
        None,
        "Names of the classes (of one sigmoid: the label's, or both classes', the output being the second one's "
        "probability), labels or values; or one text file with a name a line; if no .json has them.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "output_kind", None, OUTPUTS, "What the model answers, if its last layer doesn't tell.", flag_values=values
    )
    flags.DEFINE_list("image_size", None, "Height,width in pixels, or one number for both.", flag_values=values)
    flags.DEFINE_list(
        "mean",
        None,
        "Three channel means of pixels from 0 to 1, or one for grey. Default: ImageNet's, unless the model scales its "
        "input itself.",
        flag_values=values,
    )
    flags.DEFINE_list("std", None, "Three standard deviations likewise. Default: ImageNet's.", flag_values=values)
    flags.DEFINE_boolean(
        "keep_aspect",
        True,
        "Photos are scaled until they just cover the size, and their middle is cut out; --nokeep_aspect: each side for "
        "itself, as Keras' image_dataset_from_directory does.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "interpolation",
        "bilinear",
        INTERPOLATIONS,
        "How photos are scaled. Keras' image_dataset_from_directory and Resizing: bilinear_no_antialias.",
        flag_values=values,
    )


def given_info(values: flags.FlagValues, path: Path) -> ModelInfo | None:
    """Return what the flags say about the model, or None if they leave that to its information file."""
    if values.class_names is None and values.image_size is None:
        alone = [name for name in _BESIDE if not values[name].using_default_value]
        if alone:
            raise InputError(f"Expected --class_names and --image_size beside --{alone[0]}, received neither.")
        if not model_info_path(path).is_file():
            raise InputError(
                f"Expected class names and preprocessing in {model_info_path(path)}, which does not exist, "
                "or --class_names and --image_size."
            )
        return None
    if values.image_size is None:
        raise InputError("Expected both --class_names and --image_size, received only the names.")
    names = values.class_names or []
    if len(names) == 1 and (Path(names[0]).is_file() or Path(names[0]).suffix):
        names = _read_lines(Path(names[0]))
    size = _numbers("image_size", values.image_size, int)
    preprocessing = Preprocessing(
        tuple(size * 2 if len(size) == 1 else size),
        tuple(_numbers("mean", values.mean, float)) if values.mean is not None else IMAGENET_MEAN,
        tuple(_numbers("std", values.std, float)) if values.std is not None else IMAGENET_STD,
        keep_aspect=values.keep_aspect,
        interpolation=values.interpolation,
    )
    return ModelInfo(path.stem, names, preprocessing, "embedding")  # until the model is looked at


def with_own_facts(values: flags.FlagValues, model: keras.Model, info: ModelInfo) -> ModelInfo:
    """Return what the flags say about a model, with what it says itself where they are silent.

    That is what its numbers mean, whether it takes grey photos, and what its own scaling makes of pixels.

    Args:
        values: The flags.
        model: A functional or Sequential model without a `Resizing` at its input.
        info: What `given_info` returned.

    Raises:
        InputError: If names are missing, or the model is none of images.
    """
    kind = values.output_kind or output_of(flatten(model))
    if kind != "embedding" and not info.class_names:
        raise InputError(f"Expected both --class_names and --image_size for {kind}, received only the size.")
    info = dataclasses.replace(info, output=kind)
    if values.mean is None and values.std is None:
        own = info.preprocessing.grey() if model.inputs[0].shape[-1] == 1 else info.preprocessing
        info = dataclasses.replace(info, preprocessing=unscaled(model, own))
    return info


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"Expected --class_names as names or a text file, received {path}.")
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"Expected a text file for --class_names, received {path}.") from error


def _numbers(flag: str, texts: list[str], kind: type) -> list:
    try:
        return [kind(text) for text in texts]
    except ValueError as error:
        raise InputError(f"Expected numbers with commas between for --{flag}, received {','.join(texts)}.") from error
