"""The information file beside every model file: preprocessing, class names, kind of output."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from keras_lite.data.preprocessing import Preprocessing
from keras_lite.errors import InputError
from keras_lite.files import read_json, write_json

OUTPUTS = ("logits", "probabilities", "sigmoid", "regression", "embedding", "image", "several")
# Those of which numbers have no names.
WITHOUT_NAMES = ("embedding", "image", "several")


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """Information that is needed to use a model: preprocessing, class names, kind of output.

    Args:
        name: The model's name.
        class_names: One name for each output, in the order of the outputs: classes, labels or values. A sigmoid with
            one output may have two, see below; an embedding, an image and several outputs need none. Of a model that
            says something of each pixel they are those of the last axis.
        preprocessing: What turns an image into the model's input.
        output: What the model returns. `"logits"`: a number a class, of which a softmax makes probabilities;
            `"probabilities"`: that softmax's; `"sigmoid"`: one probability for each label by itself (many labels), or a
            single one, of the one label or of the second of two classes; `"regression"`: numbers; `"embedding"`: a
            vector to compare; `"image"`: an image or a map; `"several"`: several outputs.
            `keras_lite.graph.output_of` tells it from a model's last layer, as far as that can.

    Raises:
        InputError: If a value is of the wrong kind.
    """

    name: str
    class_names: list[str]
    preprocessing: Preprocessing
    output: Literal["logits", "probabilities", "sigmoid", "regression", "embedding", "image", "several"]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError(f"Expected a text as name, received {self.name!r}.")
        names = self.class_names
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"Expected class_names as a list of texts, received {names!r}.")
        if self.output not in OUTPUTS:
            raise InputError(f"Expected output to be one of {OUTPUTS}, received {self.output!r}.")
        if not names and self.output not in WITHOUT_NAMES:
            raise InputError(f"Expected class_names for a model with the output {self.output}, received none.")

    def quantized(self) -> "ModelInfo":
        """Return the information of the model's int8 file, from which a softmax at the end is left out.

        Example:

        >>> ModelInfo("pets", ["cat", "dog"], Preprocessing((96, 96)), "probabilities").quantized().output
        'logits'
        """
        return dataclasses.replace(self, output="logits") if self.output == "probabilities" else self


def model_info_path(path_of_model: str | os.PathLike) -> Path:
    """Return where the information file of a model file is: `model.keras` has `model.json` beside it."""
    return Path(path_of_model).with_suffix(".json")


def write_model_info(path_of_model: str | os.PathLike, info: ModelInfo, **more: Any) -> Path:
    """Write the information file of a model file.

    Args:
        path_of_model: Path of the model file (`.keras`, `.h5` or `.tflite`).
        info: What to write.
        **more: Further entries for the file, of types that JSON knows; `read_model_info` passes over them.

    Returns:
        The path of the file written.

    Example:

    ```python
    info = ModelInfo("carnet18", ["cat", "dog"], Preprocessing((244, 244)), "logits")
    write_model_info("model.keras", info)  # writes model.json
    ```
    """
    path = model_info_path(path_of_model)
    entries = {
        "name": info.name,
        "class_names": info.class_names,
        "preprocessing": info.preprocessing.to_dict(),
        "output": info.output,
    }
    write_json(path, entries | more)
    return path


def read_model_info(path_of_model: str | os.PathLike) -> ModelInfo:
    """Read the information file of a model file.

    Raises:
        InputError: If it is missing or its content is wrong; the message names the file.
    """
    path = model_info_path(path_of_model)
    if not path.is_file():
        tflite = Path(path_of_model).suffix == ".tflite"
        other = "evaluate and predict take" if tflite else "convert writes it with"
        raise InputError(
            f"Expected the model's class names and preprocessing in {path}, which does not exist "
            f"(keras_lite.data.write_model_info writes it; keras-lite {other} --class_names and --image_size)."
        )
    entries = read_json(path)
    needed = ("name", "class_names", "preprocessing", "output")
    missing = [key for key in needed if not isinstance(entries, dict) or key not in entries]
    if missing:
        raise InputError(f"Expected the entries {', '.join(needed)} in {path}, missing: {', '.join(missing)}.")
    try:
        preprocessing = Preprocessing.from_dict(entries["preprocessing"])
        return ModelInfo(entries["name"], entries["class_names"], preprocessing, entries["output"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
