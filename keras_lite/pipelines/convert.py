"""Conversion of weights: from PyTorch to Keras and back, and from Keras 2 to Keras 3."""

import dataclasses
from pathlib import Path
from typing import Any

import keras

from keras_lite import applications, published
from keras_lite.checkpoints import (
    load_model,
    load_torch_state_dict,
    read_state_dict,
    to_torch_state_dict,
    write_state_dict,
)
from keras_lite.checkpoints.keras_files import is_keras_model
from keras_lite.data import ModelInfo, write_model_info
from keras_lite.data.outputs import task_of
from keras_lite.errors import InputError
from keras_lite.export.trained_model import fit_input, with_own_resizing
from keras_lite.files import atomic_path
from keras_lite.graph import without_resizing
from keras_lite.pipelines.description import Description


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """Options of `convert_checkpoint`.

    Args:
        source: PyTorch weights, or a Keras model of any version.
        target: A `.keras` or `.weights.h5` file, or one of PyTorch weights (`.pt`, `.pth`, `.bin`, `.safetensors`).
        model: The network of the PyTorch weights, or the id of a published row; `None`: recognized by itself.
        options: Arguments of the network's function.
        entry: Name of the state dict, if the file has several.
        load_classifier: Whether to take the classifier too.
        description: The contents of the information file; if empty, none is written.
    """

    source: str
    target: str
    model: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    entry: str | None = None
    load_classifier: bool = True
    description: Description = dataclasses.field(default_factory=Description)


@dataclasses.dataclass(frozen=True)
class Converted:
    """What `convert_checkpoint` wrote; printing it gives a line a file.

    Attributes:
        path: The file.
        model: The network.
        info_path: Its information file, if it was described.
    """

    path: Path
    model: keras.Model
    info_path: Path | None = None

    def __str__(self) -> str:
        line = f"{self.path}: {self.model.name}, {self.model.count_params():,} values"
        return line if self.info_path is None else f"{line}\n{self.info_path}: classes and preprocessing"


def convert_checkpoint(options: ConvertOptions, verbose: int = 0) -> Converted:
    """Write the weights of one file as another.

    Args:
        options: Which file, as what.
        verbose: 1 prints which network PyTorch weights are of, and what the model does to its input itself.

    Raises:
        InputError: If the file can't be read, is of another network, or the target is of no known kind.

    Example:

    ```python
    convert_checkpoint(ConvertOptions("net.pth", "net.keras"))
    ```
    """
    source, target = options.source, options.target
    if not target.endswith((".keras", ".weights.h5")):
        if not is_keras_model(source):
            raise InputError(f"Expected TO to be a .keras or .weights.h5 file, received {target!r}.")
        model = load_model(source, verbose=verbose)
        write_state_dict(target, to_torch_state_dict(model))
        return Converted(Path(target), model)
    description = options.description
    if not description.is_empty and not target.endswith(".keras"):
        raise InputError(f"Expected a .keras file to describe with --class_names, received {target!r}.")
    info = None if description.is_empty else description.info(Path(target))
    model = _open(options, verbose)
    if info:
        info = _checked(description.completed(without_resizing(model)[0], info, verbose), model, source, verbose)
    with atomic_path(target) as temporary:
        model.save_weights(temporary) if target.endswith(".weights.h5") else model.save(temporary)
    return Converted(Path(target), model, write_model_info(target, info) if info else None)


def _open(options: ConvertOptions, verbose: int) -> keras.Model:
    if is_keras_model(options.source):
        return load_model(options.source, verbose=verbose)
    if options.model is None:
        if options.options or options.entry or not options.load_classifier:
            raise InputError("Expected --model beside --options, --entry or --noload_classifier, received none.")
        return load_model(options.source, verbose=verbose)
    state_dict = read_state_dict(options.source, options.entry)
    if "/" in options.model:
        model = published.get(options.model).build(**options.options)
    else:
        model = applications.create(options.model, **options.options)
    load_torch_state_dict(model, state_dict, options.load_classifier)
    return model


def _checked(info: ModelInfo, model: keras.Model, source: str, verbose: int) -> ModelInfo:
    """Return what is said of a model if its input and output are so."""
    task_of(info, model.outputs[0].shape[-1])
    fit_input(*with_own_resizing(model, info, verbose), Path(source))
    return info
