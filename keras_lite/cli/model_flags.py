"""Flags in place of a model's information file: class names, image size, preprocessing, output."""

import ast
from collections.abc import Collection
from pathlib import Path
from typing import Any

from absl import flags

from keras_lite.cli import command_line
from keras_lite.data.model_info import OUTPUTS
from keras_lite.data.scaling import INTERPOLATIONS
from keras_lite.errors import InputError
from keras_lite.pipelines.description import Description


def define(values: command_line.Flags) -> None:
    """Add the flags to those of a command."""
    flags.DEFINE_list(
        "class_names",
        None,
        "Names of the classes (of one sigmoid: the label's, or both classes', the output being the second one's "
        "probability), labels or values; or one text file with a name a line; if no .json has them.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "output_kind", None, OUTPUTS, "What the model's output is, if its last layer doesn't tell.", flag_values=values
    )
    flags.DEFINE_list("image_size", None, "Height,width in pixels, or one number for both.", flag_values=values)
    flags.DEFINE_list(
        "mean",
        None,
        "Three channel means of pixels from 0 to 1, or one for gray. Default: ImageNet's, unless a Keras model scales "
        "its input itself.",
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


def description(values: flags.FlagValues) -> Description:
    """Return the description of the model that the flags give.

    Raises:
        InputError: If a flag's value makes no sense.
    """
    names = values.class_names
    if names is not None and len(names) == 1 and (Path(names[0]).is_file() or Path(names[0]).suffix):
        names = _read_lines(Path(names[0]))
    size = numbers("image_size", values.image_size, int)
    return Description(
        class_names=None if names is None else tuple(names),
        image_size=size * 2 if size is not None and len(size) == 1 else size,
        mean=numbers("mean", values.mean, float),
        std=numbers("std", values.std, float),
        keep_aspect=values.keep_aspect,
        interpolation=values.interpolation,
        output_kind=values.output_kind,
    )


def network_options(text: str, taken: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments of a network's function that `depth=20,stem=hybrid,blocks=(2,2,2)` lists.

    Args:
        text: The arguments; a bare word is a text.
        taken: Names of arguments that other flags set.

    Raises:
        InputError: If they are written otherwise, or one is taken.
    """
    try:
        call = ast.parse(f"options({text})", mode="eval").body
        if call.args or not all(keyword.arg for keyword in call.keywords):
            raise ValueError
        options = {
            keyword.arg: keyword.value.id if isinstance(keyword.value, ast.Name) else ast.literal_eval(keyword.value)
            for keyword in call.keywords
        }
    except (ValueError, SyntaxError, AttributeError) as error:
        raise InputError(f"Expected --options to be NAME=VALUE,NAME=VALUE,..., received {text!r}.") from error
    if others := sorted(options.keys() & set(taken)):
        raise InputError(f"Expected --options without {', '.join(others)}, which other flags set; received {text!r}.")
    return options


def _read_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"Expected --class_names as names or a text file, received {path}.")
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"Expected a text file for --class_names, received {path}.") from error


def numbers(flag: str, texts: list[str] | None, kind: type) -> tuple | None:
    """Return the numbers that a flag lists; `None` for a flag that was not given.

    Raises:
        InputError: If one is no number.
    """
    try:
        return None if texts is None else tuple(kind(text) for text in texts)
    except ValueError as error:
        raise InputError(f"Expected numbers with commas between for --{flag}, received {','.join(texts)}.") from error
