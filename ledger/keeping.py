"""Keep the weights of a finished run in `weights/`, for `weights="cifar100"` and the like.

    python tools/keep_weights.py RUN_FOLDER

Writes the weights as float16, lists them in keras_lite/applications/kept_weights.json (in place of the row's former
ones), and checks that the outputs of the network made with them are the trained one's. Record the run first.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

import h5py
import keras
import numpy as np
from absl import flags

from keras_lite import published
from keras_lite.applications import kept_weights
from keras_lite.applications.common import load_weights
from keras_lite.applications.kept_weights import KeptWeights
from keras_lite.applications.structure import structure_of
from keras_lite.checkpoints import load_model
from keras_lite.cli import command_line
from keras_lite.data import read_model_info
from keras_lite.errors import InputError
from keras_lite.files import atomic_path, read_json, write_json
from keras_lite.graph import in_float32
from keras_lite.published import networks
from keras_lite.training import RunFolder

_MOST_BYTES = 10_000_000
_MOST_BYTES_IN_ALL = 20_000_000
_TOLERANCE = 0.02  # of the largest logit

FLAGS = command_line.new_flags()


def keep(run_folder: str | os.PathLike) -> tuple[KeptWeights, float]:
    """Keep the weights of a finished run.

    Args:
        run_folder: The folder that `keras_lite.training.fit` filled.

    Returns:
        The new entry, and by how much the outputs changed: the largest difference of a logit on random images, as a
        share of the largest logit.

    Raises:
        InputError: If the run is not finished or stands for no published row, if the file would be too large, or if
            float16 changes the outputs.

    Example:

    ```python
    kept, change = keep("runs/cifar100_resnet-resnet20-ours-32-seed0")
    ```
    """
    folder = RunFolder(run_folder)
    result, where = folder.training_result, read_json(folder.environment)
    if result.row is None or result.smoke or result.test is None:
        raise InputError(f"Expected a run of a published row on its own data, received another in {folder.path}.")
    row = published.get(result.row)
    trained = in_float32(load_model(folder.model))
    info = read_model_info(folder.model)
    shape, names = trained.input_shape[1:], info.class_names
    twin = row.build(input_shape=shape, classes=len(names), classifier_activation=None)
    file = f"{row.id.replace('/', '-')}.weights.h5"
    with atomic_path(kept_weights.FOLDER / file) as temporary:
        _write_float16(trained, temporary)
        load_weights(twin, temporary)
        change = _difference(trained, twin)
        if not change <= _TOLERANCE:
            raise InputError(f"Expected float16 to keep the outputs of {folder.model}, received a change of {change}.")
        _check_size(temporary, file)
        sha256 = hashlib.sha256(temporary.read_bytes()).hexdigest()
    function, arguments = networks.find(row.id)
    call = ", ".join(f"{name}={value!r}" for name, value in ({"input_shape": shape} | arguments).items())
    kept = KeptWeights(
        name=row.dataset,
        network=f"{function.__name__}({call})",
        row=row.id,
        file=file,
        sha256=sha256,
        input_shape=list(shape),
        preprocessing=info.preprocessing.to_dict(),
        class_names=names,
        structure=structure_of(twin),
        test_accuracy=round(result.test["accuracy"], 6),
        epochs=result.epochs,
        published_epochs=result.published_epochs,
        seed=result.seed,
        commit=where["commit"],
    )
    others = [entry for entry in kept_weights.list_weights() if entry.row != row.id]
    entries = sorted([*others, kept], key=lambda entry: entry.row)
    write_json(kept_weights.INDEX, [dataclasses.asdict(entry) for entry in entries])
    return kept, change


def _write_float16(model: keras.Model, path: Path) -> None:
    full = path.with_name(f"full-{path.name}")
    try:
        model.save_weights(full)
        with h5py.File(full) as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(lambda name, item: _copy(name, item, target))
    finally:
        full.unlink(missing_ok=True)


def _copy(name: str, item: h5py.Group | h5py.Dataset, target: h5py.File) -> None:
    if isinstance(item, h5py.Dataset):
        is_float = np.issubdtype(item.dtype, np.floating)
        copied = target.create_dataset(name, data=item[()].astype("float16") if is_float else item[()])
    else:
        copied = target.require_group(name)
    copied.attrs.update(item.attrs)


def _difference(trained: keras.Model, twin: keras.Model) -> float:
    images = np.random.default_rng(0).normal(size=(16, *trained.input_shape[1:])).astype("float32")
    expected, received = (keras.ops.convert_to_numpy(model(images, training=False)) for model in (trained, twin))
    return float(np.abs(received - expected).max() / np.abs(expected).max())


def _check_size(path: Path, file: str) -> None:
    size = path.stat().st_size
    # The file itself lies there under its temporary name, and maybe a former one under its own.
    others = {*kept_weights.FOLDER.glob("*.weights.h5")} - {path, kept_weights.FOLDER / file}
    others = sum(other.stat().st_size for other in others)
    if size > _MOST_BYTES or size + others > _MOST_BYTES_IN_ALL:
        raise InputError(
            f"Expected at most {_MOST_BYTES:,} bytes a file and {_MOST_BYTES_IN_ALL:,} in {kept_weights.FOLDER}, "
            f"received {size:,} for {file} beside {others:,}."
        )


def main(values: flags.FlagValues, positional: list[str]) -> None:
    """Keep the weights of one run."""
    if len(positional) != 1:
        raise InputError(f"Expected one RUN_FOLDER, received {len(positional)} (--help says more).")
    kept, change = keep(positional[0])
    path = kept_weights.FOLDER / kept.file
    print(f"{path}: {path.stat().st_size:,} bytes, SHA-256 {kept.sha256}")
    print(f"float16 changes the outputs by {change:.1e} of the largest logit")
    print(f"{kept.network[:-1]}, weights={kept.name!r}): test accuracy {kept.test_accuracy:.2%}, {kept.epochs} epochs")
